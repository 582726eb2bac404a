"""A network learns what rows of signs say, the same from the same seed; a photograph's copies are told by others."""

from __future__ import annotations

import numpy as np
from PIL import Image

from retrieval.matching import compare, features
from retrieval.matching.calibration import RELATIONS, from_json, odds
from retrieval.matching.signs import SIGNS
from tools.fit_matching import drawings
from tools.fit_matching.__main__ import Row, fitted, together
from tools.fit_matching.network import trained


def drawn(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return signs that say their relation by the first two of them, and the relations."""
    rng = np.random.default_rng(0)
    relations = rng.integers(len(RELATIONS), size=number)
    signs = rng.normal(0, 0.3, (number, len(SIGNS)))
    signs[:, 0] += 2.0 * (relations == 0)
    signs[:, 1] += 2.0 * (relations == 1)
    return signs, relations


def test_a_sign_is_drawn_twice_and_is_not_the_same_picture_then() -> None:
    ground = Image.new("RGB", (60, 40), "grey")
    design = drawings.designed(np.random.default_rng(5))
    one, other = (drawings.drawn(design, np.random.default_rng(seed), ground=ground) for seed in (1, 2))
    verdict = compare(features(one), features(other))

    assert np.array_equal(one, drawings.drawn(design, np.random.default_rng(1), ground=ground))
    assert not verdict.verified


def test_a_network_tells_relations_and_is_the_same_again(monkeypatch) -> None:
    monkeypatch.setattr("tools.fit_matching.network.EPOCHS", 100)
    signs, relations = drawn(400)
    one, again = (trained(signs, relations, np.ones(len(signs)), seed=3) for _ in range(2))

    assert (one(signs).argmax(axis=1) == relations).mean() > 0.97
    assert np.array_equal(one(signs), again(signs))


def test_pairs_and_photographs_of_two_runs_keep_numbers_of_their_own() -> None:
    judged, first, second = (
        Row([0.0], "scene", pair, photograph, photograph < 0)
        for pair, photograph in ((1, -1), (2, 0), (3, 1))
    )
    both = together([[judged, first, second], [first, second]])

    assert len({row.pair for row in both}) == len(both)
    assert [row.photograph for row in both] == [-1, 0, 1, 2, 3]


def test_the_probability_is_the_share_that_is_right(monkeypatch) -> None:
    monkeypatch.setattr("tools.fit_matching.network.EPOCHS", 60)  # with 5, networks have learned nothing yet
    monkeypatch.setattr("tools.fit_matching.__main__.FOLDS", 3)
    monkeypatch.setattr("tools.fit_matching.__main__.NETWORKS", 1)
    signs, relations = drawn(600)
    rows = [
        Row(one.tolist(), RELATIONS[relation], place, place // 2, place < 30)
        for place, (one, relation) in enumerate(zip(signs, relations, strict=True))
    ]
    facts = fitted(rows)
    known = from_json(facts)
    logits = odds(known.outputs(signs))
    probability = np.interp(logits, known.knots[:, 0], known.knots[:, 1])

    assert (facts["provenance"]["comparisons"], facts["provenance"]["judged"]) == (600, 30)
    assert abs(probability.mean() - (relations == 0).mean()) < 0.03
    assert (relations[probability >= known.verified] == 0).mean() >= 0.98
