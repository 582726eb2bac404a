"""Maps that bend are fitted rightly, so that what was measured with them tells of the maps and not of a mistake."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.upgrade import bent_maps
from indexes.vectors import unit_rows


def bent_pairs(count, *, seed):
    """Draw rows in four clusters, each turned in a way of its own: no single rotation fits them."""
    draws, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    centres = fixed.standard_normal((4, 12))
    turns = [np.linalg.qr(fixed.standard_normal((12, 8)))[0] for _ in range(4)]
    kinds = draws.integers(0, 4, count)
    x = 2 * centres[kinds] + draws.standard_normal((count, 12))
    y = np.stack([row @ turns[kind] for row, kind in zip(x, kinds, strict=True)])
    return unit_rows(x.astype(np.float32)), unit_rows(y.astype(np.float32))


def closeness(move):
    x, y = bent_pairs(400, seed=2)
    return float(np.einsum("nd,nd->n", unit_rows(move(x)), unit_rows(y - y.mean(0))).mean())


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("kernel", {"gamma": 2.0, "strength": 1e-3}),
        ("rotation and kernel", {"gamma": 2.0, "strength": 1e-3, "beside": True}),
        ("barycentre", {"gamma": 16.0}),
        ("regions", {"count": 4, "penalty": 0.01}),
        ("residual network", {"decay": 0.01}),
    ],
)
def test_each_kind_bends_where_a_rotation_cannot(kind, settings):
    x, y = bent_pairs(800, seed=1)
    fit, _ = bent_maps.KINDS[kind]

    assert closeness(fit(x, y, **settings)) > closeness(bent_maps.rotation(x, y)) + 0.05


def test_the_gradient_of_the_residual_network_is_that_of_autograd():
    torch = pytest.importorskip("torch", reason="the oracle is torch's autograd")
    draws = np.random.default_rng(3)
    x, y = draws.standard_normal((9, 7)), unit_rows(draws.standard_normal((9, 5))).astype(np.float64)
    shapes = {"W": (7, 5), "H": (7, 6), "b": (6,), "V": (6, 5)}
    weights = {key: draws.standard_normal(shape) for key, shape in shapes.items()}
    w = {key: torch.tensor(value, requires_grad=True) for key, value in weights.items()}
    rows = torch.tensor(x)
    unit = torch.nn.functional.normalize(rows @ w["W"] + (rows @ w["H"] + w["b"]).relu() @ w["V"], dim=1)
    logits, own = unit @ torch.tensor(y).T / 0.05, torch.arange(9)
    cross = torch.nn.functional.cross_entropy
    contrast = (cross(logits, own) + cross(logits.T, own)) / 2
    (contrast / 2 + 2 * (1 - (unit * torch.tensor(y)).sum(1)).mean()).backward()

    slopes = bent_maps._slopes(weights, x, y)

    for key, slope in slopes.items():
        np.testing.assert_allclose(slope, w[key].grad.numpy(), rtol=1e-6, atol=1e-9)
