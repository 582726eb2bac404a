"""Names lift rows by how much they say; what they say nothing of stays where it was."""

from __future__ import annotations

import numpy as np

from retrieval.names.fusion import LIFT, fused

USUAL = np.array([0.0, 0.1, 0.2])


def test_rows_without_a_name_keep_their_scores() -> None:
    scores = np.array([0.4, -0.3])

    assert fused(scores, np.zeros(2), best=0.5, usual=USUAL).tolist() == scores.tolist()


def test_a_name_that_says_all_lifts_a_usual_row_above_the_best() -> None:
    lifted = fused(np.array([0.5, 0.1, -0.9]), np.array([0.0, 1.0, 1.0]), best=0.5, usual=USUAL)

    assert lifted[1] > lifted[0]
    assert lifted[2] == lifted[1] == 0.1 + LIFT * 0.4


def test_a_name_that_says_little_does_not() -> None:
    lifted = fused(np.array([0.5, 0.3]), np.array([0.0, 0.1]), best=0.5, usual=USUAL)

    assert lifted[1] < lifted[0]


def test_the_best_of_the_sample_counts_where_a_filter_hides_what_is_better() -> None:
    lifted = fused(np.array([-0.5]), np.array([0.5]), best=-0.5, usual=USUAL)

    assert lifted[0] > 0.1
