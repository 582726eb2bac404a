from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from indexes.errors import OptionError, ShapeError, StoreCorrupt
from indexes.vectors import linear_maps, transforms
from indexes.vectors.arrays import unit_rows
from indexes.vectors.space import Space

SPACE = Space(name="s", dim=16, fingerprint="f" * 8, nesting=(4, 8, 16))
PLAIN = Space(name="p", dim=16, fingerprint="p" * 8)


def rows(n=200, d=16, seed=0):
    return unit_rows(np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(2, 0.1, d))


@given(st.lists(st.sampled_from(SPACE.nesting), min_size=1).map(lambda widths: sorted(widths, reverse=True)))
def test_however_a_prefix_is_reached_it_is_one_space(widths):
    space = SPACE
    for width in widths:
        space = space.prefix(width)

    assert space == SPACE.prefix(widths[-1])
    assert space.same_as(SPACE.prefix(widths[-1]))
    assert space.same_as(SPACE) == (widths[-1] == SPACE.dim)


def test_pca_keeps_every_dot_product_and_moves_the_energy_forward():
    x = rows() @ np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0].astype(np.float32)
    turned = transforms.pca(PLAIN, x)
    y = turned.apply(x)

    np.testing.assert_allclose(y @ y.T, x @ x.T, atol=1e-5)
    energy = np.cumsum((y**2).mean(0))
    np.testing.assert_allclose(energy, turned.facts["energy"], atol=1e-4)
    assert (energy[:8] > np.cumsum((x**2).mean(0))[:8]).all()
    assert turned.target.prefix(3).dim == 3


def test_pca_on_too_few_rows_is_refused():
    with pytest.raises(OptionError, match="needs as many rows, got 5"):
        transforms.pca(PLAIN, rows(5))


def test_a_rotation_that_is_none_is_refused():
    with pytest.raises(OptionError, match="not orthogonal"):
        transforms.rotation(PLAIN, 2 * np.eye(16, dtype=np.float32), method="learned")


@pytest.mark.parametrize("width", [12, 16, 20])
def test_procrustes_finds_a_rotation_back(width):
    q = np.linalg.qr(np.random.default_rng(2).normal(size=(20, 20)))[0].astype(np.float32)
    x = rows(300, min(16, width))
    y = unit_rows(x @ q[: x.shape[1], :width]) if width >= 16 else unit_rows(x @ q[:12, :16])
    source = Space(name="a", dim=x.shape[1], fingerprint="a")
    target = Space(name="b", dim=y.shape[1], fingerprint="b")
    fitted = transforms.procrustes(source, target, x, y)
    moved = fitted.apply(x)

    if width == 16:
        full = np.linalg.qr(np.random.default_rng(3).normal(size=(16, 16)))[0].astype(np.float32)
        again = transforms.procrustes(source, target, x, x @ full)
        np.testing.assert_allclose(again.matrix, full, atol=1e-4)
    assert (moved * y).sum(1).mean() > 0.9
    small = fitted.matrix if width < 16 else fitted.matrix.T @ fitted.matrix
    assert np.isfinite(small).all()


def test_pairs_that_do_not_pair_are_refused():
    with pytest.raises(ShapeError, match="3 source rows but 4"):
        transforms.procrustes(PLAIN, PLAIN, rows(3), rows(4))


def test_save_and_load(tmp_path):
    turned = transforms.pca(PLAIN, rows())
    moved = transforms.procrustes(turned.target, PLAIN, rows(), rows(seed=5))
    narrow = linear_maps.centred_procrustes(PLAIN, PLAIN, rows(), rows(seed=5), rank=4)
    transforms.save(tmp_path / "t.npz", [turned, moved, narrow])
    again = transforms.load(tmp_path / "t.npz")

    assert [step.method for step in again] == ["pca", "procrustes", "procrustes"]
    assert again[1].factors is None
    for kept, factor in zip(again[2].factors, narrow.factors, strict=True):
        np.testing.assert_array_equal(kept, factor)
    np.testing.assert_array_equal(again[1].matrix, moved.matrix)
    assert again[0].target.same_as(turned.target)
    assert again[0].facts == turned.facts


def test_factors_that_do_not_make_the_matrix_are_refused():
    step = linear_maps.centred_procrustes(PLAIN, PLAIN, rows(), rows(seed=5), rank=4)
    with pytest.raises(ShapeError, match="do not make the matrix"):
        replace(step, factors=(step.factors[0], step.factors[1][:3]))


def test_what_is_not_readable_is_said_so(tmp_path):
    (tmp_path / "t.npz").write_bytes(b"no")
    with pytest.raises(StoreCorrupt, match="not readable transforms"):
        transforms.load(tmp_path / "t.npz")
