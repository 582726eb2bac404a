"""Measure search by prefixes of several widths: recall, quality, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation import check_dim, fit
from indexes.engine import exact, knn_accuracy, prefixes, without
from indexes.search import prefixes_of
from indexes.search.searchers import funnel
from indexes.vectors import recall_at_k
from retrieval.collection import prefix_loss
from retrieval.evaluation.latency import latency

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Bitmap, Halves, Ids, Space, Vectors
    from retrieval.collection import Collection

K = 10
_TIMED = 200


def widths_of(space: Space) -> tuple[int, ...]:
    """Return the widths to measure where none are named: the prefixes of the space, or powers of two, and the whole."""
    return (*prefixes_of(space), space.dim)


def by_width(
    collection: Collection,
    dims: Sequence[int],
    *,
    ids: Ids,
    labelled: Ids | None = None,
    labels: NDArray[Any] | None = None,
) -> list[dict[str, Any]]:
    """Measure each width against exact search at full width.

    Rows of an encoder without prefixes are rotated first: by the rotation that the build recorded, or else by a PCA
    fitted here on all rows. A width is measured exactly, not through the collection's own index.

    Args:
        collection: an open one.
        dims: widths, each a prefix of the space, or any where it has none.
        ids: ``(q,)`` stored rows that ask, each left out of its own answers.
        labelled: ``(m,)`` rows with labels.
        labels: ``(m,)`` theirs.
    Returns:
        for each width, rising: ``dim``, ``recall_at_10`` of its own order, ``recall_at_10_reranked`` of the shortlist ordered
        at full width, ``knn_accuracy``, ``bytes_per_vector`` (float16), ``latency_ms`` of one reranked query.
    Raises:
        OptionError: a width that cannot be.
    """
    space, rows = collection.space, collection.rows  # (n, d)
    for dim in dims:
        check_dim(space, dim, rows=len(collection))
    keep = None if collection.live.all() else collection.live
    queries = collection.vectors(ids)
    own = collection.places(ids)
    true = without(exact(rows, queries, k=K + 1, keep=keep).ids, own)
    asked = _Asked(
        rows=rows, keep=keep, queries=queries, own=own, true=true, rotation=_rotation(collection, dims)
    )
    shortlist = max(collection.manifest.index.shortlist or prefix_loss.SHORTLIST, K + 1)
    found, losses = [], []
    for dim in sorted(set(dims)):
        heads = asked.heads(rows, dim)
        accuracy = None
        if labelled is not None and labels is not None:
            accuracy = knn_accuracy(asked.heads(rows[collection.places(labelled)], dim), labels)
        found.append({"dim": dim, **asked.measured(dim, heads, shortlist), "knn_accuracy": accuracy})
        if dim < space.dim and (space.nesting or collection.rotation is not None):
            losses.append(_loss(asked, dim, heads))
    prefix_loss.record(collection, losses)
    return found


def _loss(asked: _Asked, dim: int, heads: Halves) -> prefix_loss.Loss:
    """Return what a search at this width finds with the shortlist that it takes."""
    return prefix_loss.Loss(
        dim=dim,
        shortlist=prefix_loss.SHORTLIST,
        recall_at_10=round(asked.recall(dim, heads, prefix_loss.SHORTLIST), 4),
        sample=len(asked.own),
    )


def _rotation(collection: Collection, dims: Sequence[int]) -> Vectors | None:
    """Return what turns the rows before they are cut, None where they need no turning."""
    below_full = sorted(dim for dim in dims if dim < collection.space.dim)
    if collection.space.nesting or not below_full:
        return None
    recorded = collection.rotation
    if recorded is not None:
        return recorded.matrix
    return fit(collection.space, collection.rows, np.flatnonzero(collection.live), widths=below_full).matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Stored rows that ask for their neighbours: ``true`` ``(q, 10)``, each row without itself."""

    rows: Halves
    keep: Bitmap | None
    queries: Vectors
    own: Ids
    true: Ids
    rotation: Vectors | None

    def heads(self, rows: Halves, dim: int) -> Halves:
        """Return the prefixes of some rows, at the full width the rows."""
        return rows if dim == rows.shape[1] else funnel.compact(rows, dim, rotation=self.rotation)

    def search(self, queries: Vectors, dim: int, heads: Halves, shortlist: int, *, k: int) -> Ids:
        """Return what a prefix and a shortlist at full width find, ``(q, k)``."""
        if dim == self.rows.shape[1]:
            return exact(self.rows, queries, k=k, keep=self.keep).ids
        return funnel.search(
            self.rows, heads, queries, shortlist=shortlist, k=k, keep=self.keep, rotation=self.rotation
        ).ids

    def recall(self, dim: int, heads: Halves, shortlist: int) -> float:
        """Return the share of the true neighbours that are found so."""
        found = self.search(self.queries, dim, heads, shortlist, k=K + 1)
        return recall_at_k(without(found, self.own), self.true)

    def measured(self, dim: int, heads: Halves, shortlist: int) -> dict[str, Any]:
        """Return what `by_width` says of a width, without labels."""
        full = dim == self.rows.shape[1]
        cut = self.queries if full else prefixes.head(self.queries, dim, rotation=self.rotation)
        alone = without(exact(heads, cut, k=K + 1, keep=self.keep).ids, self.own)
        return {
            "recall_at_10": recall_at_k(alone, self.true),
            "recall_at_10_reranked": self.recall(dim, heads, shortlist),
            "bytes_per_vector": 2.0 * dim,
            "latency_ms": latency(
                lambda query: self.search(query, dim, heads, shortlist, k=K), self.queries[:_TIMED]
            ),
        }
