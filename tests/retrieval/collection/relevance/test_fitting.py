"""Fitted on things of which it is known, it tells of others."""

import numpy as np

from retrieval.collection.relevance import Calibration, calibration_error, cross_fitted, fit, likely
from tests.retrieval.collection.relevance.worlds import trials


def test_present_and_absent_things_are_told_apart() -> None:
    calibration = fit(trials(np.random.default_rng(0)))
    others = trials(np.random.default_rng(1))

    present = np.array([calibration.answered(one.signals) for one in others if one.present])
    absent = np.array([calibration.answered(one.signals) for one in others if not one.present])

    assert (present[:, None] > absent).mean() > 0.95  # usually 0.99
    assert len(present) == len(absent)


def test_the_probability_is_calibrated_on_others() -> None:
    calibration = fit(trials(np.random.default_rng(0)))
    others = trials(np.random.default_rng(1))

    found = np.concatenate([calibration.probabilities(one.signals) for one in others])
    right = np.concatenate([one.right for one in others])

    assert calibration_error(found, right) < 0.08  # usually 0.04
    assert found[right].mean() > found[~right].mean() + 0.5


def test_a_group_is_judged_by_the_others_alone() -> None:
    made = trials(np.random.default_rng(0), kinds=8)
    groups = [int(one.name) % 2 for one in made]

    found = cross_fitted(made, groups)
    others = fit([one for one, group in zip(made, groups, strict=True) if group == 1])

    for one, group, probabilities in zip(made, groups, found, strict=True):
        if group == 0:
            np.testing.assert_array_equal(probabilities, others.probabilities(one.signals))


def test_the_error_is_the_gap_of_probability_and_share() -> None:
    probabilities = np.array([0.25, 0.25, 0.25, 0.25, 0.95, 0.95])
    right = np.array([True, False, False, False, True, False])

    assert calibration_error(probabilities, right) == (0 * 4 + 0.45 * 2) / 6
    weights = np.array([1, 1, 1, 1, 0, 0])
    assert calibration_error(probabilities, right, weights) == 0


def test_the_line_lies_before_the_first_that_is_improbable() -> None:
    cases = {
        (): 0, (0.9, 0.2, 0.1): 2, (0.9, 0.1, 0.8): 1, (0.14, 0.1): 0, (0.1, 0.9, 0.1): 0, (0.15,): 1, (0.9, 0.2): 2,
    }  # fmt: skip

    assert {case: likely(np.array(case)) for case in cases} == cases
    assert all(likely(np.array(case[:k])) == min(k, cut) for case, cut in cases.items() for k in range(4))


def test_json_gives_it_back() -> None:
    made = trials(np.random.default_rng(0), kinds=6)
    calibration = fit(made, error=0.0312)

    again = Calibration.from_json(calibration.to_json())

    assert again.error == 0.0312
    for one in made[:5]:
        np.testing.assert_allclose(
            again.probabilities(one.signals), calibration.probabilities(one.signals), atol=1e-4
        )
