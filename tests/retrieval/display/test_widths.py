"""Texts are shortened by the columns that they take."""

import pytest

from retrieval.display import cells, first_words


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["cat"], "cat"),
        (["cat", "dog"], "cat, dog"),
        (["x" * 40], "x" * 40),
        (["x" * 100_000], "x" * 39 + "…"),
        ([str(number) for number in range(1_012)], "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1,002 more"),
    ],
)
def test_the_first_words_are_named_and_the_others_counted(words, expected):
    assert first_words(words) == expected


def test_wide_characters_take_two_columns_of_a_word():
    shown = first_words(["猫" * 50, "\x1b"], repr)

    assert shown == "'" + "猫" * 19 + "…', '\\x1b'"
    assert cells(shown.split(",")[0].strip("'")) <= 40
