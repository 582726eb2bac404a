"""Ridge regression equals its formula, and its leave-one-out scores those of models fitted without each row."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.curation.labels.linear_model import RidgeMoments, softmax

ROWS, WIDTH, LABELS = 40, 6, 3


@pytest.fixture
def known() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.arange(LABELS), rng.integers(0, LABELS, ROWS - LABELS)])
    return (rng.standard_normal((ROWS, WIDTH)) + codes[:, np.newaxis]).astype(np.float32), codes


def plain(rows, codes, weights, penalty: float) -> np.ndarray:
    """Weighted ridge regression written out: ``(d + 1, n)``."""
    full = np.c_[rows, np.ones(len(rows))].astype(np.float64)
    targets = np.full((len(rows), LABELS), -1 / (LABELS - 1))
    targets[np.arange(len(rows)), codes] = 1
    penalties = np.diag([*[penalty] * WIDTH, 1e-3])
    return np.linalg.solve(
        full.T @ (full * weights[:, None]) + penalties, full.T @ (targets * weights[:, None])
    )


def test_blocks_give_what_the_formula_says(known) -> None:
    rows, codes = known
    weights = ROWS / (LABELS * np.bincount(codes))[codes]

    model = RidgeMoments(iter([rows[:7], rows[7:30], rows[30:]]), codes, LABELS).fit(0.3)

    np.testing.assert_allclose(model.weights, plain(rows, codes, weights, 0.3), atol=1e-9)


def test_left_out_scores_are_those_of_models_that_never_saw_the_row(known) -> None:
    rows, codes = known
    weights = ROWS / (LABELS * np.bincount(codes))[codes]
    moments = RidgeMoments(iter([rows]), codes, LABELS)

    found = moments.left_out(moments.fit(0.3), rows, codes)

    for row in range(ROWS):
        others = np.arange(ROWS) != row
        model = plain(rows[others], codes[others], weights[others], 0.3)
        np.testing.assert_allclose(found[row], np.r_[rows[row], 1] @ model, atol=1e-6)


def test_shares_sum_to_one_and_keep_the_order() -> None:
    scores = np.array([[0.0, 2.0, 1.0], [800.0, -800.0, 0.0]])

    shares = softmax(scores, 0.1)

    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(shares.argmax(axis=1), scores.argmax(axis=1))
