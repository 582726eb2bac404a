"""Order a backfill in ways that might beat a random order; none did, so the library has none of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes.vectors import Ids, Transform, Vectors, unit_rows

NEAR = 10
_AT_ONCE = 60  # rows that a coverage picks together


def orders_of(
    back: Transform, old: Vectors, new: Vectors, sample: Ids, mapped: Vectors, *, seed: int
) -> dict[str, Ids]:
    """Return orders of a gallery's rows by name, ``(g,)`` each: the sample first, then the others.

    Args:
        back: where an old row is expected in the new space.
        old, new: ``(g, d_old)`` and ``(g, d_new)`` the gallery; of the new rows only the sample's are looked at.
        sample: ``(s,)`` rows that both encoders have seen.
        mapped: ``(s, d_old)`` the sample as queries to the old rows.
        seed: of the random order.
    """
    rest = np.setdiff1d(np.arange(len(old)), sample)
    about = unit_rows(old - old.mean(axis=0))
    alike = about @ about.T  # (g, g)
    np.fill_diagonal(alike, -1)
    near = np.argpartition(-alike, NEAR, axis=1)[:, :NEAR]
    density = np.take_along_axis(alike, near, axis=1).mean(axis=1)
    hubs = np.bincount(near.ravel(), minlength=len(old))
    asked = np.argpartition(-(mapped @ old.T), NEAR, axis=1)[:, :NEAR]
    keys: dict[str, NDArray[np.floating] | Ids] = {
        "farthest": _missed(back, old, new, sample),
        "dense": density,
        "sparse": -density,
        "hubs": hubs,
        "no hubs": -hubs,
        "asked for": np.bincount(asked.ravel(), minlength=len(old)),
    }
    orders = {name: rest[np.argsort(-key[rest], kind="stable")] for name, key in keys.items()}
    orders["covering"] = _covering(alike, sample)
    orders["random"] = np.random.default_rng(seed).permutation(rest)
    return {name: np.concatenate([sample, order]) for name, order in orders.items()}


def _missed(back: Transform, old: Vectors, new: Vectors, sample: Ids) -> NDArray[np.floating]:
    """Return how far each row will lie from where it is expected, as far as like rows of the sample tell."""
    missed = 1 - np.einsum("sd,sd->s", back.apply(old[sample]), new[sample])  # (s,)
    cosines = old @ old[sample].T  # (g, s)
    near = np.argpartition(-cosines, NEAR, axis=1)[:, :NEAR]
    weights = np.exp(np.take_along_axis(cosines, near, axis=1) / 0.1)
    found: NDArray[np.floating] = (missed[near] * weights).sum(axis=1) / weights.sum(axis=1)
    return found


def _covering(alike: NDArray[np.float32], sample: Ids) -> Ids:
    """Return the other rows, first those that all rows together are most alike to one of (facility location, greedily)."""
    covered = alike[:, sample].max(axis=1)
    left = np.setdiff1d(np.arange(len(alike)), sample)
    found = []
    while len(left):
        gains = np.maximum(alike[left] - covered, 0).sum(axis=1)
        best = np.argsort(-gains, kind="stable")[:_AT_ONCE]
        found.append(left[best])
        covered = np.maximum(covered, alike[:, left[best]].max(axis=1))
        left = np.delete(left, best)
    return np.concatenate(found)
