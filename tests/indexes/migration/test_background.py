"""Each query's scores in two spaces are put on one scale."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.errors import ShapeError, StoreCorrupt
from indexes.migration.background import Background
from indexes.vectors.arrays import unit_rows
from tests.indexes.migration.rows import rows


@pytest.fixture
def background():
    return Background.of(rows(900, 8, shift=2), rows(900, 12, seed=1, shift=3), moved=True)


def test_a_query_scores_alike_with_the_sample_on_both_sides(background):
    old, new = rows(5, 8, seed=2), rows(5, 12, seed=3)
    asked_old, asked_new = background.old.asked(old, moved=True), background.new.asked(new, moved=True)
    plain = background.old.scores(asked_old, rows(900, 8, shift=2))
    scores = background.on_new_scale(plain, background.old.level(asked_old), background.new.level(asked_new))
    other = background.new.scores(asked_new, rows(900, 12, seed=1, shift=3))

    np.testing.assert_allclose(scores.mean(axis=1), other.mean(axis=1), atol=1e-2)
    np.testing.assert_allclose(scores.std(axis=1), other.std(axis=1), rtol=3e-2)
    assert (scores.argmax(axis=1) == plain.argmax(axis=1)).all()


@pytest.mark.parametrize("dim", [8, 200])
def test_mean_and_spread_are_those_of_the_scores_with_the_sample(dim):
    draws = np.random.default_rng(0)
    sample = unit_rows(draws.standard_normal((3000, dim)) * np.arange(1, dim + 1) ** -0.5 + 0.1)
    side = Background.of(sample, sample, moved=True).old
    asked = side.asked(sample[:50], moved=True)

    mean, spread = side.level(asked)

    every = side.scores(asked, sample)
    np.testing.assert_allclose(mean[:, 0], every.mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(spread[:, 0], every.std(axis=1), rtol=0.05)  # exact at 64 dimensions and fewer


def test_one_that_is_louder_on_one_side_is_not_preferred_there(background):
    quiet, loud = rows(400, 8, seed=4, shift=2), rows(400, 12, seed=5, shift=3)
    new = rows(50, 12, seed=7)
    old = unit_rows(rows(50, 8, seed=6) + 9 * background.old.mean)  # all much alike
    sides = background.scores(old, new, quiet, loud)
    first = np.where(np.arange(400) < 200, *sides).argmax(axis=1)

    assert 0.2 < (first < 200).mean() < 0.8  # usual: 0.5


def test_a_background_comes_back_from_a_file(background, tmp_path):
    background.save(tmp_path / "background.npz")
    again = Background.load(tmp_path / "background.npz")

    assert (again.moved, again.stretch) == (background.moved, background.stretch)
    for one, other in ((again.old, background.old), (again.new, background.new)):
        np.testing.assert_array_equal(one.mean, other.mean)
        np.testing.assert_array_equal(one.axes, other.axes)
        np.testing.assert_array_equal(one.centre, other.centre)
        assert one.rest == other.rest
    (tmp_path / "background.npz").write_bytes(b"no archive")
    with pytest.raises(StoreCorrupt, match="not readable"):
        Background.load(tmp_path / "background.npz")
    with pytest.raises(ShapeError, match="the same images"):
        Background.of(rows(4, 8), rows(3, 12), moved=True)


def test_a_row_that_is_nothing_but_the_mean_is_no_error(background):
    mean = background.old.mean[np.newaxis]
    assert np.isfinite(background.old.scores(background.old.asked(mean, moved=True), mean)).all()


def test_a_query_that_a_map_has_moved_is_lifted_to_where_moving_brings_it_back(background):
    asked = rows(6, 8, seed=10)
    lifted = background.old.lifted(asked)

    np.testing.assert_allclose(np.linalg.norm(lifted, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(background.old.asked(lifted, moved=True), asked, atol=1e-5)


def test_a_row_that_is_asked_for_itself_is_behind_none(background):
    asked_old, asked_new = rows(20, 8, seed=11), rows(20, 12, seed=12)
    ladder = np.tile(np.linspace(-1, 1, 41, dtype=np.float32), (20, 1))
    found = background.on_new_scale(ladder, background.old.level(asked_old), background.new.level(asked_new))

    np.testing.assert_allclose(found[:, -1], 1, atol=1e-6)
    assert (np.diff(found, axis=1) > 0).all()
