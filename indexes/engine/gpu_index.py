"""Train, encode, hold and search an index on a GPU.

faiss-gpu has classes for plain and product-quantised inverted files and for flat rows, in half precision too; it has
none for FastScan, RaBitQ, graphs or reranking. So the part that it can hold goes there, everything before and behind stays
on the CPU, and what comes back is an ordinary index. Where there is no GPU nothing here is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from indexes import forks
from indexes.engine.backend import faiss
from indexes.engine.lists import chain, ivf
from indexes.engine.refined import Refined
from indexes.engine.scan import flat
from indexes.errors import OptionError, RetrievalError
from indexes.vectors import Halves, Ids, Neighbors, Vectors

MOST = 2048
"""Neighbours, and lists probed, that a search on a GPU can take."""

_CODES = frozenset({1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96})  # bytes a row

_SHARE = 0.8  # of the card's free memory that rows may take
_ERROR = np.float32(2e-3)  # more than a cosine of half-precision factors is wrong by
_BLOCK = 65_536
_UNTRIED: Any = object()


def holds(index: Any) -> bool:
    """Say whether a GPU has a class for the inverted file within ``index``."""
    module = faiss()
    inner = ivf.innermost(index)
    if isinstance(inner, module.IndexIVFPQ):
        return type(inner) is module.IndexIVFPQ and inner.pq.nbits == 8 and inner.pq.M in _CODES
    return type(inner) in {module.IndexIVFFlat, module.IndexIVFScalarQuantizer}


def moved(inner: Any, number: int) -> Any:
    """Return a copy of an index that `holds`, on GPU ``number``; codes of more than 48 bytes need small lookup tables."""
    module = faiss()
    options = module.GpuClonerOptions()
    options.useFloat16 = True
    options.indicesOptions = module.INDICES_64_BIT
    resources = module.StandardGpuResources()
    result = module.index_cpu_to_gpu(resources, number, inner, options)
    result.referenced_objects = [resources]
    return result


def train(index: Any, sample: Vectors, *, device: int | None) -> None:
    """Train in place on ``sample``, ``(m, d)``, on GPU ``device`` where it `holds` the index, else on the CPU.

    Raises:
        OptionError: FAISS cannot; see `ivf.train`. Or the card cannot, for want of memory mostly.
    """
    if device is None or not holds(index):
        ivf.train(index, sample)
        return
    inner = ivf.innermost(index)
    ivf.prepare(inner)
    seen = chain.train(index, sample)
    with _explained(device):
        there = moved(inner, device)
        there.train(seen)
        there.copyTo(inner)
    inner.is_trained = True
    chain.finish(index)


@contextmanager
def _explained(device: int) -> Iterator[None]:
    """Say which card failed, and what to do instead."""
    try:
        yield
    except RetrievalError:
        raise
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise OptionError(
            f'GPU {device}: {reason}; free memory there, or build with `device="cpu"`'
        ) from error


def add(index: Any, blocks: Iterable[tuple[Ids, Vectors]], *, device: int | None) -> None:
    """Add blocks of rows under their ids, encoded on GPU ``device`` where it `holds` the index, else on the CPU.

    Raises:
        OptionError: the card cannot, for want of memory mostly.
    """
    if device is None or not holds(index):
        ivf.add(index, blocks)
        return
    inner = ivf.innermost(index)
    with _explained(device):
        there = moved(inner, device)
        for ids, rows in blocks:
            there.add_with_ids(chain.apply(index, rows), ids)
        there.copyTo(inner)
    chain.finish(index)


def served(index: Any, *, device: int) -> Any | None:
    """Return a copy of ``index`` that searches on GPU ``device``; None where a GPU has no class for it, or no room."""
    if not holds(index):
        return None
    try:
        return moved(index, device)
    except RuntimeError:
        return None


def fits(rows: int, dim: int, *, device: int) -> bool:
    """Say whether so many half-precision rows fit the card beside what it holds already."""
    memory = free_memory(device)
    return memory is None or 2 * rows * dim < _SHARE * memory


def free_memory(device: int) -> int | None:
    """Return the card's free bytes, None where nobody tells."""
    import subprocess

    command = ["nvidia-smi", f"--id={device}", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return int(run.stdout.split()[0]) << 20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


class Candidates(Protocol):
    """All rows somewhere where they are compared quickly, not quite exactly."""

    def candidates(self, queries: Vectors, *, k: int) -> Ids | None:
        """Return ids ``(q, m)`` among which each query's best ``k`` certainly are; None if too many may be."""


class Card:
    """One GPU that serves a generation: its first stage if the card has a class for it, and all its rows if they fit.

    Args:
        number: of the card, None where faiss can use none.
        rows: ``(n, d)`` float16.
        exact: puts the rows on the card where faiss cannot; gives None where it cannot either.
    """

    def __init__(
        self, number: int | None, rows: Halves, *, exact: Callable[[Halves], Candidates | None] | None = None
    ) -> None:
        self._number, self._rows, self._put = number, rows, exact
        self._lock = forks.Lock()  # the resources of a card are for one search at a time
        self._stage: Any = _UNTRIED
        self._exact: Any = _UNTRIED

    def search(
        self, index: Any, queries: Vectors, *, k: int, nprobe: int | None, shortlist: int
    ) -> Neighbors | None:
        """Search ``index``, always the same one, as `Refined` does; None for what the card cannot do."""
        if self._number is None or max(nprobe or 1, shortlist, k + 1) > MOST:
            return None
        with self._lock:
            if self._stage is _UNTRIED:
                copy = served(index, device=self._number)
                self._stage = None if copy is None else Refined(copy, self._rows)
            if self._stage is None:
                return None
            found: Neighbors = self._stage.search(queries, k=k, nprobe=nprobe, shortlist=shortlist)
            return found

    def exact(self, queries: Vectors, *, k: int) -> Neighbors | None:
        """Compare every row; None where they do not fit the card, or too many rows tie."""
        with self._lock:
            if self._exact is _UNTRIED:
                self._exact = self._made()
            ids = None if self._exact is None else self._exact.candidates(queries, k=k)
        return None if ids is None else flat.scored(self._rows, queries, ids, k=k)

    def _made(self) -> Candidates | None:
        n, dim = self._rows.shape
        if self._number is None:
            return None if self._put is None else self._put(self._rows)
        return (
            ExactOnGpu(self._rows, device=self._number) if n and fits(n, dim, device=self._number) else None
        )


class ExactOnGpu:
    """All rows on one card in half precision: proposes candidates, which the caller scores exactly.

    Args:
        rows: ``(n, d)`` float16 unit rows; copied to the card in blocks.
        device: number of the card.
    """

    def __init__(self, rows: Halves, *, device: int) -> None:
        module = faiss()
        self._resources = module.StandardGpuResources()
        config = module.GpuIndexFlatConfig()
        config.device, config.useFloat16 = device, True
        self._index = module.GpuIndexFlatIP(self._resources, rows.shape[1], config)
        for start in range(0, len(rows), _BLOCK):
            self._index.add(np.ascontiguousarray(rows[start : start + _BLOCK], dtype=np.float32))

    def candidates(self, queries: Vectors, *, k: int) -> Ids | None:
        """Return ids ``(q, m)`` among which each query's best ``k`` are certainly; None if too many may be.

        Products of half-precision factors are off by up to `_ERROR`, so rows that close to the k-th are candidates too.
        """
        wanted = min(2 * k + 32, self._index.ntotal)
        while wanted <= MOST:
            scores, ids = self._index.search(queries, wanted)
            whole = wanted == self._index.ntotal
            if whole or bool((scores[:, -1] < scores[:, k - 1] - 2 * _ERROR).all()):
                found: Ids = ids
                return found
            wanted = min(4 * wanted, self._index.ntotal)
        return None
