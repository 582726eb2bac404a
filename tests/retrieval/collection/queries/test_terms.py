"""Queries are added, subtracted and weighed; what cannot be is refused in a sentence."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

import retrieval
from retrieval.collection.queries.terms import Query, Term, image, row, text, total, vector
from retrieval.errors import QueryError

A, B, C = text("a"), text("b"), text("c")


def weights(query: Query) -> dict[str, float]:
    return {term.value: term.weight for term in query.terms}


def test_a_sum_keeps_its_parts_and_their_weights() -> None:
    assert weights(A + 0.5 * B - C) == {"a": 1, "b": 0.5, "c": -1}
    assert weights(-(A + B * 2) / 4) == {"a": -0.25, "b": -0.5}
    assert weights(A - (B - C)) == {"a": 1, "b": -1, "c": 1}
    assert weights(+A) == {"a": 1}
    assert text("a", weight=2.0) == 2 * A


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_weights_multiply_as_numbers_do(one: float, other: float) -> None:
    assert weights(one * (other * A + B)) == {"a": one * other, "b": one}


@pytest.mark.parametrize("weight", [np.float32(0.5), np.float64(0.5), np.array(0.5), 0.5], ids=repr)
def test_any_number_weighs_from_either_side(weight: object) -> None:
    assert weight * (A + B) == (A + B) * weight == A / 2 + B / 2


def test_sum_adds_a_list_of_queries() -> None:
    assert sum([A, B, C]) == A + B + C == total([A, B, C])


def test_words_and_pictures_may_stand_in_a_sum() -> None:
    picture = Image.new("RGB", (2, 2))

    assert A + "b" == A + B
    assert "b" - A == B - A
    assert [term.kind for term in (picture - A + Path("x")).terms] == ["image", "text", "image"]
    assert (A + b"x").terms[1] == Term(kind="image", value=b"x")


@pytest.mark.parametrize("number", [7, 1, np.int64(3)], ids=repr)
def test_a_number_in_a_sum_may_be_a_row_or_a_slip(number: int) -> None:
    for wrong in (lambda: A + number, lambda: number + A, lambda: A - number):
        with pytest.raises(QueryError, match=rf"retrieval\.row\({number}\)"):
            wrong()


@pytest.mark.parametrize("weight", ["2", None, True, [1, 2], np.ones(2), 1j, B], ids=repr)
def test_what_is_no_weight_is_refused(weight: object) -> None:
    for wrong in (
        lambda: A * weight,
        lambda: weight * A,
        lambda: A / weight,
        lambda: text("a", weight=weight),
    ):
        with pytest.raises(QueryError, match="is no weight; multiply"):
            wrong()


def test_a_query_is_not_divided_by_zero() -> None:
    with pytest.raises(QueryError, match="by 0"):
        A / 0


@pytest.mark.parametrize("other", [None, {"a": 1}, ["a", "b"], {"a"}, 1.5, np.ones(3), True], ids=repr)
def test_what_is_no_query_is_no_part_of_a_sum(other: object) -> None:
    with pytest.raises(QueryError, match=r"write retrieval\.image\(…\) or retrieval\.vector"):
        A + other
    with pytest.raises(QueryError, match=r"write retrieval\.image\(…\) or retrieval\.vector"):
        other - A


@pytest.mark.parametrize("words", ["", "  ", 5, None, b"cat"], ids=repr)
def test_words_are_text_that_is_not_empty(words: object) -> None:
    with pytest.raises(QueryError, match=r"empty|is no text; give words"):
        text(words)


@pytest.mark.parametrize("source", [None, 5, {"a": 1}, [1, 2]], ids=repr)
def test_what_is_no_image_is_refused_by_its_type(source: object) -> None:
    with pytest.raises(QueryError, match=f"{type(source).__name__} is no image; give a path"):
        image(source)


@pytest.mark.parametrize("numbers", ["x", None, [[1, 2], [3]], np.ones((2, 3)), ["a"], [True]], ids=repr)
def test_what_is_no_vector_is_refused(numbers: object) -> None:
    with pytest.raises(QueryError, match=r"is no vector; give \(d,\) real numbers"):
        vector(numbers)


def test_a_query_shows_how_it_can_be_typed() -> None:
    query = -2 * image("a.jpg") + 0.5 * text("at night") - row(7) + vector(np.ones(3)) - image(b"x")

    assert (
        repr(query)
        == "-2 * image('a.jpg') + 0.5 * text('at night') - row(7) + vector(<3 numbers>) - image(<bytes>)"
    )
    assert repr(A) == "text('a')"


def test_a_query_is_not_changed_by_a_sum_and_travels_in_a_pickle() -> None:
    before = A + B
    _ = 2 * before - C

    assert before == A + B
    assert pickle.loads(pickle.dumps(before)) == before  # noqa: S301 - our own


def test_an_empty_sum_is_no_query() -> None:
    with pytest.raises(QueryError, match="empty"):
        total([])


def test_the_public_names_make_queries() -> None:
    query = (
        retrieval.image("cat.jpg", weight=2.0)
        + retrieval.text("x")
        + retrieval.row(3)
        + retrieval.vector([1.0])
    )

    assert [term.kind for term in query.terms] == ["image", "text", "id", "vector"]
    assert query.terms[0] == Term(kind="image", value="cat.jpg", weight=2.0)
    assert isinstance(query, retrieval.Query)


def test_the_old_name_of_a_query_is_its_part() -> None:
    with pytest.warns(DeprecationWarning, match=r"retrieval\.Query"):
        old = retrieval.Term

    assert old is Term


def test_a_path_is_an_image_whatever_its_name(tmp_path: Path) -> None:
    assert image(tmp_path / "x").terms == (Term(kind="image", value=tmp_path / "x"),)


def test_queries_by_vectors_and_pixels_compare() -> None:
    ones, pixels = np.ones(4), np.zeros((2, 2), np.uint8)

    assert vector(ones) + A == vector(np.ones(4)) + A
    assert vector(ones) != vector(np.zeros(4))
    assert vector(ones) != 2 * vector(ones)
    assert image(pixels) == image(pixels.copy())
    assert len({vector(ones), vector(np.ones(4)), A, text("a")}) == 2
