"""The share of a mixture is chosen where old rows and new ones compete."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.migration import Probe, alignment
from indexes.vectors.arrays import unit_rows
from retrieval.upgrades.trial.mixed_galleries import MixedGalleries

DIM, COUNT, QUERIES = 32, 600, 200


def test_a_share_that_loses_which_image_is_asked_for_is_smaller_in_mixed_galleries():
    draws = np.random.default_rng(0)
    centres = draws.standard_normal((30, DIM))
    labels = draws.integers(0, 30, COUNT)
    new = unit_rows(centres[labels] + 0.5 * draws.standard_normal((COUNT, DIM)))
    old = unit_rows(new + 0.25 * draws.standard_normal((COUNT, DIM)))
    target = np.arange(QUERIES)
    blurred = unit_rows(centres[labels[target]] + 0.2 * draws.standard_normal((QUERIES, DIM)))
    probe = Probe(
        gallery_old=old, gallery_new=new, old=old[target], new=new[target], target=target, labels=labels
    )
    galleries = MixedGalleries(probe, old=old, new=new, by_both=False)

    in_old = alignment.best_alpha(probe.old, blurred, score=probe.score)
    mixed = alignment.best_alpha(probe.old, blurred, score=galleries.worth)

    assert mixed < in_old
    own = [galleries.worth(alignment.slerp(probe.old, blurred, alpha)) for alpha in (mixed, in_old)]
    assert own[0] > own[1]


@pytest.mark.parametrize("by_both", [False, True])
def test_no_query_counts_for_nothing(by_both):
    rows = unit_rows(np.random.default_rng(0).standard_normal((20, DIM)))
    none = rows[:0]
    probe = Probe(gallery_old=rows, gallery_new=rows, old=none, new=none, target=np.zeros(0, dtype=np.int64))

    assert MixedGalleries(probe, old=rows, new=rows, by_both=by_both).worth(none) == 0
