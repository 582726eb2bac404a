"""What names say of rows: how much of a query they cover, and how rare that is."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import pytest

from indexes.vectors import Ids
from retrieval.names import lookup
from retrieval.names.lookup import LookedUp, look_up
from retrieval.names.name_index import NameIndex
from retrieval.names.words import asked_words

WORDS = [f"{letter}o" for letter in "bcdfghjklm"]


def index_of(texts: list[list[str]]) -> NameIndex:
    index = NameIndex()
    index.add(texts)
    return index


def found(
    texts: list[list[str]], query: str, *, allowed: set[int] | None = None, all_rows: bool = False
) -> LookedUp:
    def shown(ids: Ids) -> np.ndarray:
        return np.array([allowed is None or number in allowed for number in ids.tolist()], dtype=np.bool_)

    def named_by(ids: Ids) -> Iterable[set[str]]:
        return (set(texts[number]) for number in ids.tolist())

    return look_up(
        asked_words(query),
        [(0, index_of(texts))],
        rows=len(texts),
        allowed=shown,
        named_by=named_by,
        doubtful=lambda ids: np.zeros(len(ids), dtype=np.bool_),
        all_rows=all_rows,
    )


@pytest.mark.parametrize("common", [1_000, 20])
def test_each_row_has_the_words_that_it_has(monkeypatch: pytest.MonkeyPatch, common: int) -> None:
    monkeypatch.setattr("retrieval.names.lookup.COMMON", common)
    monkeypatch.setattr("retrieval.names.name_index.COMMON", common)
    rng = random.Random(0)
    texts = [[word for place, word in enumerate(WORDS) if rng.random() < 1 / (place + 2)] for _ in range(200)]

    looked = found(texts, "bo ho mo zo")

    rare = [word.text for word, often in zip(looked.words, looked.common, strict=True) if not often]
    assert looked.ids.tolist() == [row for row, text in enumerate(texts) if set(text) & set(rare)]
    for row, has in zip(looked.ids.tolist(), looked.has, strict=True):
        assert [word.text for word, flag in zip(looked.words, has, strict=True) if flag] == [
            word.text for word in looked.words if word.text in texts[row]
        ]
    assert looked.held.tolist() == [True, True, True, False]
    every = found(texts, "bo ho mo zo", all_rows=True)
    assert every.ids.tolist() == [row for row, text in enumerate(texts) if set(text) & {"bo", "ho", "mo"}]


def test_more_of_the_query_says_more_and_rare_words_say_more() -> None:
    texts = [["valio", "vanilla"], ["valio"], ["vanilla"], *[["vanilla"]] * 40, *[["other"]] * 100]

    looked = found(texts, "valio vanilla")
    gains = dict(zip(looked.ids.tolist(), looked.gains(looked.has).tolist(), strict=True))

    assert gains[0] > gains[1] > gains[2] > 0
    assert max(gains.values()) <= 1


def test_a_word_that_all_rows_have_says_nothing() -> None:
    looked = found([["photos", "a1"], ["photos", "b1"]], "photos")

    assert looked.gains(looked.has).tolist() == [0.0] * len(looked.ids)


def test_rows_that_may_not_be_found_are_not() -> None:
    assert found([["bo"]] * 6, "bo", allowed={2, 4}).ids.tolist() == [2, 4]


def test_doubtful_rows_are_looked_at_as_they_are_now() -> None:
    index = index_of([["bo", "co"], ["bo"], ["co"]])

    looked = look_up(
        asked_words("bo co"),
        [(0, index)],
        rows=3,
        allowed=lambda ids: np.ones(len(ids), dtype=np.bool_),
        named_by=lambda ids: ({"co"} if number == 0 else set() for number in ids.tolist()),
        doubtful=lambda ids: ids < 2,
    )

    assert looked.ids.tolist() == [0, 2]
    assert looked.has.tolist() == [[False, True], [False, True]]


def test_rows_of_two_indexes_are_joined() -> None:
    looked = look_up(
        asked_words("bo"),
        [(0, index_of([["bo"], ["co"]])), (2, index_of([["co"], ["bo"]]))],
        rows=4,
        allowed=lambda ids: np.ones(len(ids), dtype=np.bool_),
        named_by=lambda _ids: [],
        doubtful=lambda ids: np.zeros(len(ids), dtype=np.bool_),
    )

    assert looked.ids.tolist() == [0, 3]


def test_a_rare_word_is_worth_more_in_a_large_collection() -> None:
    assert lookup._rarity(10, 100_000) > lookup._rarity(10, 1_000) > lookup._rarity(10, 20) > 0
    assert lookup._rarity(1, 1_000_000) == pytest.approx(1, abs=1e-5)
    assert lookup._rarity(5, 5) == 0
    assert lookup._rarity(0, 0) == 1
