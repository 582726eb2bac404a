from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.collection.queries.terms import Term, as_terms, image, parse_term, row, subtract, text
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

    assert parse_term("cat") == image(Path("cat"))
    assert parse_term("a red bus") == text("a red bus")
    assert parse_term("a nice png") == text("a nice png")


@pytest.mark.parametrize("name", ["missing.jpg", "missing.HEIC", "a/b", "./cat"])
def test_what_looks_like_a_file_and_is_none_is_refused(name: str) -> None:
    with pytest.raises(QueryError, match="no such file"):
        parse_term(name)


def test_a_folder_is_no_query() -> None:
    make("photos/cat.png")

    with pytest.raises(QueryError, match="`under=…`"):
        parse_term("photos/")


def test_a_number_in_front_weighs() -> None:
    assert parse_term("2:cat") == text("cat", weight=2.0)
    assert parse_term("0.5:a dog") == text("a dog", weight=0.5)
    assert parse_term(".5:a dog") == text("a dog", weight=0.5)


def test_a_file_of_that_whole_name_wins_over_a_weight() -> None:
    make("2:cat")

    assert parse_term("2:cat") == image(Path("2:cat"))


def test_a_weighed_file_is_an_image() -> None:
    make("photos/cat.png")

    assert parse_term("3:photos/cat.png") == image(Path("photos/cat.png"), weight=3.0)


def test_only_one_weight_is_read() -> None:
    assert parse_term("2:3:cat") == text("3:cat", weight=2.0)


def test_a_path_may_be_relative_to_the_collection(tmp_path: Path) -> None:
    make("root/a/cat.png")

    assert parse_term("a/cat.png", beside=Path("root")) == image(Path("root/a/cat.png"))


@pytest.mark.parametrize("nothing", ["", "   ", [], [[]]])
def test_an_empty_query_is_refused(nothing: object) -> None:
    with pytest.raises(QueryError, match="empty"):
        as_terms(nothing)


def test_words_too_long_for_a_file_name_are_words() -> None:
    words = "cat " * 2000

    assert parse_term(words) == text(words)


def test_everything_that_is_a_query_becomes_its_term() -> None:
    picture = Image.new("RGB", (4, 4))
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    vector = np.ones(8, dtype=np.float32)
    stream = BytesIO(b"x")
    path = make("cat.png")

    kinds = [
        term.kind
        for term in as_terms([picture, pixels, vector, stream, path, b"x", "words", 7, np.int64(8), row(9)])
    ]

    assert kinds == ["image", "image", "vector", "image", "image", "image", "text", "id", "id", "id"]


@pytest.mark.parametrize("odd", [None, True, 1.5, {"a": 1}])
def test_what_is_no_query_is_refused_by_its_type(odd: object) -> None:
    with pytest.raises(QueryError, match=r"query"):
        as_terms(odd)


def test_subtracting_turns_weights_around() -> None:
    assert subtract([text("cat", weight=2.0)]) == (Term(kind="text", value="cat", weight=-2.0),)


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
def test_a_weight_has_a_point_a_sign_or_one_digit_and_no_blank_behind_it(query: str, term: Term) -> None:
    assert parse_term(query) == term


def test_in_python_a_string_is_words_even_if_a_file_has_that_name() -> None:
    make("cat")
    make("2:dog")
    words = ["cat", "2:dog", "2:cat", "a/b", "/etc/passwd", "-", str(Path("cat").absolute())]

    assert as_terms(words) == tuple(text(one) for one in words)
    assert as_terms(Path("cat")) == (image(Path("cat")),)


@pytest.mark.parametrize("name", ["cat.jpg", "photos/cat.PNG", "missing.heic"])
def test_a_string_that_is_named_like_an_image_warns_how_to_ask_with_the_file(name: str) -> None:
    make("cat.jpg")
    with pytest.warns(UserWarning, match=r"Path\('.*'\) or retrieval\.image") as caught:
        terms = as_terms([name])

    assert terms == (text(name),)
    assert caught[0].filename == __file__


def test_the_command_line_does_not_warn() -> None:
    make("cat.jpg")

    assert parse_term("cat.jpg") == image(Path("cat.jpg"))
    assert parse_term("2:cat.jpg") == image(Path("cat.jpg"), weight=2.0)


def test_an_image_is_asked_with_by_its_path_in_one_word(tmp_path: Path) -> None:
    import retrieval

    assert retrieval.image("cat.jpg") == Term(kind="image", value="cat.jpg")
    assert as_terms(retrieval.image("cat.jpg", weight=2.0))[0].weight == 2.0
