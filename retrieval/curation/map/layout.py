"""Place rows on a plane so that near ones stay near: t-SNE by openTSNE, begun at the two principal axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.distribution import pip_install
from indexes.engine import allowed_cores
from retrieval.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from retrieval.curation.map.neighbor_graph import NeighborGraph

NEIGHBORS: Final = 30
"""Neighbours of a row that draw it near; a perplexity of ten."""

_EARLY, _LATE = 125, 250
PASSES: Final = _EARLY + _LATE
_EVERY: Final = 10
_FEWEST: Final = 10
"""Rows from which on they are moved at all."""

_BY_GRID: Final = 10_000
"""Rows from which on forces are summed on a grid, by all cores; for fewer, threads wait for each other longer than they work."""

_SPREAD: Final = 1e-4
"""Standard deviation of the first axis at the start, as t-SNE wants it."""


def require_layout() -> None:
    """Check that the library is there.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import openTSNE  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtra(f"a map needs openTSNE, which is not installed: {pip_install('map')}") from error


def layout(
    graph: NeighborGraph,
    start: NDArray[np.float32],
    *,
    told: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float32]:
    """Place rows on a plane.

    The same graph and start give the same places.

    Args:
        graph: the nearest others of each row.
        start: ``(n, 2)`` where they begin, such as their principal axes; left unchanged.
        told: is called with how many of `PASSES` are done.
    Returns:
        ``(n, 2)`` float32 from 0 to 1, the longer side of the picture filled.
    Raises:
        MissingExtra: openTSNE is not installed.
    """
    require_layout()
    count, neighbors = graph.places.shape
    if count < _FEWEST:
        return _fitted(np.asarray(start, dtype=np.float64))
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    distances = np.sqrt(np.maximum(2 - 2 * graph.scores.astype(np.float64), 0))
    cores = allowed_cores() if count >= _BY_GRID else 1
    affinities = PerplexityBasedNN(
        perplexity=neighbors / 3,
        knn_index=PrecomputedNeighbors(graph.places, distances),
        n_jobs=cores,
    )
    spread = float(start[:, 0].std())
    placed: Any = TSNEEmbedding(
        start.astype(np.float64) * (_SPREAD / spread if spread else 0.0),
        affinities,
        negative_gradient_method="fft" if count >= _BY_GRID else "bh",
        n_jobs=cores,
        random_state=0,
    )
    done = 0

    def tell(passes: int, *_: object) -> None:
        told(min(done + passes, PASSES))

    for passes, force, momentum in ((_EARLY, 12.0, 0.5), (_LATE, 1.0, 0.8)):
        placed.optimize(
            n_iter=passes,
            exaggeration=force,
            momentum=momentum,
            inplace=True,
            callbacks=[tell],
            callbacks_every_iters=_EVERY,
        )
        done += passes
    return _fitted(np.asarray(placed, dtype=np.float64))


def _fitted(places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Move and scale places into the unit square, in the middle of the shorter side."""
    if not len(places):
        return np.empty((0, 2), dtype=np.float32)
    low, high = places.min(axis=0), places.max(axis=0)
    size = float((high - low).max()) or 1.0
    return np.asarray((places - (low + high) / 2) / size + 0.5, dtype=np.float32)
