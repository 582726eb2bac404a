"""What is told of a query and its rows."""

import numpy as np

from retrieval.collection.relevance import FIRST, signals
from retrieval.collection.relevance.match_signals import OF_QUERY, OF_ROW, first_distinct
from tests.retrieval.collection.relevance.worlds import background, things, unit


def found(seed: int = 0, rows: int = 8):
    rng = np.random.default_rng(seed)
    vectors, _ = things(rng, kinds=1, each=rows + 1)
    usual = background(rng)
    query, others = vectors[0], vectors[1:]
    return query, others[np.argsort(-(others @ query))], usual


def test_copies_count_once_and_only_the_first_do() -> None:
    rows = unit(np.random.default_rng(0).standard_normal((9, 16)))
    with_copies = rows[[0, 0, 1, 2, 1, 3, 4, 5]]

    assert first_distinct(with_copies @ with_copies.T) == [0, 2, 3, 5, 6]
    assert first_distinct(rows[:2] @ rows[:2].T) == [0, 1]
    assert len(first_distinct(rows @ rows.T)) == FIRST


def test_likeness_is_the_cosine_around_the_mean_of_the_background() -> None:
    query, rows, usual = found(rows=12)
    rows[3] = rows[1]  # a copy, which is none of the first
    near = unit(usual.vectors - usual.mean) @ unit(query - usual.mean)
    first, tops = [0, 1, 2, 4, 5], np.argsort(-near)[:5]
    moved = unit(np.concatenate([rows, usual.vectors[tops]]) - usual.mean)
    alike = moved @ moved.T
    heads = alike[np.ix_(first, first)]

    told = signals(query, rows, usual, looked_at=10, searched=12)

    by_name = dict(zip(OF_QUERY, told.query, strict=True))
    np.testing.assert_allclose(by_name["how alike the first are"], (heads.sum() - 5) / 20, atol=1e-5)
    np.testing.assert_allclose(
        by_name["how alike the first of the background are"], (alike[12:, 12:].sum() - 5) / 20, atol=1e-5
    )
    np.testing.assert_allclose(
        by_name["how alike the first are to those"], alike[np.ix_(first, range(12, 17))].mean(), atol=1e-5
    )
    like_heads = alike[:12, first].mean(axis=1)
    like_heads[first] = (heads.sum(axis=1) - 1) / 4
    np.testing.assert_allclose(told.rows[:, 1], like_heads - like_heads[first].mean(), atol=1e-5)


def test_scores_are_set_against_those_of_the_background() -> None:
    query, rows, usual = found()

    told = dict(zip(OF_QUERY, signals(query, rows, usual, looked_at=FIRST, searched=1000).query, strict=True))
    asked, scores = unit(query - usual.mean), unit(rows - usual.mean) @ unit(query - usual.mean)
    best = np.sort(unit(usual.vectors - usual.mean) @ asked)[::-1]

    np.testing.assert_allclose(told["mean score of the first"], scores[:5].mean(), rtol=1e-5)
    np.testing.assert_allclose(
        told["over the first five of the background"], scores[:5].mean() - best[:5].mean(), rtol=1e-4
    )
    assert told["over the best of the background"] > 0
    assert told["rows searched"] == 3


def test_rows_are_told_by_how_they_differ_from_the_first() -> None:
    query, rows, usual = found()

    told = signals(query, rows, usual, looked_at=FIRST, searched=8).rows
    scores = unit(rows - usual.mean) @ unit(query - usual.mean)

    assert told.shape == (8, len(OF_ROW))
    np.testing.assert_allclose(told[:FIRST].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.diff(told[:, 0]), np.diff(scores), atol=1e-6)


def test_other_rows_change_nothing_of_a_row() -> None:
    query, rows, usual = found()

    alone, together = (signals(query, some, usual, looked_at=FIRST, searched=8) for some in (rows[:6], rows))

    np.testing.assert_allclose(alone.query, together.query, rtol=1e-5)
    np.testing.assert_allclose(alone.rows, together.rows[:6], atol=1e-5)


def test_one_row_is_enough() -> None:
    query, rows, usual = found()

    told = signals(query, rows[:1], usual, looked_at=1, searched=1)

    assert np.isfinite(told.query).all()
    assert np.isfinite(told.rows).all()
