"""A column of a CSV file is of numbers or of texts as a whole."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from retrieval.sources.listings.cells import Cells


def column(*texts: str) -> Cells:
    cells = Cells("x")
    for number, text in enumerate(texts, start=2):
        cells.count(number, text)
    return cells


def values(*texts: str) -> list[object]:
    cells = column(*texts)
    return [cells.value(text) for text in texts]


MISSING = [
    "",
    "nan",
    "NaN",
    "NAN",
    "-nan",
    "NA",
    "N/A",
    "#N/A",
    "null",
    "NULL",
    "None",
    "inf",
    "-inf",
    "+Inf",
    "Infinity",
    " nan ",
]


@pytest.mark.parametrize("missing", MISSING)
def test_a_column_of_numbers_has_gaps(missing: str) -> None:
    assert values("3", missing, "-0.25") == [3, None, -0.25]


@pytest.mark.parametrize("missing", [text for text in MISSING if text])
def test_such_words_stay_in_a_column_of_texts(missing: str) -> None:
    assert values("Oslo", missing, "") == ["Oslo", missing, None]
    assert values(missing, "") == [missing, None]  # NA may be Namibia


@pytest.mark.parametrize(
    "identifier", ["007", "00", "-01", "1234567890123456", "12E3", "1,5", "0x10", "1_000", "2019-05-01", "٣"]
)
def test_one_identifier_makes_the_whole_column_text(identifier: str) -> None:
    assert values("186", identifier, "", "nan", "0.5") == ["186", identifier, None, "nan", "0.5"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-12", -12),
        (" 12 ", 12),
        ("123456789012345", 123456789012345),
        ("0.30000000000000004", 0.1 + 0.2),
        ("1e-05", 1e-05),
        ("-2.5e+20", -2.5e20),
    ],
)
def test_what_is_a_number(text: str, number: float) -> None:
    assert values(text) == [number]
    assert type(values(text)[0]) is type(number)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1))
def test_what_python_writes_of_floats_is_read_as_it_was(numbers: list[float]) -> None:
    finite = [number if math.isfinite(number) else None for number in numbers]
    found = values(*map(repr, numbers))

    assert found == (
        finite if any(number is not None for number in finite) else [repr(one) for one in numbers]
    )


def test_a_column_is_told_of_where_most_of_it_looks_otherwise() -> None:
    assert column("1", "2", "3").surprise == ""
    assert column("1", "", "3").surprise == ""  # an empty cell says nothing, in any column
    assert column("1", "a", "b").surprise == ""
    assert column("a", "nan").surprise == ""
    assert column("1", "nan", "NA").surprise == (
        "column x is of numbers; 2 cells say that there is none, such as 'nan' in line 3: such an image lacks the column"
    )
    assert column("1", "", "2", "ca. 3").surprise == (
        "column x is text, though 2 of 3 cells are numbers: line 5 has 'ca. 3'"
    )
    assert column("007", "186").surprise.endswith("line 2 has '007', and a number would lose its zeros")


def test_a_cell_that_was_no_word_when_the_column_was_counted_stays_what_it_is() -> None:
    assert column("1", "2").value("later") == "later"
