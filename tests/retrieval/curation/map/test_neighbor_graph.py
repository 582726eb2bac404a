"""Neighbours within some rows: those of exact search, none of itself, none of other rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.curation.map import neighbor_graph as module
from retrieval.curation.map.neighbor_graph import neighbor_graph


@pytest.fixture
def rows(tmp_path: Path):
    with retrieval.create(tmp_path / "rows", dim=16) as collection:
        collection.add(np.random.default_rng(3).standard_normal((60, 16)))
        yield collection


def expected(vectors: np.ndarray, number: int) -> np.ndarray:
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    return np.argsort(-cosines, axis=1)[:, :number]


def test_the_nearest_others_are_found(rows) -> None:
    graph = neighbor_graph(rows, rows.mask(), number=5)

    assert np.array_equal(graph.places, expected(rows.vectors(), 5))


def test_places_are_those_among_the_rows_asked_for(rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 7)
    mask = np.arange(60) % 2 == 1

    graph = neighbor_graph(rows, mask, number=4)

    assert np.array_equal(graph.places, expected(rows.vectors(np.flatnonzero(mask)), 4))


def test_an_index_that_finds_too_few_is_asked_exactly(rows, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = neighbor_graph(rows, rows.mask(), number=3)
    monkeypatch.setattr(module, "_EXACT", 0)
    search = type(rows).search_vectors

    def forgetful(self, vectors, *, exact=False, **options):
        found = search(self, vectors, exact=exact, **options)
        if not exact:
            found.ids[::2, 1:] = -1
        return found

    monkeypatch.setattr(type(rows), "search_vectors", forgetful)

    assert np.array_equal(neighbor_graph(rows, rows.mask(), number=3).places, whole.places)


def test_fewer_rows_than_neighbours_give_all_others(rows) -> None:
    mask = np.arange(60) < 3

    assert neighbor_graph(rows, mask, number=9).places.shape == (3, 2)
    assert neighbor_graph(rows, np.arange(60) < 1, number=9).places.shape == (1, 0)
