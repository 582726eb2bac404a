"""One query's few rows are scored as all queries' rows are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from indexes.migration.background import Background
from indexes.migration.pair_scores import PairScores
from indexes.vectors.arrays import unit_rows
from tests.indexes.migration.rows import rows


@pytest.fixture
def background():
    return Background.of(rows(900, 8, shift=2), rows(900, 80, seed=1, shift=3), moved=True)


@pytest.mark.parametrize("stretch", [1.0, 1.3])
@pytest.mark.parametrize("found", [(30, 30), (30, 7), (0, 7), (30, None)])
def test_one_query_scores_as_all_queries_do(background, stretch, found):
    background = replace(background, stretch=stretch)
    old, new = (
        rows(30, 8, seed=8, shift=2).astype(np.float16),
        rows(30, 80, seed=9, shift=3).astype(np.float16),
    )
    asked_old, asked_new = rows(4, 8, seed=10, shift=2), rows(4, 80, seed=11, shift=3)
    asked_old[0], asked_new[0] = unit_rows(old[:1].astype(np.float32)), unit_rows(new[:1].astype(np.float32))
    wide = old.astype(np.float32), new.astype(np.float32)
    every = background.scores(asked_old, asked_new, *wide)
    pair = PairScores(background)

    for number in range(4):
        one = pair.ask(asked_old[number], asked_new[number])
        fresh = None if found[1] is None else new[: found[1]]
        scores, cosines = pair.scores(*one, old[: found[0]], fresh)

        wanted = every[0][number, : found[0]], every[1][number, : found[1] or 0]
        np.testing.assert_allclose(scores, np.concatenate(wanted), atol=1e-3)
        plain = wide[0][: found[0]] @ asked_old[number], wide[1][: found[1] or 0] @ asked_new[number]
        np.testing.assert_allclose(cosines, np.concatenate(plain), atol=2e-3)


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_rows_of_both_spaces_are_scored_by_both(background, weight):
    background = replace(background, old_weight=weight, spread_of_both=1.3)
    old, new = (rows(30, d, seed=d, shift=shift).astype(np.float16) for d, shift in ((8, 2), (80, 3)))
    asked_old, asked_new = rows(4, 8, seed=10, shift=2), rows(4, 80, seed=11, shift=3)
    asked_old[0], asked_new[0] = (unit_rows(part[20:21].astype(np.float32)) for part in (old, new))
    every = background.scores(asked_old, asked_new, *(part.astype(np.float32) for part in (old, new)))
    pair = PairScores(background)

    for number in range(4):
        one = pair.ask(asked_old[number], asked_new[number])
        scores, cosines = pair.scores(*one, old, new[18:])

        wanted = every[0][number, :18], every[1][number, 18:]
        np.testing.assert_allclose(scores, np.concatenate(wanted), atol=1e-3)
        np.testing.assert_allclose(cosines[18:], new[18:].astype(np.float32) @ asked_new[number], atol=2e-3)
        alone, _ = pair.scores(
            *one, old, new[18:], by_new=np.arange(12) < 5
        )  # added: no old encoder saw them
        new_side = replace(background, old_weight=0.0)
        by_new = new_side.scores(asked_old, asked_new, *(part.astype(np.float32) for part in (old, new)))[1]
        np.testing.assert_allclose(alone[18:23], by_new[number, 18:23], atol=1e-3)
        np.testing.assert_array_equal(alone[23:], scores[23:])
        if number == 0:  # the row is asked for itself
            assert scores.argmax() == 20
            assert scores[20] == pytest.approx(1, abs=2e-3)


def test_a_row_that_is_asked_for_itself_is_near_one_on_the_common_scale(background):
    gallery = rows(30, 8, seed=8, shift=2).astype(np.float16)
    own = unit_rows(gallery[:1].astype(np.float32))[0]
    pair = PairScores(background)
    scores, _ = pair.scores(*pair.ask(own, rows(1, 80, seed=4)[0]), gallery, None)

    assert scores[0] == pytest.approx(1, abs=1e-3)
    assert scores.argmax() == 0


def test_one_plain_search_finds_the_nearest_about_the_mean():
    draws = np.random.default_rng(0)
    centres = draws.standard_normal((300, 64))
    gallery = unit_rows(centres[draws.integers(0, 300, 6000)] + 0.8 * draws.standard_normal((6000, 64)) + 0.8)
    background = Background.of(gallery[:2000], gallery[:2000], moved=True)
    side, pair, queries = background.old, PairScores(background), gallery[2000:2100]
    best = np.argsort(-side.scores(side.asked(queries, moved=True), gallery), axis=1)[:, :10]

    def kept(asked):
        seen = np.argsort(-(asked @ gallery.T), axis=1)[:, :16]
        return np.mean([np.isin(true, found).mean() for true, found in zip(best, seen, strict=True)])

    plain = np.concatenate([pair.ask(query, query)[0].plain for query in queries])
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1, atol=1e-5)
    assert kept(plain) > 0.97  # usual: 0.998
    assert kept(plain) > kept(queries)


def test_a_query_that_is_nothing_but_the_mean_is_no_error(background):
    mean = background.old.mean / np.linalg.norm(background.old.mean)
    pair = PairScores(background)
    for query in (background.old.mean, mean):
        one = pair.ask(query, background.new.mean)
        assert np.isfinite(one[0].plain).all()
        scores, cosines = pair.scores(*one, background.old.mean[np.newaxis].astype(np.float16), None)
        assert np.isfinite(scores).all()
        assert np.isfinite(cosines).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_damaged_rows_score_nan_and_the_others_as_without_them(background, value):
    old = rows(6, 8, seed=8, shift=2).astype(np.float16)
    new = rows(6, 80, seed=9, shift=3).astype(np.float16)
    pair = PairScores(background)
    one = pair.ask(old[0].astype(np.float32), new[0].astype(np.float32))
    sound = pair.scores(*one, old, new)
    old[3, 1] = new[4, 0] = value

    found = pair.scores(*one, old, new)

    for own, expected in zip(found, sound, strict=True):
        expected[[3, 10]] = np.nan
        np.testing.assert_allclose(own, expected, atol=1e-6)


@pytest.mark.parametrize("stretch", [1.0, 1.3])
def test_estimates_by_plain_cosines_order_rows_as_their_scores_do(stretch):
    draws = np.random.default_rng(0)
    centres = draws.standard_normal((100, 64))
    of = draws.integers(0, 100, 3000)
    old, new = (
        unit_rows(centres[of] @ turn + 0.5 * draws.standard_normal((3000, d)) * np.sqrt(64 / d) + shift)
        for d, turn, shift in ((64, np.eye(64), 0.3), (96, draws.standard_normal((64, 96)) / 8, 0.5))
    )
    background = replace(Background.of(old[:1000], new[:1000], moved=True), stretch=stretch)
    pair = PairScores(background)
    kept = []
    for number in range(2900, 3000):
        one = pair.ask(old[number], new[number])
        rows_old, rows_new = old[:1000], new[1000:2000]
        plain = (one[0].plain @ rows_old.T)[0], (one[1].plain @ rows_new.T)[0]
        estimates = pair.estimates(*one, *plain)
        scores, _ = pair.scores(*one, rows_old.astype(np.float16), rows_new.astype(np.float16))
        most = np.argsort(-scores)[:10]
        kept.append(np.isin(most, np.argsort(-estimates)[:16]).mean())
        near = (scores > 0.3) & (scores < 0.85)  # beyond, scores rise to 1
        assert np.abs(estimates - scores)[near].mean() < 0.08
    assert np.mean(kept) > 0.95
