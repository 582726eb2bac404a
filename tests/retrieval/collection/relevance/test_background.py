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

    moved = usual.moved(usual.vectors)
    near = usual.nearest(moved[7])

    np.testing.assert_allclose(near.vectors[0], moved[7])
    np.testing.assert_allclose(near.scores[:5], np.sort(moved @ moved[7])[::-1][:5], rtol=1e-5)
    np.testing.assert_allclose(near.vectors @ moved[7], near.scores[:5], rtol=1e-5)
    assert (np.diff(near.scores) <= 0).all()


def test_where_few_stand_out_the_nearest_are_compared_all_the_same() -> None:
    usual = background(np.random.default_rng(0))
    query = usual.moved(-usual.vectors[:1])[0]

    near = usual.nearest(query)

    assert (len(near.scores), len(near.vectors)) == (20, 5)
