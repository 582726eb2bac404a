from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

import retrieval
from benchmarks.synthetic import Recipe, vectors
from indexes.join import self_join
from retrieval.errors import MissingRow, OptionError, StoreClosed

ROWS = vectors(Recipe(rows=2000, dim=32, clusters=40, topics=8))
KEYS = [f"{number:04d}" for number in range(len(ROWS))]
THRESHOLD = 0.93


@pytest.fixture(scope="module", params=["flat", "ivfrabitq", "IVF64,PQ8", "HNSW16,Flat", "PCA16,IVF32,PQ8"])
def photos(request, tmp_path_factory):
    """A collection of each kind, with deleted rows, and rows that its index does not hold yet."""
    folder = tmp_path_factory.mktemp("photos")
    retrieval.sync_vectors(folder, ROWS[:1850], KEYS[:1850], kind=request.param)
    with retrieval.open(folder) as opened:
        opened.add(ROWS[1850:], KEYS[1850:])
        opened.delete(KEYS[100:200])
        yield opened


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    retrieval.sync_vectors(folder, ROWS[:100], KEYS[:100])
    with retrieval.open(folder) as opened:
        yield opened


def truth(photos, asked=None):
    rows = photos.rows.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    reached = np.triu(rows @ rows.T >= THRESHOLD, 1) & photos.live[:, np.newaxis] & photos.live
    if asked is not None:
        flags = np.isin(np.arange(len(rows)), asked)
        reached &= flags[:, np.newaxis] | flags
    return set(zip(*(part.tolist() for part in np.nonzero(reached)), strict=True))


def found(blocks):
    return {pair for part in blocks for pair in zip(part.ids_a.tolist(), part.ids_b.tolist(), strict=True)}


def test_every_kind_gives_all_pairs_of_live_rows(photos) -> None:
    blocks = list(photos.pairs(THRESHOLD, at_most=2000))

    assert found(blocks) == truth(photos)
    assert sum(part.rows for part in blocks) == len(photos) == 1900
    assert len(truth(photos)) > 100


def test_every_kind_gives_nearly_all_through_cells(photos) -> None:
    with patch.object(self_join, "DIRECT", 0):
        pairs = found(photos.pairs(THRESHOLD, at_most=200))

    assert pairs <= truth(photos)
    assert len(pairs) >= 0.97 * len(truth(photos))  # usually 0.995


def test_new_rows_by_key_and_by_id(photos) -> None:
    new = [photos.id_of(key) for key in KEYS[1950:]]

    assert found(photos.pairs(THRESHOLD, at_most=200, since=new)) == truth(photos, new)
    assert found(photos.pairs(THRESHOLD, at_most=200, since=KEYS[1950:])) == truth(photos, new)
    assert list(photos.pairs(THRESHOLD, since=[])) == []


def test_a_stopped_join_goes_on(photos) -> None:
    with patch.object(self_join, "_LARGEST", 350):
        blocks = list(photos.pairs(THRESHOLD))
        rest = list(photos.pairs(THRESHOLD, first_block=4))

    assert [part.block for part in blocks] == list(range(6))
    assert [part.block for part in rest] == [4, 5]
    assert found(blocks) == found(blocks[:4]) | found(rest)


def test_scores_are_those_of_a_search(photos) -> None:
    first, second, scores = next(iter(photos.pairs(THRESHOLD)))
    neighbours = photos.search_vectors(photos.vectors(first[:1]), k=50, exact=True)

    assert scores[0] == pytest.approx(neighbours.scores[neighbours.ids == second[0]].item(), abs=1e-6)


@pytest.mark.parametrize("threshold", [1.5, -2, float("nan"), "0.9", True, None])
def test_a_threshold_is_a_cosine(few, threshold) -> None:
    with pytest.raises(OptionError, match="least cosine"):
        few.pairs(threshold)


def test_what_else_is_refused_at_once(few) -> None:
    with pytest.raises(OptionError, match="at_most"):
        few.pairs(0.9, at_most=0)
    with pytest.raises(OptionError, match="at_most"):
        few.pairs(0.9, at_most=1_000_000)
    with pytest.raises(OptionError, match="first_block"):
        few.pairs(0.9, first_block=-1)
    with pytest.raises(MissingRow):
        few.pairs(0.9, since=[10**6])


def test_a_collection_closed_between_blocks_is_an_error(tmp_path) -> None:
    retrieval.sync_vectors(tmp_path, ROWS[:1000], KEYS[:1000], kind="flat")
    photos = retrieval.open(tmp_path)
    with patch.object(self_join, "_LARGEST", 256):
        blocks = photos.pairs(THRESHOLD)
        next(blocks)
        photos.close()

        with pytest.raises(StoreClosed):
            next(blocks)
