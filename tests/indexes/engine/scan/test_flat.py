from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from indexes.engine import flat
from indexes.engine.backend import fp16_view
from indexes.engine.scan.products import Brief, Floats
from indexes.errors import OptionError, ShapeError
from tests.strategies import unit

PATHS = {
    "scanned": {"_SCANNED": 10**9},
    "scanned in threads": {"_SCANNED": 10**9, "_PARALLEL_BYTES": 0, "threads": lambda: 3},
    "scanned, never gathered": {"_SCANNED": 10**9, "_GATHERED": 0},
    "multiplied": {"_SCANNED": 0, "_TILE": 16},
    "multiplied in threads": {"_SCANNED": 0, "_TILE": 16, "threads": lambda: 3},
    "multiplied, never gathered": {"_SCANNED": 0, "_TILE": 16, "_GATHERED": 0, "threads": lambda: 2},
    "multiplied, few queries at a time": {"_SCANNED": 0, "_TILE": 16, "_QUERIES": 3},
    "multiplied briefly": {"_SCANNED": 0, "_TILE": 16, "_ROWS_PER_PLACE": 0},
    "multiplied briefly in threads": {
        "_SCANNED": 0,
        "_TILE": 16,
        "_TILES": 4,
        "_ROWS_PER_PLACE": 0,
        "_GATHERED": 0,
        "threads": lambda: 3,
    },
    "as it comes": {},
}


def plain(rows, queries, *, k, keep=None):
    """Score every pair as `flat` does at the end, and sort."""
    n, q = len(rows), len(queries)
    whose, found = np.repeat(np.arange(q), n), np.tile(np.arange(n), q)
    scores = flat._cosines(rows, queries, (whose, found)).reshape(q, n)
    if keep is not None:
        scores[:, ~keep] = -np.inf
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    scores = np.take_along_axis(scores, ids, axis=1)
    ids = np.where(np.isneginf(scores), -1, ids)
    short = max(0, k - n)
    return (
        np.pad(ids, ((0, 0), (0, short)), constant_values=-1),
        np.pad(scores, ((0, 0), (0, short)), constant_values=-np.inf),
    )


def take(path):
    stack = ExitStack()
    for name, value in PATHS[path].items():
        stack.enter_context(patch.object(flat, name, value))
    return stack


@settings(max_examples=60)
@given(
    n=st.integers(1, 150),
    dim=st.integers(1, 24),
    k=st.integers(1, 40),
    distinct=st.integers(1, 150),
    first=st.integers(0, 10),
    seed=st.integers(0, 2**32 - 1),
)
@example(n=150, dim=8, k=3, distinct=1, first=2, seed=0)  # all rows equal
def test_one_query_with_a_view_equals_the_plain_way(n, dim, k, distinct, first, seed):
    rng = np.random.default_rng(seed)
    rows = unit(distinct, dim, seed=seed)[rng.integers(distinct, size=n)].astype(np.float16)
    query = unit(1, dim, seed=seed + 1)
    found = flat.exact(rows, query, k=k, view=fp16_view(rows), first_id=first)
    ids, scores = plain(rows, query, k=k)

    np.testing.assert_array_equal(found.ids, np.where(ids < 0, -1, ids + first))
    np.testing.assert_array_equal(found.scores, scores)


@settings(max_examples=60)
@given(
    n=st.integers(1, 600),
    dim=st.integers(1, 24),
    k=st.integers(1, 40),
    distinct=st.integers(1, 150),
    seed=st.integers(0, 2**32 - 1),
)
@example(n=600, dim=8, k=3, distinct=1, seed=0)  # all rows equal
def test_one_query_without_faiss_equals_the_plain_way(n, dim, k, distinct, seed):
    rng = np.random.default_rng(seed)
    rows = unit(distinct, dim, seed=seed)[rng.integers(distinct, size=n)].astype(np.float16)
    query = unit(1, dim, seed=seed + 1)
    with patch.object(flat, "can_wait", return_value=True):
        found = flat.without_faiss(rows, query, k=k)
        among = flat.exact_among(rows, query, np.arange(0, n, 2), k=k)
    ids, scores = plain(rows, query, k=k)
    some = plain(rows[::2], query, k=k)

    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_array_equal(found.scores, scores)
    np.testing.assert_array_equal(among.ids, np.where(some[0] < 0, -1, 2 * some[0]))
    np.testing.assert_array_equal(among.scores, some[1])


def test_rows_that_are_no_numbers_are_left_to_faiss():
    rows = unit(30, 8, seed=0).astype(np.float16)
    rows[3] = np.nan
    with patch.object(flat, "can_wait", return_value=True):
        assert flat.without_faiss(rows, unit(1, 8, seed=1), k=10) is None


def test_rows_that_are_no_numbers_are_told_apart_with_a_view_as_without():
    rows = unit(30, 8, seed=0).astype(np.float16)
    rows[3:28] = np.nan
    query = unit(1, 8, seed=1)
    found, plainly = (flat.exact(rows, query, k=10, view=view) for view in (fp16_view(rows), None))

    np.testing.assert_array_equal(found.ids, plainly.ids)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=40)
@given(
    n=st.integers(0, 150),
    dim=st.integers(1, 24),
    q=st.integers(0, 9),
    k=st.integers(1, 40),
    distinct=st.integers(1, 150),
    kept=st.none() | st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
@example(n=150, dim=8, q=5, k=3, distinct=1, kept=None, seed=0)  # all rows equal
@example(n=150, dim=8, q=5, k=3, distinct=2, kept=0.5, seed=0)
def test_every_path_equals_the_plain_one(path, n, dim, q, k, distinct, kept, seed):
    rng = np.random.default_rng(seed)
    rows = unit(distinct, dim, seed=seed)[rng.integers(distinct, size=n)].astype(np.float16)
    queries = unit(q, dim, seed=seed + 1)
    keep = None if kept is None else rng.random(n) < kept
    with take(path):
        found = flat.exact(rows, queries, k=k, keep=keep)
    ids, scores = plain(rows, queries, k=k, keep=keep)

    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_array_equal(found.scores, scores)


@pytest.mark.parametrize("width", [8, 512])
@pytest.mark.parametrize("scale", [1, 1e-4, 1e-6], ids=["dense", "uneven", "nearly zero"])
def test_brief_products_are_off_by_no_more_than_they_say(scale, width):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1500, width)) * np.where(rng.random((1500, width)) < 0.5, 1, scale)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    queries = unit(6, width, seed=2)
    true = rows.astype(np.float64) @ queries.astype(np.float64).T
    for product in (Brief(queries), Floats(queries)):
        scores = np.empty(true.shape, dtype=np.float32)
        product.scores(rows, scores)
        off = np.abs(scores - true)

        assert (off <= product.error).all()
        assert off.max() > 0

    # Every component loses the most that it can, and none makes up for another.
    aligned = np.full((1, width), (1 + 7 / 1024) * 2.0 ** -np.ceil(np.log2(width) / 2), dtype=np.float16)
    brief = Brief(np.full((1, width), width**-0.5, dtype=np.float32))
    score = np.empty((1, 1), dtype=np.float32)
    brief.scores(aligned, score)
    off = abs(score - aligned.astype(np.float64).sum() * width**-0.5).item()

    assert brief.error[0] / 3 < off <= brief.error[0]


def test_rows_too_much_alike_for_brief_products_are_told_apart_by_floats():
    rng = np.random.default_rng(0)
    rows = unit(1, 32, seed=1) + 0.003 * rng.standard_normal((20_000, 32))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    queries = unit(6, 32, seed=2)
    with patch.object(flat, "Floats", wraps=Floats) as floats:
        found = flat.exact(rows, queries, k=3)
    ids, scores = plain(rows, queries, k=3)

    assert floats.called
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_array_equal(found.scores, scores)


@pytest.mark.parametrize("q", [1, 3, 9, 40])
def test_agrees_with_double_precision(q):
    rows, queries = unit(5000, 64, seed=1).astype(np.float16), unit(q, 64, seed=2)
    found = flat.exact(rows, queries, k=10)
    scores = queries.astype(np.float64) @ rows.astype(np.float64).T
    true = np.argsort(-scores, axis=1)[:, :10]

    np.testing.assert_array_equal(found.ids, true)
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, true, axis=1), atol=1e-6)
    assert found.ids.dtype == np.int64
    assert found.scores.dtype == np.float32


def test_batches_of_every_size_give_the_same_bits():
    rows, queries = unit(6000, 32, seed=1).astype(np.float16), unit(64, 32, seed=2)
    whole = flat.exact(rows, queries, k=7)
    for size in (1, 2, 5, 33):
        part = flat.exact(rows, queries[:size], k=7)

        np.testing.assert_array_equal(part.ids, whole.ids[:size])
        np.testing.assert_array_equal(part.scores, whole.scores[:size])


@pytest.mark.parametrize("q", [1, 8])
def test_copies_beyond_counting_are_ordered_by_id(q):
    rows = np.repeat(unit(1, 16, seed=1), 20_000, axis=0).astype(np.float16)
    found = flat.exact(rows, unit(q, 16, seed=2), k=5)

    np.testing.assert_array_equal(found.ids, np.tile(np.arange(5), (q, 1)))


def test_a_stored_row_is_its_own_first_hit():
    rows = unit(300, 128, seed=1)
    found = flat.exact(rows.astype(np.float16), rows, k=1)

    np.testing.assert_array_equal(found.ids[:, 0], np.arange(300))
    np.testing.assert_allclose(found.scores, 1, atol=1e-3)


def test_ids_count_from_first_id_and_padding_stays():
    found = flat.exact(unit(2, 4, seed=1).astype(np.float16), unit(1, 4, seed=2), k=3, first_id=100)

    assert sorted(found.ids[0, :2]) == [100, 101]
    assert found.ids[0, 2] == -1
    assert np.isneginf(found.scores[0, 2])


def test_a_mapped_file_is_searched_like_an_array(tmp_path):
    rows = unit(500, 16, seed=1).astype(np.float16)
    rows.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", np.float16, "r", shape=rows.shape)
    for q in (1, 20):
        queries = unit(q, 16, seed=2)

        np.testing.assert_array_equal(
            flat.exact(mapped, queries, k=5).ids, flat.exact(rows, queries, k=5).ids
        )


def test_every_finite_half_becomes_the_same_float():
    halves = np.arange(65_536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    out = np.empty(len(halves), dtype=np.float32)
    flat.floats(halves, out)

    np.testing.assert_array_equal(out, halves.astype(np.float32))


def test_refuses_what_does_not_fit():
    rows, queries = unit(5, 8, seed=1).astype(np.float16), unit(2, 8, seed=2)
    with pytest.raises(ShapeError, match=r"expected \(q, 8\)"):
        flat.exact(rows, unit(2, 7, seed=1), k=1)
    with pytest.raises(ShapeError, match=r"expected \(5,\) flags"):
        flat.exact(rows, queries, k=1, keep=np.ones(4, dtype=np.bool_))
    with pytest.raises(OptionError, match="at least 1"):
        flat.exact(rows, queries, k=0)


def test_one_querys_candidates_get_the_scores_and_places_that_they_get_among_many():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 24)).astype(np.float16)
    rows[7] = rows[300]  # a tie
    queries = rows[[7, 20]].astype(np.float32)
    ids = np.stack([rng.permutation(400)[:60], rng.permutation(400)[:60]])
    ids[0, :2] = 300, 7
    ids[0, 2:] = np.where(np.isin(ids[0, 2:], (7, 300)), -1, ids[0, 2:])
    ids[1, 5:] = -1
    together = flat.scored(rows, queries, ids, k=10)

    for number in range(2):
        alone = flat.scored(rows, queries[number : number + 1], ids[number : number + 1], k=10)
        np.testing.assert_array_equal(alone.ids[0], together.ids[number])
        np.testing.assert_array_equal(alone.scores[0], together.scores[number])
