"""Queries with known answers are asked in a gallery that no map was fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.vectors import unit_rows
from retrieval.upgrades.trial.maps import Pairs, fit, refit
from retrieval.upgrades.trial.questions import questions_of
from retrieval.upgrades.trial.sample import Sample
from tests.retrieval.drift import NEW, OLD, drift

COUNT = 200


@pytest.fixture
def taken():
    """A sample in random order, whose new rows know more than the old ones."""
    draws = np.random.default_rng(0)
    new = unit_rows(draws.standard_normal((COUNT, NEW)))
    return Sample(
        ids=draws.permutation(1000)[:COUNT],
        old=unit_rows(new[:, :OLD] + 0.1 * draws.standard_normal((COUNT, OLD))),
        new=new,
        gone=0,
        unreadable=0,
    )


def questions(taken, labelled):
    labels = {int(number): int(number) % 3 for number in taken.ids[:labelled]}
    return questions_of(taken, [], labels, old=None, new=drift("new"), fits=False, progress=None)


@pytest.mark.parametrize("labelled", [COUNT, 80])
def test_no_row_of_the_gallery_was_fitted_on_until_a_map_is_chosen(taken, labelled):
    asked = questions(taken, labelled)

    assert not np.intersect1d(asked.gallery, asked.fitted).size
    assert np.isin(asked.fitted, asked.rest).all()
    assert len(asked.rest) == COUNT - 2 * asked.held_out
    for probe in (asked.select, asked.held):
        np.testing.assert_array_equal(probe.gallery_old, taken.old[asked.gallery])
        np.testing.assert_array_equal(probe.gallery_old[probe.target], probe.old)
        np.testing.assert_array_equal(probe.gallery_new[probe.target], probe.new)
        np.testing.assert_array_equal(probe.labels, taken.ids[asked.gallery] % 3)
    assert len(asked.whole.old) == len(asked.whole.gallery_old) == labelled


def test_images_without_a_label_are_fitted_on_first(taken):
    asked = questions(taken, 80)

    assert asked.fitted.min() >= 80
    assert asked.gallery.max() < 80


def test_a_chosen_map_is_fitted_again_by_its_settings(taken):
    asked = questions(taken, COUNT)
    spaces = {"old_space": drift("old").space, "new_space": drift("new").space}
    few, all_of_them = (
        Pairs(**spaces, old=taken.old[places], new=taken.new[places]) for places in (asked.fitted, asked.rest)
    )
    ways, _ = fit(few, asked.select, method="auto", extends=None)
    assert {way.method for way in ways} == {"procrustes", "ridge", "lambda", "slerp"}

    for way in ways:
        same, more = refit(way, few, asked.select), refit(way, all_of_them, asked.select)
        np.testing.assert_allclose(same.image.matrix, way.image.matrix, atol=1e-5)
        np.testing.assert_allclose(same.back.matrix, way.back.matrix, atol=1e-5)
        assert (more.method, more.alpha, more.image.facts["pairs"]) == (
            way.method,
            way.alpha,
            len(asked.rest),
        )
        assert not np.allclose(more.image.matrix, way.image.matrix, atol=1e-3)
