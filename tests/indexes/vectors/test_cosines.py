"""The cosines that people are shown never exceed 1, nor the row's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from indexes.engine.scan.flat import exact
from indexes.vectors.cosines import clipped, rescored
from indexes.vectors.neighbors import Neighbors
from tests.strategies import unit


def near(seed: int, *, rows: int, dim: int, spread: float) -> np.ndarray:
    """Return float16 rows that lie close together: their lengths differ more than their directions."""
    rng = np.random.default_rng(seed)
    centre = unit(1, dim, seed=seed)
    return (centre + spread * rng.standard_normal((rows, dim))).astype(np.float16)


@given(st.integers(0, 10**6), st.sampled_from([2, 3, 8, 64]), st.sampled_from([1e-4, 1e-3, 1e-2, 1.0]))
def test_a_row_is_its_own_first_hit_at_one(seed, dim, spread):
    rows = near(seed, rows=20, dim=dim, spread=spread)
    queries = rows.astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    everything = Neighbors(ids=np.tile(np.arange(20), (20, 1)), scores=np.zeros((20, 20), dtype=np.float32))
    found = rescored(everything, queries, rows)

    own = found.scores[found.ids == np.arange(20)[:, np.newaxis]]
    assert (own == 1).all()
    assert (found.scores <= 1).all()
    assert (np.diff(found.scores, axis=1) <= 0).all()


def test_the_plain_products_are_wrong_where_this_is_right():
    rows = near(7, rows=50, dim=8, spread=1e-3)
    queries = rows.astype(np.float32) / np.linalg.norm(rows.astype(np.float32), axis=1, keepdims=True)
    plain = exact(rows, queries, k=50)

    assert plain.scores.max() > 1
    assert (plain.ids[:, 0] != np.arange(50)).any()
    assert rescored(plain, queries, rows).scores.max() == 1


def test_ties_go_to_the_smaller_id_and_padding_stays_last():
    rows = np.array([[1, 0], [1, 0], [0, 1], [-2, 0]], dtype=np.float16)
    found = Neighbors(
        ids=np.array([[3, 1, 0, -1]]), scores=np.array([[0, 0.3, 0.2, -np.inf]], dtype=np.float32)
    )
    better = rescored(found, np.array([[1, 0]], dtype=np.float32), rows)

    assert better.ids.tolist() == [[0, 1, 3, -1]]
    assert better.scores.tolist() == [[1, 1, -1, -np.inf]]


def test_blocks_of_queries_are_as_all_at_once(monkeypatch):
    rows, queries = unit(40, 16, seed=1).astype(np.float16), unit(30, 16, seed=2)
    found = exact(rows, queries, k=7)
    whole = rescored(found, queries, rows)
    monkeypatch.setattr("indexes.vectors.cosines._FLOATS", 7 * 16 * 4)

    assert (rescored(found, queries, rows).scores == whole.scores).all()
    assert whole.scores == pytest.approx(found.scores, abs=1e-3)


def test_no_rows_and_no_places():
    empty = Neighbors(ids=np.full((2, 3), -1), scores=np.full((2, 3), -np.inf, dtype=np.float32))

    assert rescored(empty, unit(2, 4, seed=0), np.empty((0, 4), np.float16)) is empty
    assert clipped(np.array([-np.inf, -1.5, 0.5, 1.00012], np.float32)).tolist() == [-np.inf, -1, 0.5, 1]


@pytest.mark.parametrize("seed", range(40))
def test_one_query_gets_what_it_gets_among_others(seed):
    draws = np.random.default_rng(seed)
    rows = draws.standard_normal((30, 9)).astype(np.float16)
    rows[draws.integers(0, 30, 8)] = rows[0]  # ties
    rows[5] = 0
    if seed % 4 == 0:
        rows[7] = np.inf
    ids = np.stack([draws.permutation(30)[:12] for _ in range(3)]).astype(np.int64)
    if seed % 3 == 0:
        ids[:, 9:] = -1
    queries = draws.standard_normal((3, 9)).astype(np.float32)
    queries[1] = rows[0]

    with np.errstate(invalid="ignore"):
        every = rescored(Neighbors(ids=ids, scores=np.zeros(ids.shape, np.float32)), queries, rows)
        for number in range(3):
            one = rescored(
                Neighbors(ids=ids[number : number + 1], scores=np.zeros((1, 12), np.float32)),
                queries[number : number + 1],
                rows,
            )
            np.testing.assert_array_equal(one.ids[0], every.ids[number])
            np.testing.assert_array_equal(one.scores[0], every.scores[number])
