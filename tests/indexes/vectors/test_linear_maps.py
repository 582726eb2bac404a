"""Maps between spaces do what they say."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.errors import ShapeError
from indexes.vectors import linear_maps
from indexes.vectors.arrays import unit_rows
from indexes.vectors.space import Space
from indexes.vectors.transforms import procrustes

A = Space(name="a", dim=12, fingerprint="a")
B = Space(name="b", dim=8, fingerprint="b")


def draw(*shape, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal(shape))


def test_ridge_finds_an_affine_map_back():
    x = draw(500, 12)
    y = unit_rows(x @ np.random.default_rng(1).standard_normal((12, 8)) + 1.5)
    fitted = linear_maps.ridge(A, B, x, y, strength=1e-6)

    assert np.einsum("nd,nd->n", fitted.apply(x), y).min() > 0.97
    # Without the offset nothing of the kind is reached.
    bare = unit_rows(x @ fitted.matrix)
    assert np.einsum("nd,nd->n", bare, y).mean() < 0.9


def test_a_stronger_penalty_makes_a_smaller_map():
    x, y = draw(300, 12), draw(300, 8, seed=1)
    sizes = [np.linalg.norm(linear_maps.ridge(A, B, x, y, strength=s).matrix) for s in (1e-4, 1.0, 100.0)]

    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize(("rows", "columns"), [(7, 5), (5, 7), (6, 6)])
def test_the_gradient_of_the_lambda_loss_is_that_of_autograd(rows, columns):
    torch = pytest.importorskip("torch", reason="the oracle is torch's autograd")
    x, y = draw(9, rows).astype(np.float64), draw(9, columns, seed=1).astype(np.float64)
    w = np.random.default_rng(2).standard_normal((rows, columns)) * 0.5
    away = np.linalg.norm((w.T @ w if rows >= columns else w @ w.T) - np.eye(min(w.shape)))
    tolerance = away - 0.05  # where the gate is half open
    weight = torch.tensor(w, requires_grad=True)
    mapped = torch.tensor(x) @ weight
    logits = torch.nn.functional.normalize(mapped, dim=1) @ torch.tensor(y).T / 0.05
    own = torch.arange(9)
    gram = weight.T @ weight if rows >= columns else weight @ weight.T
    r = torch.linalg.matrix_norm(gram - torch.eye(min(w.shape), dtype=torch.float64))
    cross = torch.nn.functional.cross_entropy
    expected = (mapped - torch.tensor(y)).square().sum(1).mean()
    expected = (
        expected + (cross(logits, own) + cross(logits.T, own)) / 2 + torch.sigmoid(10 * (r - tolerance)) * r
    )
    expected.backward()

    loss, slope = linear_maps.lambda_loss(w, x, y, tolerance=tolerance)

    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(slope, weight.grad.numpy(), atol=1e-9)


def test_a_tolerance_of_nothing_keeps_the_map_orthogonal_and_a_large_one_does_not():
    x = draw(400, 12)
    y = unit_rows(x @ (np.random.default_rng(1).standard_normal((12, 8)) * np.linspace(0.2, 2, 8)))
    start = procrustes(A, B, x, y).matrix

    def away(tolerance):
        w = linear_maps.lambda_orthogonal(A, B, x, y, start=start, tolerance=tolerance).matrix
        return np.linalg.norm(w.T @ w - np.eye(8))

    assert away(0.0) < 0.1  # usual: 0.01
    assert away(10.0) > 0.5  # usual: 1


def test_an_extension_is_the_first_components():
    x = draw(20, 12)

    np.testing.assert_allclose(linear_maps.extension(A, B).apply(x), unit_rows(x[:, :8]), atol=1e-6)
    with pytest.raises(ShapeError, match="no prefix as wide"):
        linear_maps.extension(B, A)


def test_recentred_takes_one_mean_to_the_other():
    x, y = draw(300, 12) + 0.3, draw(300, 8, seed=1) - 0.4
    x, y = unit_rows(x), unit_rows(y)
    fitted = linear_maps.recentred(procrustes(A, B, draw(300, 12), draw(300, 8)), x, y)
    plain = procrustes(A, B, draw(300, 12), draw(300, 8))

    def gap(step):
        return np.linalg.norm(unit_rows(step.apply(x).mean(0)) - unit_rows(y.mean(0)))

    assert gap(fitted) < 0.3 * gap(plain)


def test_about_the_means_a_rotation_serves_rows_that_share_a_direction():
    """An encoder that ends in a ReLU: all its rows share a large mean. Pairs that nothing was fitted on find each other."""
    draws = np.random.default_rng(0)
    source, target = Space(name="s", dim=24, fingerprint="s"), Space(name="t", dim=16, fingerprint="t")
    signal = draws.standard_normal((600, 16))
    x = unit_rows(np.maximum(signal @ draws.standard_normal((16, 24)) + 1, 0))
    y = unit_rows(signal + 0.3 * draws.standard_normal((600, 16)))

    def found(fit):
        step = fit(source, target, x[:300], y[:300])
        return ((step.apply(x[300:]) @ y[300:].T).argmax(1) == np.arange(300)).mean()

    fitted = linear_maps.centred_procrustes(source, target, x, y).matrix
    np.testing.assert_allclose(fitted.T @ fitted, np.eye(16), atol=1e-5)
    assert found(linear_maps.centred_procrustes) > found(procrustes) + 0.2  # usual: 0.91 and 0.45


def test_about_the_mean_a_mean_row_asks_for_nothing():
    x = unit_rows(draw(300, 12) + 0.5)
    step = linear_maps.about_mean(procrustes(A, B, x, draw(300, 8)), x)

    np.testing.assert_allclose((x @ step.matrix + step.offset).mean(0), 0, atol=1e-5)


def test_a_rotation_of_few_directions_is_the_whole_one_where_the_rows_have_no_more():
    draws = np.random.default_rng(3)
    axes = np.linalg.qr(draws.standard_normal((12, 3)))[0]
    signal = draws.standard_normal((200, 3))
    x = unit_rows(signal @ axes.T)
    y = unit_rows(signal @ np.linalg.qr(draws.standard_normal((8, 3)))[0].T)
    whole, few = (linear_maps.centred_procrustes(A, B, x, y, rank=rank) for rank in (None, 3))

    assert (whole.factors, few.facts["rank"]) == (None, 3)
    assert few.multiplications == 3 * (12 + 8) < whole.multiplications == 12 * 8
    np.testing.assert_allclose(few.factors[0] @ few.factors[1], few.matrix, atol=1e-6)
    np.testing.assert_allclose(few.moved(x), x @ few.matrix + few.offset, atol=1e-5)
    np.testing.assert_allclose(few.apply(x), whole.apply(x), atol=1e-4)
    assert not np.allclose(few.apply(draw(5, 12)), whole.apply(draw(5, 12)), atol=0.1)


def test_rotations_of_several_ranks_are_those_fitted_one_by_one():
    x, y = draw(300, 12), draw(300, 8, seed=1)
    together = linear_maps.centred_rotations(A, B, x, y, ranks=(None, 3, 5))

    for rank, fitted in zip((None, 3, 5), together, strict=True):
        alone = linear_maps.centred_procrustes(A, B, x, y, rank=rank)
        np.testing.assert_array_equal(fitted.matrix, alone.matrix)
        assert np.linalg.matrix_rank(fitted.matrix, tol=1e-4) == (rank or 8)
        assert fitted.multiplications == (12 * 8 if rank is None else rank * (12 + 8))


@pytest.mark.parametrize("count", [9, 300])  # fewer rows than components, and more
@pytest.mark.parametrize("strength", [1e-4, 1.0])
def test_ridge_solves_its_normal_equations(count, strength):
    x, y = draw(count, 12), draw(count, 8, seed=1)
    u, v = (rows - rows.mean(0) for rows in (x.astype(np.float64), y.astype(np.float64)))
    gram = u.T @ u
    expected = np.linalg.solve(gram + strength * np.trace(gram) / 12 * np.eye(12), u.T @ v)

    fitted = linear_maps.ridge(A, B, x, y, strength=strength)

    np.testing.assert_allclose(fitted.matrix, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose((x @ fitted.matrix + fitted.offset).mean(0), y.mean(0), atol=1e-5)
