"""Train, encode, hold and search an index on a GPU.

faiss-gpu has classes for plain and product-quantised inverted files and for flat rows, in half precision too; it has
none for FastScan, RaBitQ, graphs or reranking, and its inverted files want a flat coarse quantiser. So the part that it can hold
goes there, with the centroids of a graph laid flat; everything before and behind stays on the CPU, and what comes back is an
ordinary index. Of the other inverted files the card finds the centroids and each row's list. Where there is no GPU nothing here is
reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from indexes import forks
from indexes.engine.backend import faiss
from indexes.engine.cuda_driver import free_memory
from indexes.engine.lists import chain, ivf
from indexes.engine.refined import Refined
from indexes.engine.scan import flat
from indexes.errors import OptionError, RetrievalError
from indexes.vectors import Halves, Ids, Neighbors, Vectors

MOST = 2048
"""Neighbours, and lists probed, that a search on a GPU can take."""

_CODES = frozenset({1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96})  # bytes a row

_SCALARS = ("QT_8bit", "QT_8bit_uniform", "QT_8bit_direct", "QT_4bit", "QT_4bit_uniform", "QT_fp16")

_SHARE = 0.8  # of the card's free memory that rows may take
_ERROR = np.float32(2e-3)  # more than a cosine of half-precision factors is wrong by
_BLOCK = 65_536
_UNTRIED: Any = object()


def holds(index: Any) -> bool:
    """Say whether a GPU has a class for the inverted file within ``index``."""
    module = faiss()
    inner = ivf.innermost(index)
    if type(inner) is module.IndexIVFPQ:
        pq = inner.pq
        return (
            pq.nbits == 8
            and pq.M in _CODES
            and inner.d % pq.M == 0
            and bool(inner.by_residual)
            and inner.polysemous_ht == 0
        )
    if type(inner) is module.IndexIVFScalarQuantizer:
        return inner.sq.qtype in {getattr(module.ScalarQuantizer, name) for name in _SCALARS}
    return type(inner) is module.IndexIVFFlat


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


def laid_flat(inner: Any) -> Any:
    """Return an index with the lists and codebooks of an inverted file that `holds`, and its centroids in a flat quantiser.

    The lists are shared, not copied: keep ``inner`` unchanged while this lives.
    """
    module = faiss()
    flat_centroids = module.IndexFlat(inner.d, inner.metric_type)
    if inner.quantizer.ntotal:
        flat_centroids.add(inner.quantizer.reconstruct_n(0, inner.quantizer.ntotal))
    shape = (flat_centroids, inner.d, inner.nlist)
    if isinstance(inner, module.IndexIVFPQ):
        result = module.IndexIVFPQ(*shape, inner.pq.M, inner.pq.nbits, inner.metric_type)
        result.pq = inner.pq
        result.do_polysemous_training = False
    elif isinstance(inner, module.IndexIVFScalarQuantizer):
        result = module.IndexIVFScalarQuantizer(*shape, inner.sq.qtype, inner.metric_type, inner.by_residual)
        result.sq = inner.sq
    else:
        result = module.IndexIVFFlat(*shape, inner.metric_type)
    result.by_residual, result.nprobe = inner.by_residual, inner.nprobe
    result.is_trained, result.ntotal = inner.is_trained, inner.ntotal
    result.replace_invlists(inner.invlists, False)  # noqa: FBT003 - not owned
    result.referenced_objects = [flat_centroids, inner]
    return result


def _take(inner: Any, result: Any) -> None:
    """Give ``inner`` the centroids, codebooks and lists of what came back from a card; ``result`` is used up."""
    module = faiss()
    if inner.quantizer.ntotal != inner.nlist:
        centroids = result.quantizer.reconstruct_n(0, inner.nlist)
        inner.quantizer.reset()
        inner.quantizer.add(centroids)
        inner.quantizer.is_trained = True
    if isinstance(inner, module.IndexIVFPQ):
        inner.pq = result.pq
    elif isinstance(inner, module.IndexIVFScalarQuantizer):
        inner.sq = result.sq
    result.own_invlists = False
    inner.replace_invlists(result.invlists, True)  # noqa: FBT003 - owned from now on
    inner.ntotal, inner.is_trained = result.ntotal, result.is_trained


def train(index: Any, sample: Vectors, *, device: int | None) -> None:
    """Train in place on ``sample``, ``(m, d)``, on GPU ``device``.

    Of an inverted file that a card does not `holds`, such as RaBitQ's, k-means of the centroids runs there, the rest on the CPU.

    Raises:
        OptionError: FAISS cannot; see `ivf.train`. Or the card cannot, for want of memory mostly.
    """
    inner = ivf.innermost(index)
    if device is None or not isinstance(inner, faiss().IndexIVF):
        ivf.train(index, sample)
        return
    if not holds(index):
        with _explained(device):
            ivf.train(index, sample, centroids=_FlatOnCard(device).empty)
        return
    ivf.prepare(inner)
    seen = chain.train(index, sample)
    with _explained(device):
        result = laid_flat(inner)
        there = moved(result, device)
        ivf.prepare(there)
        there.train(seen)
        there.copyTo(result)
    _take(inner, result)
    chain.finish(index)


class _FlatOnCard:
    """Makes empty indexes that compare with all rows on one card."""

    def __init__(self, device: int) -> None:
        self._device = device
        self._resources = faiss().StandardGpuResources()

    def empty(self, rows: Vectors, metric: int) -> Any:
        """Return one for rows as wide as ``rows``."""
        module = faiss()
        config = module.GpuIndexFlatConfig()
        config.device, config.useFloat16 = self._device, False
        result = module.GpuIndexFlat(self._resources, rows.shape[1], metric, config)
        result.referenced_objects = [self._resources]
        return result

    def assigning(self, rows: Vectors, metric: int) -> Any:
        """Return one that also has its rows on the CPU, where encoding a residual asks for one after the other."""
        there = self.empty(rows, metric)
        result = faiss().IndexRefineFlat(there)
        result.k_factor = 1.0
        result.referenced_objects = [there]
        return result


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

    Of other inverted files the card finds each row's list.

    Raises:
        OptionError: the card cannot, for want of memory mostly.
    """
    inner = ivf.innermost(index)
    if device is None or not isinstance(inner, faiss().IndexIVF):
        ivf.add(index, blocks)
        return
    with _explained(device):
        if not holds(index):
            ivf.add(index, blocks, centroids=_FlatOnCard(device).assigning)
            return
        result = laid_flat(inner)
        there = moved(result, device)
        for ids, rows in blocks:
            there.add_with_ids(chain.apply(index, rows), ids)
        there.copyTo(result)
    _take(inner, result)
    chain.finish(index)


def served(index: Any, *, device: int) -> Any | None:
    """Return a copy of ``index`` that searches on GPU ``device``; None where a GPU has no class for it, or no room."""
    if not holds(index):
        return None
    module = faiss()
    result = laid_flat(ivf.innermost(index))
    before = list(chain.transforms(index))
    if before:
        result = module.IndexPreTransform(result)
        for transform in reversed(before):
            result.prepend_transform(transform)
    try:
        return moved(result, device)
    except RuntimeError:
        return None


def fits(rows: int, dim: int, *, device: int) -> bool:
    """Say whether so many half-precision rows fit the card beside what it holds already."""
    memory = free_memory(device)
    return memory is None or 2 * rows * dim < _SHARE * memory


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
