"""Write the FAISS factory string of each kind of index that has a name, and choose how many inverted lists it has."""

from __future__ import annotations

import math
from collections.abc import Callable

from indexes.errors import OptionError

HNSW_LISTS = 16_384
"""Lists from which the coarse quantiser is a graph: below, scanning the centroids costs less."""

_ROWS_PER_LIST = 40  # at least, on average

_PQ_CODES = (64, 56, 48, 40, 32, 28, 24, 20, 16, 12, 8, 4, 3, 2, 1)  # that a GPU can hold too


def lists_for(rows: int) -> int:
    """Return how many inverted lists suit so many rows: about ``4 sqrt(n)``."""
    lists = min(int(4 * math.sqrt(rows)), rows // _ROWS_PER_LIST)
    return max(1, lists // 64 * 64 if lists >= 64 else lists)


def _rabitq_factory(coarse: str, dim: int, bits: int) -> str:
    rotation = "RR" if dim & (dim - 1) else "HR"  # FAISS pads other widths to the next power
    return f"{rotation},{coarse},RaBitQfs{bits if bits > 1 else ''}"


def _pq_factory(coarse: str, dim: int, _bits: int) -> str:
    return f"{coarse},PQ{next(m for m in _PQ_CODES if dim % m == 0)}"


FACTORIES: dict[str, Callable[[str, int, int], str]] = {"ivfpq": _pq_factory, "ivfrabitq": _rabitq_factory}
"""Of each kind that has a name: its factory string, by that of its lists, its width and its bits a dimension."""


def factory_for(kind: str, *, rows: int, dim: int, bits: int = 1, lists: int | None = None) -> str:
    """Return the FAISS factory string of a kind.

    Args:
        kind: ``ivfpq`` (8-bit codes, portable to GPUs) or ``ivfrabitq`` (a random rotation, then RaBitQ codes: Gao and
            Long 2024, arXiv 2405.12497; at a width that is a power of two by signs and Hadamard matrices: they take
            next to nothing, a whole matrix of 512-d a sixth of a single query's time).
        rows: rows that it will hold.
        dim: its width.
        bits: bits a dimension of RaBitQ.
        lists: inverted lists; None for as many as suit the rows.
    Raises:
        OptionError: no kind has this name.
    """
    if kind not in FACTORIES:
        raise OptionError(
            f"index kind {kind!r} has no factory string of its own; {', '.join(FACTORIES)} have"
        )
    lists = lists or lists_for(rows)
    coarse = f"IVF{lists}" + ("_HNSW32" if lists >= HNSW_LISTS else "")
    return FACTORIES[kind](coarse, dim, bits)


def kind_of(factory: str, *, dim: int, lists: int) -> str | None:
    """Return the kind that a factory string was made for by `factory_for`; None where it is somebody's own.

    Args:
        factory: of an index.
        dim: its width.
        lists: its inverted lists.
    """
    for kind in FACTORIES:
        for bits in (1, 2):
            if factory_for(kind, rows=0, dim=dim, bits=bits, lists=lists) == factory:
                return kind
    return None
