"""The background is kept in 8 bits a number, and comes back as it was."""

from pathlib import Path

import numpy as np

from retrieval.collection.relevance import Background
from tests.retrieval.collection.relevance.worlds import background


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    usual = background(np.random.default_rng(0))

    usual.write(tmp_path / "b.npz")
    found = Background.read(tmp_path / "b.npz")

    np.testing.assert_allclose(found.vectors, usual.vectors, atol=0.006)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-6)


def test_the_nearest_are_those_of_all_comparisons() -> None:
    usual = background(np.random.default_rng(0))
    query = usual.vectors[7]

    near = usual.nearest(query)
    scores = usual.vectors @ query

    assert near.places[0] == 7
    np.testing.assert_allclose(near.scores[:5], np.sort(scores)[::-1][:5], rtol=1e-5)
    assert (np.diff(near.scores) <= 0).all()
    np.testing.assert_allclose(near.mean, scores.mean(), atol=1e-5)


def test_shares_are_of_photographs_that_are_nearer() -> None:
    usual = background(np.random.default_rng(0))
    rows = usual.vectors[:3]

    shares = usual.nearer(rows, np.array([1.1, 0.2, -1.1], np.float32) - rows @ usual.mean)

    assert shares[0] == 0
    assert 0 < shares[1] < 0.5
    assert shares[2] == 1
