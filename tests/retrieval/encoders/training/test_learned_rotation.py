"""Learned prefix rotations: orthogonal, better than PCA where PCA is not best, and where torch is missing PCA it is."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.derivation.construction import rotations
from indexes.vectors import transforms
from indexes.vectors.arrays import unit_rows
from indexes.vectors.space import Space
from retrieval.collection.rows import writable
from retrieval.errors import ShapeError

torch = pytest.importorskip("torch", reason="learning needs torch")

from retrieval.encoders.training.learned_rotation import fit_prefix_rotation  # noqa: E402

SPACE = Space(name="plain", dim=24, fingerprint="p")


@pytest.fixture(scope="module")
def rows():
    """Rows whose neighbours are told by four dimensions of little energy, behind topics of much; turned at random."""
    rng = np.random.default_rng(0)
    topics = 3 * np.eye(4)[rng.integers(4, size=150)]
    centres = np.hstack((0.6 * rng.normal(size=(150, 4)), topics, np.zeros((150, 16))))
    straight = np.repeat(centres, 8, axis=0) + 0.02 * rng.normal(size=(1200, 24))
    turn = np.linalg.qr(rng.normal(size=(24, 24)))[0]
    return unit_rows(straight @ turn)


@pytest.fixture(scope="module")
def start(rows):
    return transforms.pca(SPACE, rows).matrix


def test_it_keeps_neighbourhoods_that_pca_loses_and_every_full_score(rows, start):
    learned = fit_prefix_rotation(rows, (4,), start, steps=40)
    halves = rows.astype(np.float16)
    asked = np.arange(0, 1200, 8)
    before, after = (
        rotations.shortlist_recall(halves, asked, dim=4, rotation=turn).mean() for turn in (start, learned)
    )

    np.testing.assert_allclose(learned.T @ learned, np.eye(24), atol=1e-5)
    np.testing.assert_allclose((rows @ learned) @ (rows @ learned).T, rows @ rows.T, atol=1e-5)
    assert after > before + 0.05  # 0.998 against 0.915 here


def test_no_steps_leave_the_prefix_as_it_was(rows, start):
    np.testing.assert_allclose(
        fit_prefix_rotation(rows, (4, 8), start, steps=0)[:, :8], start[:, :8], atol=1e-6
    )


def test_behind_the_learned_prefix_the_energy_falls(rows, start):
    learned = fit_prefix_rotation(rows, (2,), start, steps=3)
    energy = ((rows @ learned) ** 2).mean(axis=0)

    assert np.abs(learned[:, :2] - start[:, :2]).max() > 1e-3
    assert (np.diff(energy[2:]) <= 1e-6).all()


@pytest.mark.parametrize("widths", [(), (8, 4), (0, 4), (4, 4), (24,)])
def test_widths_that_cannot_be_are_refused(rows, start, widths):
    with pytest.raises(ShapeError, match="must rise from 1 to below 24"):
        fit_prefix_rotation(rows, widths, start)
    with pytest.raises(ShapeError, match="to start from"):
        fit_prefix_rotation(rows, (4,), start[:, :8])


def test_without_torch_there_is_none(rows, start, monkeypatch):
    monkeypatch.setattr(writable, "find_spec", lambda _: None)

    assert writable.learn_rotation(rows, (4,), start) is None
    live = np.arange(len(rows))
    assert (
        rotations.fit(SPACE, rows.astype(np.float16), live, widths=(4,), learn=writable.learn_rotation).method
        == "pca"
    )
