"""Examples make a query that finds images like the wanted ones, and fewer of those like the unwanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.collection import Collection
from retrieval.errors import QueryError
from tests.retrieval.curation.labels.conftest import DIM, KINDS

ROW = retrieval.row


def kinds_of(hits: retrieval.Hits) -> list[str]:
    return [KINDS[hit.id % len(KINDS)] for hit in hits]


def test_the_hits_are_like_the_examples_and_none_of_them(animals: Collection) -> None:
    query = retrieval.query_by_examples(animals, [ROW(1), ROW(5)], [ROW(2)])

    hits = animals.search(query, k=20)

    assert kinds_of(hits) == ["cat"] * 20
    assert not {1, 2, 5} & {hit.id for hit in hits}


def test_an_unwanted_example_leads_away_from_its_kind(animals: Collection) -> None:
    both = [ROW(1), ROW(2)]  # a cat and a dog
    every = range(len(animals))

    def dogs(query: retrieval.Query) -> float:
        scores = {hit.id: hit.score for hit in animals.search(query, k=len(every))}
        return float(np.mean([score for number, score in scores.items() if number % 4 == 2]))

    assert dogs(retrieval.query_by_examples(animals, both, [ROW(6), ROW(10)])) < dogs(
        retrieval.query_by_examples(animals, both)
    )


def test_one_example_may_stand_alone(animals: Collection) -> None:
    alone = animals.encode(retrieval.query_by_examples(animals, ROW(1)))

    np.testing.assert_array_equal(alone, animals.encode(retrieval.query_by_examples(animals, [ROW(1)])))


def test_what_makes_no_query_is_refused(animals: Collection, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="no example of what you want"):
        retrieval.query_by_examples(animals, [], [ROW(1)])
    with (
        retrieval.create(tmp_path / "empty", dim=DIM) as empty,
        pytest.raises(QueryError, match="holds no images"),
    ):
        retrieval.query_by_examples(empty, retrieval.vector(np.ones(DIM)))
