"""Targets of two teachers, placed in the space of the shipped vectors."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="teachers need onnx")

from tools.train_nano.measure import unit
from tools.train_oca.stronger import CANDIDATES, Choice, placed_in, target, whitened

NUMBERS = np.random.default_rng(0)
ROWS = np.arange(300)


@pytest.fixture(scope="module")
def space():
    return unit(NUMBERS.standard_normal((300, 20)) * np.linspace(2, 0.2, 20))


def test_a_turn_brings_turned_rows_back(space):
    turned = space @ np.linalg.qr(NUMBERS.standard_normal((20, 20)))[0].astype(np.float32)

    np.testing.assert_allclose(placed_in(space, turned, ROWS, turned=True), space, atol=1e-4)
    assert (unit(placed_in(space, turned, ROWS[:200], turned=False)) * space).sum(1).min() > 0.5


def test_whitening_makes_axes_as_long_as_asked(space):
    lengths = {power: np.linalg.svd(whitened(space, ROWS, power=power, axes=20))[1] for power in (0.0, 1.0)}

    assert lengths[0.0][0] / lengths[0.0][-1] > 4
    assert lengths[1.0][0] / lengths[1.0][-1] < 2


def test_a_share_mixes_what_teachers_see_with_the_shipped_vector(space):
    teachers = [NUMBERS.standard_normal((300, 40)).astype(np.float32) for _ in range(2)]
    base = {"teachers": (0, 1), "power": 0.5, "turned": True}
    near, far = (target(Choice(**base, share=share), space, teachers, ROWS) for share in (0.1, 2.0))

    np.testing.assert_allclose(target(CANDIDATES["shipped"], space, teachers, ROWS), space, atol=1e-6)
    assert (near * space).sum(1).mean() > (far * space).sum(1).mean()
    np.testing.assert_allclose(np.linalg.norm(far, axis=1), 1, atol=1e-5)
