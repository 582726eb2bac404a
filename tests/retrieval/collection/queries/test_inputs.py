"""What `search` takes: each kind of input is one query, a batch, or one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from retrieval.collection.queries.inputs import as_batch, as_minus, as_query
from retrieval.collection.queries.terms import Query, Term, image, row, text, vector
from retrieval.errors import QueryError
from tests.strategies import name_of

WORDS, MATRIX = ["a dog", "a cat"], np.ones((3, 4), np.float32)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.png").write_bytes(b"x")


def kind(query: object) -> str:
    (term,) = as_query(query).terms
    return term.kind


@pytest.mark.parametrize(
    ("expected", "query"),
    [
        ("text", "a dog"), ("text", "cat.png/.."), ("text", "/etc/hosts"), ("text", "a/b"), ("text", np.str_("a dog")),
        ("image", Path("cat.png")), ("image", b"x"), ("image", bytearray(b"x")), ("image", memoryview(b"x")),
        ("image", BytesIO(b"x")), ("image", Image.new("L", (4, 4))),
        ("image", np.zeros((4, 4), np.uint8)), ("image", np.zeros((4, 4, 3), np.uint8)), ("image", np.zeros((4, 4, 4), np.uint8)),
        ("image", torch.zeros((4, 4, 3), dtype=torch.uint8)),
        ("id", 7), ("id", np.int64(7)), ("id", np.array(7)),
        ("vector", np.ones(4)), ("vector", np.ones(4, np.float16)), ("vector", np.ones((1, 4))), ("vector", np.ones(4, np.int64)),
        ("vector", [0.5, 1, np.float32(2)]), ("vector", (0.5, 1.0)), ("vector", [1, 2, 3]),
        ("vector", torch.ones(4)), ("vector", torch.ones((1, 4), dtype=torch.bfloat16, requires_grad=True)),
        ("vector", pd.Series([1.0, 2.0])),
    ],
    ids=name_of,
)  # fmt: skip
def test_everything_that_is_one_query_is_read_as_its_kind(expected: str, query: object) -> None:
    assert kind(query) == expected
    assert isinstance(as_batch(query), Query)


@pytest.mark.parametrize(
    "batch",
    [
        WORDS, tuple(WORDS), np.array(WORDS), np.array(WORDS, dtype=object), pd.Series(WORDS), ["one"], [[0.1, 0.2], [0.3, 0.4]],
        MATRIX, torch.ones((3, 4)), np.ones((3, 4), np.float16), pd.DataFrame(MATRIX), np.zeros((5, 4, 4, 3), np.uint8),
        [Image.new("RGB", (2, 2))], [Path("cat.png"), "words", 3], [np.ones(3), np.ones(3)], [b"x", b"y"],
    ],
    ids=name_of,
)  # fmt: skip
def test_a_list_or_a_matrix_is_a_batch_of_single_queries(batch: object) -> None:
    items = as_batch(batch)

    assert not isinstance(items, Query)
    assert len(items) == len(batch)
    assert all(len(as_query(item).terms) == 1 for item in items)


@pytest.mark.parametrize(
    "empty", [[], (), np.empty((0, 4), np.float32), np.empty(0, dtype=object)], ids=name_of
)
def test_an_empty_batch_has_no_queries(empty: object) -> None:
    assert list(as_batch(empty)) == []


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (None, "None is no query; give words"), (True, "a truth value is no query"), (np.True_, "a truth value"),
        (1.5, "a row's id is an integer"), ({"a": 1}, "a dict is no query; give words"),
        ({"a"}, "a set has no order; give the queries in a list"), (frozenset("a"), "in a list"),
        ((word for word in WORDS), "a generator can be read only once; give the queries in a list"),
        (iter(WORDS), "in a list"), (map(str, WORDS), "in a list"),
        (np.ones((4, 4, 3)), r"astype\('uint8'\)"), (np.ones(4, bool), "`mask=`"), (np.ones(4, complex), "is no query"),
        (object(), "object is no query; give words"), ("", "is empty"), ("  ", "is empty"), (Path("missing.jpg"), "'missing.jpg': no such file"),
        (Path("."), "a folder, not an image; name a file in it"), (np.float32(1.5), "a row's id is an integer"), (print, "is no query"),
    ],
    ids=name_of,
)  # fmt: skip
def test_what_is_no_query_says_what_to_type(query: object, sentence: str) -> None:
    with pytest.raises(QueryError, match=sentence) as caught:
        as_batch(query)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("batch", [WORDS, MATRIX, [WORDS]], ids=name_of)
def test_a_batch_is_no_single_query(batch: object) -> None:
    with pytest.raises(QueryError, match=r"room for one query; add several with \+"):
        as_query(batch)


def test_a_string_that_is_named_like_an_image_warns_how_to_ask_with_the_file() -> None:
    for name in ("cat.png", "photos/cat.PNG", "missing.heic"):
        with pytest.warns(UserWarning, match=r"Path\('.*'\) or retrieval\.image") as caught:
            query = as_query(name)

        assert query == text(name)
        assert caught[0].filename == __file__


def test_a_string_is_words_even_if_a_file_has_that_name(tmp_path: Path) -> None:
    (tmp_path / "cat").write_bytes(b"x")

    for words in ("cat", "2:cat", "-", str(tmp_path / "cat")):
        assert as_query(words) == text(words)
    assert as_query(Path("cat")) == image(Path("cat"))


def test_a_path_may_be_relative_to_the_collections_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert as_query(Path("cat.png"), beside=tmp_path) == image(tmp_path / "cat.png")


def test_a_query_and_its_part_are_queries() -> None:
    assert as_query(row(3)) == row(3)
    assert as_query(Term(kind="id", value=3)) == row(3)


def test_what_to_steer_away_from_is_one_query_or_several() -> None:
    assert as_minus(()) == as_minus([]) == ()
    assert as_minus("a") == as_minus(["a"]) == (text("a"),)
    assert as_minus([text("a"), 3]) == (text("a"), row(3))
    (given,) = as_minus([0.5, 1.0])
    assert given.terms[0].kind == "vector"


def test_a_vector_is_flat_and_its_numbers_stay() -> None:
    for given in (np.ones((1, 4), np.float16), torch.ones(1, 4), [1.0] * 4):
        np.testing.assert_array_equal(vector(given).terms[0].value, np.ones(4))


def test_a_pipe_is_read_once() -> None:
    class Pipe:
        def __init__(self) -> None:
            self.chunks: Iterator[bytes] = iter([b"all"])

        def read(self) -> bytes:
            return next(self.chunks)

    assert image(Pipe()).terms[0].value == b"all"


@pytest.mark.parametrize("tensor", [torch.eye(4)[:1].to_sparse(), torch.ones(4, device="meta")])
def test_a_tensor_that_numpy_cannot_read_is_refused(tensor: torch.Tensor) -> None:
    with pytest.raises(QueryError, match="Tensor cannot be read as an array"):
        as_query(tensor)
