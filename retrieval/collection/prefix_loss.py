"""Measure once per width what a search by prefix loses, and keep the result beside the index."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation import FLAT_ROWS
from indexes.engine import without
from indexes.files import replace_file
from indexes.generation import Funnel, generation_path
from indexes.search import FACTOR, TUNED_K
from indexes.vectors import recall_at_k

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from retrieval.collection.collection import Collection

WIDTHS = "widths.json"
"""In a generation's directory, and deleted with it: what was measured of its rows."""

SHORTLIST = FACTOR * TUNED_K
"""Candidates at full width that it is measured with: what a search for ten neighbours takes."""

MEASURED_ROWS = FLAT_ROWS
"""Rows up to which a width is measured as soon as it is asked for: in less than a second."""

_SAMPLE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a width was measured to find.

    Attributes:
        dim: the width.
        shortlist: candidates that were ordered at full width.
        recall_at_10: share of the ten nearest by exact search that were found, mean over `sample` stored rows.
        sample: how many those are.
    """

    dim: int
    shortlist: int
    recall_at_10: float
    sample: int


def loss_of(collection: Collection, dim: int) -> Loss | None:
    """Return what a search narrowed to ``dim`` was measured to find, measuring it if that takes no time to speak of.

    It is as the build measured it if ``dim`` is the width that a funnel was built for, as `retrieval.evaluate` measured it
    if it did, and else measured now in a collection of up to `MEASURED_ROWS` rows, and kept for the next time.

    Args:
        collection: an open one.
        dim: a width that it can be searched at, less than the full one.
    Returns:
        None where it was not measured and the collection is too large to do so now, has fewer rows than a search is
        measured with, or its encoder is being changed.
    """
    index = collection.manifest.index
    if isinstance(index, Funnel) and index.dim == dim:
        if index.recall_at_10 is None or index.shortlist is None:
            return None
        return Loss(
            dim=dim,
            shortlist=index.shortlist,
            recall_at_10=index.recall_at_10,
            sample=index.recall_sample,
        )
    known = _read(_path(collection)).get(dim)
    if known is not None or collection.manifest.migrating:
        return known
    if not TUNED_K < len(collection) <= MEASURED_ROWS:
        return None
    found = _measured(collection, dim)
    record(collection, [found])
    return found


def record(collection: Collection, losses: Iterable[Loss]) -> None:
    """Keep what was measured beside the index that it was measured on; where nobody may write, it is not kept."""
    path = _path(collection)
    known = _read(path) | {loss.dim: loss for loss in losses}
    rows = [asdict(known[dim]) for dim in sorted(known)]
    with suppress(OSError):
        replace_file(path, (json.dumps(rows, indent=2) + "\n").encode())


def _path(collection: Collection) -> Path:
    return generation_path(collection.directory, collection.manifest.generation) / WIDTHS


def _read(path: Path) -> dict[int, Loss]:
    """Return what is recorded, nothing where it cannot be read: it can be measured again."""
    rows: list[dict[str, Any]] = []
    with suppress(OSError, ValueError):
        rows = json.loads(path.read_bytes())
    with suppress(TypeError):
        return {loss.dim: loss for loss in (Loss(**row) for row in rows)}
    return {}


def _measured(collection: Collection, dim: int) -> Loss:
    ids = np.sort(np.random.default_rng(0).permutation(collection.row_ids())[:_SAMPLE])
    queries = collection.vectors(ids)
    true = collection.search_vectors(queries, k=TUNED_K + 1, exact=True).ids
    found = collection.search_vectors(queries, k=TUNED_K + 1, truncate_dim=dim, shortlist=SHORTLIST).ids
    recall = recall_at_k(without(found, ids), without(true, ids))
    return Loss(dim=dim, shortlist=SHORTLIST, recall_at_10=round(recall, 4), sample=len(ids))
