from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.collection.queries.terms import Query, image, text
from retrieval.collection.queries.typed_words import parse_query
from retrieval.errors import QueryError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(name: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_an_existing_file_is_an_image_and_anything_else_is_words() -> None:
    make("cat")

    assert parse_query("cat") == image(Path("cat"))
    assert parse_query("a red bus") == text("a red bus")
    assert parse_query("a nice png") == text("a nice png")


@pytest.mark.parametrize("name", ["missing.jpg", "missing.HEIC", "a/b", "./cat"])
def test_what_looks_like_a_file_and_is_none_is_refused(name: str) -> None:
    with pytest.raises(QueryError, match="no such file"):
        parse_query(name)


def test_a_folder_is_no_query() -> None:
    make("photos/cat.png")

    with pytest.raises(QueryError, match="`under=…`"):
        parse_query("photos/")


def test_a_number_in_front_weighs() -> None:
    assert parse_query("2:cat") == 2 * text("cat")
    assert parse_query("2:cat") == text("cat", weight=2.0)
    assert parse_query("0.5:a dog") == text("a dog", weight=0.5)
    assert parse_query(".5:a dog") == text("a dog", weight=0.5)


def test_a_file_of_that_whole_name_wins_over_a_weight() -> None:
    make("2:cat")

    assert parse_query("2:cat") == image(Path("2:cat"))


def test_a_weighed_file_is_an_image() -> None:
    make("photos/cat.png")

    assert parse_query("3:photos/cat.png") == image(Path("photos/cat.png"), weight=3.0)


def test_only_one_weight_is_read() -> None:
    assert parse_query("2:3:cat") == text("3:cat", weight=2.0)


def test_a_path_may_be_relative_to_the_collection(tmp_path: Path) -> None:
    make("root/a/cat.png")

    assert parse_query("a/cat.png", beside=Path("root")) == image(Path("root/a/cat.png"))


@pytest.mark.parametrize("nothing", ["", "   "])
def test_an_empty_query_is_refused(nothing: str) -> None:
    with pytest.raises(QueryError):
        parse_query(nothing)


def test_words_too_long_for_a_file_name_are_words() -> None:
    words = "cat " * 2000

    assert parse_query(words) == text(words)


@pytest.mark.parametrize(
    ("query", "term"),
    [
        ("16:9 photo", text("16:9 photo")),
        ("12:cat", text("12:cat")),
        ("2: cat", text("2: cat")),
        ("10:30", text("10:30")),
        ("ratio 2:1", text("ratio 2:1")),
        (":cat", text(":cat")),
        ("1e3:cat", text("1e3:cat")),
        ("-1:cat", text("cat", weight=-1.0)),
        ("+12:cat", text("cat", weight=12.0)),
        ("12.0:cat", text("cat", weight=12.0)),
        ("-.5:a dog", text("a dog", weight=-0.5)),
        ("2:line\nbreak", text("line\nbreak", weight=2.0)),
    ],
)
def test_a_weight_has_a_point_a_sign_or_one_digit_and_no_blank_behind_it(query: str, term: Query) -> None:
    assert parse_query(query) == term


def test_the_command_line_does_not_warn() -> None:
    make("cat.jpg")

    assert parse_query("cat.jpg") == image(Path("cat.jpg"))
    assert parse_query("2:cat.jpg") == image(Path("cat.jpg"), weight=2.0)


def test_a_url_is_no_file_and_its_password_is_not_shown() -> None:
    with pytest.raises(QueryError) as caught:
        parse_query("https://me:hidden@example.org/a.jpg")

    assert "https://example.org/a.jpg: no such file" in str(caught.value)
    assert "hidden" not in str(caught.value)
