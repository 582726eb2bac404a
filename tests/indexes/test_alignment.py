"""Maps between spaces do what they say, and what is measured of them means what it says."""

from __future__ import annotations

import numpy as np
import pytest

from indexes import alignment
from indexes.alignment import Probe
from indexes.arrays import unit_rows
from indexes.errors import ShapeError
from indexes.space import Space
from indexes.transforms import procrustes

A = Space(name="a", dim=12, fingerprint="a")
B = Space(name="b", dim=8, fingerprint="b")


def draw(*shape, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal(shape))


def test_ridge_finds_an_affine_map_back():
    x = draw(500, 12)
    y = unit_rows(x @ np.random.default_rng(1).standard_normal((12, 8)) + 1.5)
    fitted = alignment.ridge(A, B, x, y, strength=1e-6)

    assert np.einsum("nd,nd->n", fitted.apply(x), y).min() > 0.97
    # Without the offset nothing of the kind is reached.
    bare = unit_rows(x @ fitted.matrix)
    assert np.einsum("nd,nd->n", bare, y).mean() < 0.9


def test_a_stronger_penalty_makes_a_smaller_map():
    x, y = draw(300, 12), draw(300, 8, seed=1)
    sizes = [np.linalg.norm(alignment.ridge(A, B, x, y, strength=s).matrix) for s in (1e-4, 1.0, 100.0)]

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

    loss, slope = alignment.lambda_loss(w, x, y, tolerance=tolerance)

    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(slope, weight.grad.numpy(), atol=1e-9)


def test_a_tolerance_of_nothing_keeps_the_map_orthogonal_and_a_large_one_does_not():
    x = draw(400, 12)
    y = unit_rows(x @ (np.random.default_rng(1).standard_normal((12, 8)) * np.linspace(0.2, 2, 8)))
    start = procrustes(A, B, x, y).matrix

    def away(tolerance):
        w = alignment.lambda_orthogonal(A, B, x, y, start=start, tolerance=tolerance).matrix
        return np.linalg.norm(w.T @ w - np.eye(8))

    assert away(0.0) < 0.1  # usual: 0.01
    assert away(10.0) > 0.5  # usual: 1


def test_slerp_runs_along_the_great_circle():
    u, v = draw(50, 8), draw(50, 8, seed=1)
    angle = np.arccos(np.einsum("nd,nd->n", u, v))

    for alpha in (0.0, 0.25, 0.5, 1.0):
        q = alignment.slerp(u, v, alpha)
        np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(
            np.arccos(np.einsum("nd,nd->n", u, q).clip(-1, 1)), alpha * angle, atol=2e-3
        )
    np.testing.assert_allclose(alignment.slerp(u, u, 0.5), u, atol=1e-4)  # no direction to turn in


def test_an_extension_is_the_first_components():
    x = draw(20, 12)

    np.testing.assert_allclose(alignment.extension(A, B).apply(x), unit_rows(x[:, :8]), atol=1e-6)
    with pytest.raises(ShapeError, match="no prefix as wide"):
        alignment.extension(B, A)


def test_recentred_takes_one_mean_to_the_other():
    x, y = draw(300, 12) + 0.3, draw(300, 8, seed=1) - 0.4
    x, y = unit_rows(x), unit_rows(y)
    fitted = alignment.recentred(procrustes(A, B, draw(300, 12), draw(300, 8)), x, y)
    plain = procrustes(A, B, draw(300, 12), draw(300, 8))

    def gap(step):
        return np.linalg.norm(unit_rows(step.apply(x).mean(0)) - unit_rows(y.mean(0)))

    assert gap(fitted) < 0.3 * gap(plain)


def test_a_probe_without_labels_looks_for_the_target_itself():
    gallery = draw(30, 8)
    probe = Probe(
        gallery_old=gallery, gallery_new=gallery, old=gallery[:5], new=gallery[:5], target=np.arange(5)
    )

    assert probe.right(gallery[:5], gallery).all()
    assert not probe.right(gallery[5:10], gallery).any()


def test_a_probe_with_labels_never_counts_the_query_itself():
    gallery = unit_rows(np.eye(4, 8))
    labels = np.array([0, 0, 1, 1])
    probe = Probe(
        gallery_old=gallery, gallery_new=gallery, old=gallery, new=gallery, target=np.arange(4), labels=labels
    )
    towards_mate = unit_rows(gallery + 0.5 * gallery[[1, 0, 3, 2]])

    assert probe.right(towards_mate, gallery).all()
    assert not probe.right(unit_rows(gallery + 0.5 * gallery[[2, 3, 0, 1]]), gallery).any()


def test_overlap_counts_shares_in_any_order():
    assert alignment.overlap(np.array([[1, 2, 3, 4]]), np.array([[4, 1, 9, 8]])) == 0.5
