"""Which pairs are likely does not depend on which rows were there first."""

from __future__ import annotations

import numpy as np

from retrieval.curation.duplicates.pairs.candidates import AT_MOST, Candidates, _named


def test_a_pair_is_kept_if_it_is_among_the_likest_of_one_of_its_rows() -> None:
    """Row 0 lies near all; of the others each lies near row 0 only."""
    count = AT_MOST + 6
    others = np.arange(1, count)
    pairs = np.stack([np.zeros_like(others), others], axis=1)
    scores = np.linspace(0.99, 0.9, len(others)).astype(np.float32)
    alone = _named(Candidates(pairs, scores), count=count)

    assert len(alone.pairs) == len(pairs)  # each is the likest of its second row
    assert alone.cut == 0

    crowd = np.array([(a, b) for a in range(30) for b in range(a)])
    near = np.random.default_rng(0).random(len(crowd)).astype(np.float32)
    kept = _named(Candidates(crowd, near, 5), count=30)
    square = np.full((30, 30), -1.0)
    square[crowd[:, 0], crowd[:, 1]] = square[crowd[:, 1], crowd[:, 0]] = near
    likest = np.argsort(-square, axis=1)[:, :AT_MOST]
    expected = {tuple(sorted((row, int(other)))) for row in range(30) for other in likest[row]}

    assert {tuple(sorted(pair)) for pair in kept.pairs.tolist()} == expected
    assert kept.cut == 5 + len(crowd) - len(expected)
