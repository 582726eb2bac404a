"""Encode rows that come after an index by its own training, in a small inverted file without the centroids.

A segment has the lists of its base, so whoever has chosen a query's lists there has chosen them here, and the scores of both compare.
Its codes lie one after the other: of FastScan's blocks of 32 rows most places would be empty, where a list has few rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from indexes.engine import faiss
from indexes.engine.lists import block_lists, chain, ivf
from indexes.vectors import Ids, Vectors


def can_be(index: Any) -> bool:
    """Say whether rows can be encoded beside an index: it has lists, and codes that need no blocks."""
    module, inner = faiss(), ivf.innermost(index)
    if not isinstance(inner, module.IndexIVF):
        return False
    return isinstance(inner, _blocked()) or not isinstance(inner, module.IndexIVFFastScan)


def _blocked() -> Any:
    """Return the classes whose codes lie in blocks, and which have a sister class whose codes do not."""
    module = faiss()
    return module.IndexIVFRaBitQFastScan | module.IndexIVFPQFastScan


def emptied(index: Any) -> Any:
    """Return an empty segment of an index that `can_be` beside; of it the index is used up, but for its centroids and transforms.

    Args:
        index: opened for this alone.
    """
    module, inner = faiss(), ivf.innermost(index)
    shape = (inner.quantizer, inner.d, inner.nlist)
    if isinstance(inner, module.IndexIVFRaBitQFastScan):
        segment = module.IndexIVFRaBitQ(*shape, inner.metric_type, True, inner.rabitq.nb_bits)  # noqa: FBT003
        segment.qb = inner.qb
    elif isinstance(inner, module.IndexIVFPQFastScan):
        segment = module.IndexIVFPQ(*shape, inner.pq.M, inner.pq.nbits, inner.metric_type)
        segment.pq, segment.do_polysemous_training = inner.pq, False
    else:
        segment = inner
        lists = module.ArrayInvertedLists(inner.nlist, inner.code_size)
        segment.replace_invlists(lists, True)  # noqa: FBT003 - owned from now on
        lists.this.disown()
    segment.by_residual, segment.is_trained, segment.ntotal = inner.by_residual, True, 0
    segment.referenced_objects = [index]
    return segment


def encode(index: Any, blocks: Iterable[tuple[Ids, Vectors]], *, earlier: Iterable[Path] = ()) -> Any:
    """Make a segment of rows, with those of earlier segments, whose codes are copied.

    Args:
        index: the base, opened for this alone and used up, see `emptied`.
        blocks: ids and rows ``(n, d)``.
        earlier: files of segments of the same base.
    Raises:
        StoreCorrupt: one of these cannot be read.
    """
    segment = emptied(index)
    for path in earlier:
        block_lists.merge(segment, attached(ivf.load(path), index))
    ivf.add(segment, ((ids, chain.apply(index, rows)) for ids, rows in blocks))
    return segment


def attached(segment: Any, index: Any) -> Any:
    """Return a segment that was read with the centroids of its base; the base lives as long as it does."""
    segment.quantizer, segment.own_fields = ivf.innermost(index).quantizer, False
    if isinstance(segment, faiss().IndexIVFPQ):
        # By L2 it was read with an empty table of what centroids add, as it had none. That table has all lists; few have rows here.
        segment.use_precomputed_table = -1
    segment.referenced_objects = [*getattr(segment, "referenced_objects", []), index]
    return segment


def save(segment: Any, path: Path) -> None:
    """Write a segment without the centroids, which its base has.

    Raises:
        OSError: it cannot be written.
    """
    with without_centroids(segment):
        ivf.save(segment, path)


@contextmanager
def without_centroids(inner: Any) -> Iterator[None]:
    """Leave the coarse quantiser of an inverted file out while it is written: every part of a whole would repeat it."""
    quantizer = inner.quantizer
    inner.quantizer = faiss().IndexFlat(inner.d, inner.metric_type)
    try:
        yield
    finally:
        inner.quantizer = quantizer
