"""Learn a rotation under which short prefixes keep their neighbours (torch)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from indexes.engine import exact
from indexes.vectors import Ids, Matrix, Vectors
from retrieval.encoders import allowed_threads
from retrieval.encoders.training.losses import MatryoshkaLoss, similarity_distillation
from retrieval.errors import ShapeError

_ROWS = 20_000
_NEIGHBOURS = 10
_BATCH = 128  # rows that ask, a step
_RATE = 1e-2  # of Adam, falling to nothing
_TEMPERATURE = 0.05  # of both softmaxes
_MIXED = 256  # least leading columns that are mixed, and four times the widest prefix: the others hold little


def fit_prefix_rotation(
    rows: Vectors,
    widths: Sequence[int],
    start: Matrix,
    *,
    steps: int = 150,
) -> Matrix:
    """Improve an orthogonal matrix so that the first columns alone order neighbours as the whole row does.

    Each step draws rows, their nearest neighbours and some others, and brings the softmax of each prefix's cosines
    toward the softmax of the full cosines, summed over the widths. The rotation is the start times the exponential of a
    skew-symmetric matrix, so that it stays orthogonal and every full-width score stays as it is. A learned rotation in
    front of fixed vectors is the idea of "AdaWidth" (2026); the objective is the distillation of Fang et al. 2021.

    Args:
        rows: ``(n, d)`` unit rows; the first 20,000 of a random order are used.
        widths: the prefixes, rising.
        start: ``(d, d)`` orthogonal, its columns by falling energy, such as a PCA's.
        steps: of Adam.
    Returns:
        ``(d, d)`` float32, orthogonal.
    Raises:
        ShapeError: the widths do not rise from 1 to below ``d``, or the matrix is of another size.
    """
    d = rows.shape[1]
    if not widths or list(widths) != sorted(set(widths)) or not 0 < widths[0] <= widths[-1] < d:
        raise ShapeError(f"prefixes of a rotation must rise from 1 to below {d}, got {tuple(widths)}")
    if start.shape != (d, d):
        raise ShapeError(f"the rotation to start from is {start.shape}, expected {(d, d)}")
    rng = np.random.default_rng(0)
    sample = rows[np.sort(rng.permutation(len(rows))[:_ROWS])]
    near = _neighbours(sample)  # (n, 10)
    inner = min(d, max(_MIXED, 4 * widths[-1]))
    full = torch.from_numpy(sample)
    rotated = torch.from_numpy(np.ascontiguousarray(sample @ start[:, :inner]))  # (n, inner)
    free = torch.zeros(inner, inner, requires_grad=True)
    with allowed_threads():
        _descend(free, full, rotated, near, widths, rng, steps=steps)
    with torch.no_grad():
        mix = np.eye(d, dtype=np.float64)
        mix[:inner, :inner] = _orthogonal(free.double()).numpy()
    return _ordered_behind(sample, start.astype(np.float64) @ mix, widths[-1])


def _descend(
    free: torch.Tensor,
    full: torch.Tensor,
    rotated: torch.Tensor,
    near: Ids,
    widths: Sequence[int],
    rng: np.random.Generator,
    *,
    steps: int,
) -> None:
    """Fit ``free`` in place; the arguments are those of `fit_prefix_rotation` and what it makes of them."""
    optimiser = torch.optim.Adam([free], lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    loss = MatryoshkaLoss(similarity_distillation, widths)
    for _ in range(steps):
        asked = rng.choice(len(full), min(_BATCH, len(full)), replace=False)
        others = rng.choice(len(full), min(8 * _BATCH, len(full)), replace=False)
        bank = np.setdiff1d(np.concatenate((near[asked].reshape(-1), others)), asked)
        with torch.no_grad():
            target = F.softmax(full[asked] @ full[bank].T / _TEMPERATURE, dim=1)  # (b, k)
        matrix = _orthogonal(free)[:, : widths[-1]]  # (inner, m)
        value = loss(rotated[asked] @ matrix, rotated[bank] @ matrix, target, temperature=_TEMPERATURE)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()


def _ordered_behind(sample: Vectors, matrix: NDArray[np.float64], width: int) -> Matrix:
    """Order what lies behind the widest learned prefix by energy again, so that longer prefixes lose nothing by learning."""
    rest = matrix[:, width:]  # (d, d - m)
    rotated = sample @ rest
    values, axes = np.linalg.eigh(rotated.T @ rotated)
    behind = rest @ axes[:, np.argsort(-values)]
    return np.ascontiguousarray(np.hstack((matrix[:, :width], behind)), dtype=np.float32)


def _orthogonal(free: torch.Tensor) -> torch.Tensor:
    """Return the exponential of the skew-symmetric part: orthogonal, the identity at zero."""
    return torch.matrix_exp(free - free.T)


def _neighbours(sample: Vectors) -> Ids:
    """Return each row's nearest others, ``(n, 10)``."""
    found = exact(sample.astype(np.float16), sample, k=_NEIGHBOURS + 1).ids
    own = np.arange(len(sample))[:, np.newaxis]
    same = found == own
    same[~same.any(axis=1), -1] = True
    others: Ids = found[~same].reshape(len(sample), -1)
    return others
