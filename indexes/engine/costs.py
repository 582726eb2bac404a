"""Estimate what a query costs by counting its work: lists, rows and candidates, not seconds.

Tuning and ``--dim auto`` compare settings by these numbers. A measured time differs from run to run and with what else the machine
does, and so did the settings that two builds of the same rows chose. The weights are nanoseconds of one thread on an AMD Zen 5 core,
fitted to searches of 100,000 rows of 128 dimensions; only their ratios matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from indexes.engine.backend import faiss
from indexes.engine.lists import block_lists, ivf

_FIXED = 12_000.0  # a search's own calls
_CENTROID = 0.03  # a dimension of a centroid that is compared with
_GRAPH_STEP = 2.0  # a dimension of a node that a graph's search visits
_CANDIDATE, _CANDIDATE_DIM = (
    150.0,
    0.4,
)  # a row fetched from the mapped file and compared, and each of its dimensions
_LIST_DIM = 6.0  # a dimension, for each list probed: lookup tables
_LIST_DIM_RABITQ = 11.0  # the same where the query is also rotated
_EXACT_BYTE = 0.05  # a byte of float16 rows, streamed
_CODE_BYTE = {"rabitq": 0.25, "product": 0.27, "fast": 0.045, "scalar": 0.065}  # of a code that is scanned


class Costs:
    """What searching one index costs.

    Args:
        index: trained and filled.
        width: of the rows that candidates are compared with.
        shards: indexes like this one that are searched as one: lists are chosen once, and probed in each, by one set of tables
            (`indexes.search.UnitedShards`).
    """

    def __init__(self, index: Any, *, width: int, shards: int = 1) -> None:
        inner = ivf.innermost(index)
        self._nlist = ivf.lists_of(index)
        self._dim, self._width = int(inner.d), width
        self._code = _code_nanoseconds(inner)
        self._rows = int(index.ntotal)
        self._coarse = 0.0
        self._graph = False
        self._list = _LIST_DIM * self._dim
        self._scanned = float(self._rows)
        if self._nlist:
            self._graph = _is_graph(inner.quantizer)
            self._coarse = _CENTROID * self._nlist * self._dim
            if isinstance(inner, _rabitq()):
                self._list = _LIST_DIM_RABITQ * self._dim
            self._scanned = _rows_in_a_probed_list(inner)
        elif _is_graph(inner):
            self._graph = True
        self._scanned, self._rows = shards * self._scanned, shards * self._rows

    def microseconds(self, *, nprobe: int | None, shortlist: int) -> float:
        """Return the cost of one query on one thread."""
        probed = min(nprobe or 1, self._nlist)
        work = _FIXED
        if self._graph:
            steps = max(64, 2 * probed) if self._nlist else max(16, shortlist)
            work += _GRAPH_STEP * self._dim * steps
        else:
            work += self._coarse
        if self._nlist:
            seen = min(float(self._rows), probed * self._scanned)
            work += probed * self._list + seen * self._code
        else:
            seen = float(self._rows)
            work += 0.0 if self._graph else seen * self._code
        return round((work + of_candidates(min(float(shortlist), seen), self._width)) / 1000, 3)


def of_candidates(count: float, width: int) -> float:
    """Return the nanoseconds of comparing so many candidates with a query at a width."""
    return count * (_CANDIDATE + _CANDIDATE_DIM * width)


def of_exact_search(rows: int, width: int) -> float:
    """Return the microseconds of one query compared with every row."""
    return round((_FIXED + _EXACT_BYTE * 2 * rows * width) / 1000, 3)


def _rows_in_a_probed_list(inner: Any) -> float:
    """Return the mean number of rows in a list, weighted by it: long lists are probed more often."""
    lists = inner.invlists
    sizes = np.fromiter(map(lists.list_size, range(lists.nlist)), dtype=np.float64, count=lists.nlist)
    return float((sizes**2).sum() / max(sizes.sum(), 1.0))


def _code_nanoseconds(inner: Any) -> float:
    module = faiss()
    size = float(getattr(inner, "code_size", 0) or 4 * inner.d)
    if isinstance(inner, _rabitq()):
        return _CODE_BYTE["rabitq"] * size
    if block_lists.of(inner) is not None or isinstance(inner, module.IndexFastScan):
        return _CODE_BYTE["fast"] * size
    if isinstance(inner, module.IndexIVFPQ | module.IndexPQ):
        return _CODE_BYTE["product"] * size
    return _CODE_BYTE["scalar"] * size


def _rabitq() -> Any:
    module = faiss()
    return module.IndexIVFRaBitQ | module.IndexIVFRaBitQFastScan


def _is_graph(index: Any) -> bool:
    module = faiss()
    return isinstance(ivf.innermost(index), module.IndexHNSW | module.IndexNSG)
