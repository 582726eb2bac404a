"""Seeded vectors that behave like image embeddings, for benchmarks and tests.

Unit norm; one common mean (the cone in which CLIP's image vectors lie); topics that each hold many clusters whose sizes
follow Zipf's law; within a cluster, a power-law spectrum along directions of the topic's own. At 512-d and 200,000 to
1,000,000 rows the local intrinsic dimension is about 20 to 25 (`intrinsic_dimension` measures it).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BLOCK = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What vectors to draw.

    Attributes:
        rows: how many.
        dim: their width.
        clusters: how many clusters; None for one per 100 rows.
        topics: groups of clusters that lie near each other.
        mean: length of the common mean beside the unit-length rest.
        seed: the same seed gives the same vectors; blocks of them can be drawn again on their own.
    """

    rows: int
    dim: int = 512
    clusters: int | None = None
    topics: int = 256
    mean: float = 0.8
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What vectors of a recipe are drawn around, see `world`."""

    mean: Floats  # (d,)
    basis: Floats  # (d, d) a random rotation
    spectrum: Floats  # (d,) standard deviations along it, summing to unit variance
    centres: Floats  # (c, d)
    weights: NDArray[np.float64]  # (c,) cumulated Zipf probabilities


def world(recipe: Recipe) -> World:
    """Return what the vectors of a recipe are drawn around."""
    rng = np.random.default_rng([recipe.seed, 0])
    d = recipe.dim
    clusters = recipe.clusters or max(1, recipe.rows // 100)
    mean = rng.standard_normal(d).astype(np.float32)
    mean *= np.float32(recipe.mean / np.linalg.norm(mean))
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)
    spectrum = np.arange(1, d + 1, dtype=np.float64) ** -0.5
    spectrum = (spectrum / np.sqrt((spectrum**2).sum())).astype(np.float32)
    topics = rng.standard_normal((min(recipe.topics, clusters), d)).astype(np.float32) * spectrum
    offsets = rng.standard_normal((clusters, d)).astype(np.float32) * spectrum
    centres = 0.6 * topics[rng.integers(len(topics), size=clusters)] + 0.5 * offsets
    sizes = 1.0 / np.arange(1, clusters + 1) ** 0.7
    weights = np.cumsum(rng.permutation(sizes))
    return World(
        mean=mean,
        basis=basis,
        spectrum=spectrum,
        centres=centres.astype(np.float32),
        weights=weights / weights[-1],
    )


def drawn(world: World, count: int, rng: np.random.Generator) -> Floats:
    """Draw vectors, ``(count, d)`` float32 unit rows."""
    cluster = np.minimum(np.searchsorted(world.weights, rng.random(count)), len(world.centres) - 1)
    radius = np.exp(0.3 * rng.standard_normal((count, 1))).astype(np.float32)
    noise = rng.standard_normal((count, len(world.mean)), dtype=np.float32) * world.spectrum  # (n, d)
    rows = (world.centres[cluster] + 0.62 * radius * noise) @ world.basis + world.mean  # (n, d)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def blocks(recipe: Recipe, *, rows: int = _BLOCK) -> Iterator[Floats]:
    """Yield the vectors in blocks of ``rows``, ``(b, d)`` float32 unit rows."""
    around = world(recipe)
    for number, start in enumerate(range(0, recipe.rows, rows)):
        yield drawn(around, min(rows, recipe.rows - start), np.random.default_rng([recipe.seed, 1, number]))


def vectors(recipe: Recipe) -> Floats:
    """Return all vectors, ``(n, d)`` float32 unit rows."""
    return np.concatenate([np.empty((0, recipe.dim), np.float32), *blocks(recipe)])


def queries(recipe: Recipe, count: int) -> Floats:
    """Return ``count`` fresh draws from the same distribution, ``(count, d)``; none of them is a row."""
    return drawn(world(recipe), count, np.random.default_rng([recipe.seed, 2]))


def intrinsic_dimension(scores: Floats) -> float:
    """Estimate the local intrinsic dimension from neighbours' cosines (Levina and Bickel 2004).

    Args:
        scores: ``(q, k)`` cosines, best first, the query itself excluded.
    Returns:
        the mean over queries of ``-1 / mean(log(r_i / r_k))``, ``r`` the Euclidean distances.
    """
    radii = np.sqrt(np.maximum(2 - 2 * scores.astype(np.float64), 1e-9))  # (q, k)
    logs = np.log(radii[:, :-1] / radii[:, -1:]).mean(axis=1)
    return float(np.mean(-1 / np.minimum(logs, -1e-9)))


def altered_copies(rows: Floats, *, share: float = 0.2, seed: int = 0) -> None:
    """Make a share of the rows altered copies of others, in place: sets of 2 to 20, whose cosines run from 0.4 to 1.

    The median is about 0.88, a tenth lies below 0.72; a copy moves toward other rows, as crops and greys do, and not anywhere.
    """
    rng = np.random.default_rng(seed)
    count = int(len(rows) * share)
    originals = rng.integers(0, len(rows), size=max(1, count // 3))
    owner = np.repeat(originals, np.minimum(rng.geometric(0.35, size=len(originals)) + 1, 20))[:count]
    copy = rng.choice(len(rows), size=len(owner), replace=False)
    kept = ~np.isin(copy, originals)
    copy, owner = copy[kept], owner[kept]
    cosine = (1 - 0.6 * rng.beta(1.2, 4, size=len(copy))).astype(np.float32)[:, np.newaxis]
    one, other = rng.integers(0, len(rows), size=(2, len(copy)))
    away = rows[one] - rows[other]  # (m, d)
    away -= np.einsum("nd,nd->n", away, rows[owner])[:, np.newaxis] * rows[owner]
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    rows[copy] = cosine * rows[owner] + np.sqrt(1 - cosine**2) * away
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)


def blank_pages(count: int, dim: int, *, cosine: float = 0.999, seed: int = 0) -> Floats:
    """Return rows about one direction, whose cosines with it are so much: scans of blank pages."""
    rng = np.random.default_rng(seed)
    middle = rng.standard_normal(dim).astype(np.float32)
    middle /= np.linalg.norm(middle)
    noise = rng.standard_normal((count, dim), dtype=np.float32)
    noise -= (noise @ middle)[:, np.newaxis] * middle
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return cosine * middle + np.float32(np.sqrt(1 - cosine**2)) * noise
