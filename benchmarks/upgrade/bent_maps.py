"""Fit maps that bend: kernels on landmarks, a residual network, a map for each region.

All work on rows about their means, and nothing is added to what is mapped. With one encoder none found clearly more than a
rotation, so the library has none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from indexes.vectors import Space, Vectors, linear_maps, unit_rows

LANDMARKS = 256
_HIDDEN, _STEPS, _BATCH, _RATE = 128, 120, 128, 2e-3  # of the residual network
_TEMPERATURE = 0.05

Move = Callable[[Vectors], Vectors]
"""Take rows of the new space ``(n, d_in)`` to ``(n, d_out)``, not yet unit rows."""


def landmarks(rows: Vectors, count: int, *, seed: int = 0) -> Vectors:
    """Return the centres of spherical k-means ``(count, d)``; the rows themselves where they are no more."""
    if len(rows) <= count:
        return rows
    centres = rows[np.random.default_rng(seed).permutation(len(rows))[:count]]
    for _ in range(5):
        near = (rows @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, near, rows)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres)
    return centres


def _about(x: Vectors) -> Callable[[Vectors], Vectors]:
    mean = x.mean(axis=0)

    def about(rows: Vectors) -> Vectors:
        moved = rows - mean
        return moved / np.linalg.norm(moved, axis=1, keepdims=True)

    return about


def rotation(x: Vectors, y: Vectors) -> Move:
    """Fit the library's centred rotation."""
    return linear_maps.centred_procrustes(_space(x, "new"), _space(y, "old"), x, y).moved


def ridge(x: Vectors, y: Vectors, *, strength: float) -> Move:
    """Fit the library's ridge regression, about the mean."""
    step = linear_maps.ridge(_space(x, "new"), _space(y, "old"), x, y, strength=strength)
    return linear_maps.about_mean(step, x).moved


def kernel(x: Vectors, y: Vectors, *, gamma: float, strength: float, beside: bool = False) -> Move:
    """Fit kernel ridge regression with ``exp(gamma (cos - 1))`` on landmarks (Nyström; Williams and Seeger 2001).

    Args:
        x, y: ``(n, d_in)`` and ``(n, d_out)`` paired rows.
        gamma: how soon rows grow unlike.
        strength: of the penalty.
        beside: fit what a scaled rotation leaves over, and add it to that.
    """
    about = _about(x)
    u, target = about(x), (y - y.mean(axis=0)).astype(np.float64)
    base, scale = rotation(x, y), 0.0
    if beside:
        turned = base(x)
        scale = float((turned * target).sum() / (turned**2).sum())
        target = target - scale * turned
    marks = landmarks(u, LANDMARKS)
    seen, among = (
        np.exp(gamma * (rows @ marks.T - 1)).astype(np.float64) for rows in (u, marks)
    )  # (n, m), (m, m)
    gram = seen.T @ seen + 0.01 * strength * len(u) * among + 1e-8 * np.eye(len(marks))
    values = np.linalg.solve(gram, seen.T @ target).astype(np.float32)  # (m, d_out)
    columns = np.ascontiguousarray(marks.T)

    def move(rows: Vectors) -> Vectors:
        bent: Vectors = np.exp(gamma * (about(rows) @ columns - 1)) @ values
        return bent + scale * base(rows) if beside else bent

    return move


def barycentre(x: Vectors, y: Vectors, *, gamma: float) -> Move:
    """Return the mean of the old rows near each landmark, weighted by how near the landmark is."""
    about = _about(x)
    u, target = about(x), y - y.mean(axis=0)
    marks = landmarks(u, LANDMARKS)
    weights = np.exp(gamma * (u @ marks.T - 1))  # (n, m)
    values = target if len(u) == len(marks) else (weights / weights.sum(axis=0)).T @ target
    columns = np.ascontiguousarray(marks.T)
    return lambda rows: np.exp(gamma * (about(rows) @ columns - 1)) @ values


def regions(x: Vectors, y: Vectors, *, count: int, penalty: float) -> Move:
    """Fit a correction of the scaled rotation in each of a few regions of the new space, shrunk to nothing by a penalty."""
    about, mean = _about(x), x.mean(axis=0)
    centres = landmarks(about(x), count)
    u, target = x - mean, (y - y.mean(axis=0)).astype(np.float64)
    turn = linear_maps.centred_procrustes(_space(x, "new"), _space(y, "old"), x, y).matrix
    turn = turn * np.float32(((u @ turn) * target).sum() / ((u @ turn) ** 2).sum())
    near = (about(x) @ centres.T).argmax(axis=1)
    spread_of = float((u**2).mean()) * len(u)  # of a component, over all pairs
    steps = []
    for place in range(count):
        own = u[near == place].astype(np.float64)
        left = target[near == place] - own @ turn
        if len(own) < 2:
            steps.append((turn, np.zeros(y.shape[1], dtype=np.float32)))
            continue
        middle, over = own.mean(axis=0), left.mean(axis=0)
        own = own - middle
        gram = own @ own.T + penalty * spread_of * np.eye(len(own))
        bend = own.T @ np.linalg.solve(gram, left - over)  # (d_in, d_out)
        offset = len(own) / (len(own) + 20 * penalty) * (over - middle @ bend)
        steps.append(((turn + bend).astype(np.float32), offset.astype(np.float32)))

    def move(rows: Vectors) -> Vectors:
        own, moved = rows - mean, np.empty((len(rows), y.shape[1]), dtype=np.float32)
        near = (own @ centres.T).argmax(axis=1)
        for place in np.unique(near):
            matrix, offset = steps[place]
            moved[near == place] = own[near == place] @ matrix + offset
        return moved

    return move


def residual(x: Vectors, y: Vectors, *, decay: float) -> Move:
    """Fit ``W x + V relu(H x + b)`` from the rotation on (the residual network of Drift-Adapter, 2025, arXiv 2509.23471).

    Adam on one less the cosine and on a symmetric contrastive term over each batch; ``decay`` draws W to the rotation, the rest to nothing.
    """
    draws, mean = np.random.default_rng(0), x.mean(axis=0)
    u = x - mean
    scale = np.float32(1 / np.sqrt((u**2).sum(axis=1).mean()))
    u = u * scale
    target = unit_rows(y - y.mean(axis=0), what="targets")
    start = linear_maps.centred_procrustes(_space(x, "new"), _space(y, "old"), x, y).matrix
    weights = {
        "W": start.copy(),
        "H": np.sqrt(2).astype(np.float32) * draws.standard_normal((x.shape[1], _HIDDEN), dtype=np.float32),
        "b": np.zeros(_HIDDEN, dtype=np.float32),
        "V": np.zeros((_HIDDEN, y.shape[1]), dtype=np.float32),
    }
    means, squares = ({key: np.zeros_like(value) for key, value in weights.items()} for _ in range(2))
    for step in range(1, _STEPS + 1):
        picked = draws.integers(0, len(u), min(_BATCH, len(u)))
        slopes = _slopes(weights, u[picked], target[picked])
        rate = _RATE * (1 + np.cos(np.pi * step / _STEPS)) / 2
        for key, slope in slopes.items():
            means[key] += 0.1 * (slope - means[key])
            squares[key] += 0.001 * (slope**2 - squares[key])
            pull = means[key] / (1 - 0.9**step) / (np.sqrt(squares[key] / (1 - 0.999**step)) + 1e-8)
            if key == "W":
                pull = pull + 10 * decay * (weights[key] - start)
            elif key != "b":
                pull = pull + decay * weights[key]
            weights[key] -= rate * pull
    linear, hidden = weights["W"] * scale, weights["H"] * scale

    def move(rows: Vectors) -> Vectors:
        own = rows - mean
        moved: Vectors = own @ linear + np.maximum(own @ hidden + weights["b"], 0) @ weights["V"]
        return moved

    return move


def _slopes(weights: dict[str, Any], x: Vectors, y: Vectors) -> dict[str, Any]:
    """Return the gradient of `residual`'s loss over a batch by each of the weights."""
    inner = x @ weights["H"] + weights["b"]  # (b, h)
    hidden = np.maximum(inner, 0)
    out = x @ weights["W"] + hidden @ weights["V"]  # (b, d_out)
    lengths = np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    unit = out / lengths
    logits = unit @ y.T / _TEMPERATURE
    pull = np.zeros_like(logits)
    for axis in (0, 1):
        shares = np.exp(logits - logits.max(axis=axis, keepdims=True))
        pull += (shares / shares.sum(axis=axis, keepdims=True) - np.eye(len(x), dtype=x.dtype)) / (2 * len(x))
    by_unit = (pull @ y / _TEMPERATURE - 4 * y / len(x)) / 2
    by_out = (by_unit - unit * (unit * by_unit).sum(axis=1, keepdims=True)) / lengths
    by_inner = (by_out @ weights["V"].T) * (inner > 0)
    return {"W": x.T @ by_out, "V": hidden.T @ by_out, "H": x.T @ by_inner, "b": by_inner.sum(axis=0)}


_KERNELS = [{"gamma": g, "strength": s} for g in (1.0, 2.0, 4.0, 8.0) for s in (1e-3, 1e-1, 1.0)]
KINDS: dict[str, tuple[Callable[..., Move], list[dict[str, Any]]]] = {
    "rotation": (rotation, [{}]),
    "ridge": (ridge, [{"strength": s} for s in (1e-2, 1e-1, 1.0, 10.0)]),
    "kernel": (kernel, _KERNELS),
    "rotation and kernel": (kernel, [{**settings, "beside": True} for settings in _KERNELS]),
    "barycentre": (barycentre, [{"gamma": g} for g in (4.0, 8.0, 16.0, 32.0)]),
    "regions": (regions, [{"count": n, "penalty": p} for n in (2, 4, 8) for p in (0.01, 0.1, 1.0)]),
    "residual network": (residual, [{"decay": d} for d in (0.01, 1.0)]),
}


def _space(rows: Vectors, name: str) -> Space:
    return Space(name=name, dim=rows.shape[1], fingerprint=name)
