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


def test_the_mean_is_taken_off() -> None:
    usual = background(np.random.default_rng(0))

    centred = usual.centred(usual.vectors)

    np.testing.assert_allclose(np.linalg.norm(centred, axis=1), 1, rtol=1e-5)
    assert abs(centred.mean(axis=0)).max() < 0.01
