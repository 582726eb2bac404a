"""Stand in for faiss-gpu: its names and arguments, the CPU's work, and its refusals.

What it refuses is what the sources of faiss-gpu 1.15 refuse without cuVS: classes, coarse quantisers that are not flat, codes, scalar
quantisers, more than 2,048 neighbours or lists, selectors, range searches, removing and merging rows, cards that are not there.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from indexes.engine import backend

faiss = backend.faiss()

MOST = 2048
CODES = {1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96}
SHARED_MEMORY = 48 << 10  # bytes a block, of the least card
SCALARS = {
    faiss.ScalarQuantizer.QT_8bit,
    faiss.ScalarQuantizer.QT_8bit_uniform,
    faiss.ScalarQuantizer.QT_8bit_direct,
    faiss.ScalarQuantizer.QT_4bit,
    faiss.ScalarQuantizer.QT_4bit_uniform,
    faiss.ScalarQuantizer.QT_fp16,
}


UNKNOWN = ("range_search", "remove_ids", "merge_from")
"""What no class on a card does."""


class Options:
    """Of a cloner or a flat index; faiss-gpu's have more."""


class OnCard(type):
    """Says that what was moved to the card is a `GpuIndex`, by its address."""

    def __instancecheck__(cls, given: object) -> bool:
        return _address(given) in Faked.there


class GpuIndex(metaclass=OnCard):
    """The class of what lies on a card."""


class Faked:
    """One card.

    Attributes:
        used: the classes that were moved there, and ``flat`` for flat indexes made there.
    """

    there: ClassVar[set[int]] = set()

    def __init__(self, *, cards: int = 1) -> None:
        self.used: list[str] = []
        self._cards = cards
        self._kept: list[Any] = []
        Faked.there = set()

    def install(self, monkeypatch: Any) -> None:
        """Put faiss-gpu's names into faiss."""
        monkeypatch.setattr(faiss, "get_num_gpus", lambda: self._cards)
        monkeypatch.setattr(faiss.IndexIVF, "copyTo", copy_to, raising=False)
        monkeypatch.setattr(faiss.IndexRefine, "search", _checked(faiss.IndexRefine.search))
        for kind in (faiss.IndexIVFFlat, faiss.IndexIVFPQ, faiss.IndexIVFScalarQuantizer):
            monkeypatch.setattr(kind, "search", _searched(kind.search))
            for name in UNKNOWN:
                monkeypatch.setattr(kind, name, _unknown(name, getattr(kind, name)))
        for name, value in {
            "StandardGpuResources": object, "GpuClonerOptions": Options, "GpuIndexFlatConfig": Options,
            "INDICES_64_BIT": 3, "GpuIndexFlatIP": FlatOnCard, "GpuIndexFlat": self.flat,
            "index_cpu_to_gpu": self.moved, "GpuIndex": GpuIndex,
        }.items():  # fmt: skip
            monkeypatch.setattr(faiss, name, value, raising=False)

    def moved(self, _resources: Any, number: int, index: Any, options: Options) -> Any:
        """Do what ``index_cpu_to_gpu`` does."""
        if not 0 <= number < self._cards:
            raise RuntimeError(f"Invalid GPU device {number}")
        index = faiss.downcast_index(index)
        if isinstance(index, faiss.IndexPreTransform):
            refuse(faiss.downcast_index(index.index), options)
        else:
            refuse(index, options)
        copy = faiss.clone_index(index)
        inner = copy.index if isinstance(copy, faiss.IndexPreTransform) else copy
        Faked.there.add(_address(inner))
        self._kept.append(copy)  # or another index might get its address
        self.used.append(type(index).__name__)
        return copy

    def flat(self, _resources: Any, dim: int, metric: int, config: Any) -> Any:
        """Do what the class ``GpuIndexFlat`` does."""
        if not 0 <= config.device < self._cards:
            raise RuntimeError(f"Invalid GPU device {config.device}")
        self.used.append("flat")
        return faiss.IndexFlat(dim, metric)


def refuse(index: Any, options: Any) -> None:
    """Raise what faiss-gpu raises for an index that it cannot take."""
    if type(index) is faiss.IndexFlat or type(index) in {faiss.IndexFlatIP, faiss.IndexFlatL2}:
        return
    if type(index) not in {faiss.IndexIVFFlat, faiss.IndexIVFPQ, faiss.IndexIVFScalarQuantizer}:
        raise RuntimeError("This index type is not implemented on GPU.")
    if index.metric_type not in {faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2}:
        raise RuntimeError(f"unsupported metric type {index.metric_type}")
    if not 0 < index.nprobe <= MOST:
        raise RuntimeError(f"GPU index only supports nprobe <= {MOST}; passed {index.nprobe}")
    if not isinstance(faiss.downcast_index(index.quantizer), faiss.IndexFlat):
        raise RuntimeError(  # noqa: TRY004 - faiss knows no other
            "This index type is not implemented on GPU. (the coarse quantizer)"
        )
    if index.is_trained and index.quantizer.ntotal != index.nlist:
        raise RuntimeError("IVF nlist count does not match trained coarse quantizer size")
    if isinstance(index, faiss.IndexIVFPQ):
        _refuse_codes(index, options)
    if isinstance(index, faiss.IndexIVFScalarQuantizer) and index.sq.qtype not in SCALARS:
        raise RuntimeError("Unsupported scalar QuantizerType on GPU")


def _refuse_codes(index: Any, options: Any) -> None:
    pq = index.pq
    if pq.nbits != 8:
        raise RuntimeError("GPU: only pq.nbits == 8 is supported")
    if not index.by_residual:
        raise RuntimeError("GPU: only by_residual = true is supported")
    if index.polysemous_ht != 0:
        raise RuntimeError("GPU: polysemous codes not supported")
    if pq.M not in CODES:
        raise RuntimeError(f"Number of bytes per encoded vector / sub-quantizers ({pq.M}) is not supported")
    if index.d % pq.M:
        raise RuntimeError(f"Number of sub-quantizers ({pq.M}) must be an even divisor of {index.d}")
    if (2 if options.useFloat16 else 4) * pq.M * 256 > SHARED_MEMORY:
        raise RuntimeError(
            f"Device 0 has {SHARED_MEMORY} bytes of shared memory. Consider useFloat16LookupTables"
        )


def copy_to(source: Any, target: Any) -> None:
    """Do what GpuIndexIVF.copyTo does: give ``target`` a flat quantiser, codebooks and lists of its own."""
    if _address(source) not in Faked.there:
        raise AttributeError("copyTo")  # an index on the CPU has no such method
    centroids = faiss.IndexFlat(source.d, source.metric_type)
    centroids.add(source.quantizer.reconstruct_n(0, source.quantizer.ntotal))
    centroids.this.disown()
    target.quantizer, target.own_fields = centroids, True
    if isinstance(target, faiss.IndexIVFPQ):
        target.pq = source.pq
    if isinstance(target, faiss.IndexIVFScalarQuantizer):
        target.sq = source.sq
    lists = faiss.ArrayInvertedLists(source.nlist, source.code_size)
    for number in range(source.nlist):
        size = source.invlists.list_size(number)
        if size:
            lists.add_entries(
                number, size, source.invlists.get_ids(number), source.invlists.get_codes(number)
            )
    lists.this.disown()
    target.replace_invlists(lists, True)
    target.ntotal, target.is_trained = source.ntotal, source.is_trained


class FlatOnCard:
    """Rows in half precision, and products of halves, as a card's matrix units make them."""

    def __init__(self, resources: Any, dim: int, config: Any) -> None:
        assert config.useFloat16
        self.rows = np.empty((0, dim), np.float16)

    @property
    def ntotal(self) -> int:
        """Rows held."""
        return len(self.rows)

    def add(self, rows: np.ndarray) -> None:
        """Add rows."""
        self.rows = np.concatenate((self.rows, rows.astype(np.float16)))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Compare all rows."""
        if k > MOST:
            raise RuntimeError(f"GPU index only supports min/max-K selection up to {MOST} (requested {k})")
        scores = queries.astype(np.float16).astype(np.float32) @ self.rows.astype(np.float32).T
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, ids, axis=1), ids


def _checked(search: Any) -> Any:
    """Return the search of `IndexRefine`, which refuses of a first stage on a card what the card refuses."""

    def refusing(self: Any, queries: Any, k: int, *, params: Any = None, **others: Any) -> Any:
        base = faiss.downcast_index(self.base_index)
        inner = faiss.downcast_index(base.index) if isinstance(base, faiss.IndexPreTransform) else base
        if _address(inner) in Faked.there:
            given = None if params is None else params.base_index_params
            if isinstance(base, faiss.IndexPreTransform) and given is not None:
                given = given.index_params
            _refuse_search(int(k * (1.0 if params is None else params.k_factor)), given)
        return search(self, queries, k, params=params, **others)

    return refusing


def _refuse_search(k: int, given: Any) -> None:
    if k > MOST:
        raise RuntimeError(f"GPU index only supports min/max-K selection up to {MOST} (requested {k})")
    if given is not None and getattr(given, "sel", None) is not None:
        raise RuntimeError("GPU index does not support IDSelector")
    if given is not None and getattr(given, "nprobe", 1) > MOST:
        raise RuntimeError(f"GPU index only supports nprobe <= {MOST}")


def _searched(search: Any) -> Any:
    """Return the search of a class whose members on a card refuse what the card refuses."""

    def refusing(self: Any, queries: Any, k: int, *, params: Any = None, **others: Any) -> Any:
        if _address(self) in Faked.there:
            _refuse_search(k, params)
        return search(self, queries, k, params=params, **others)

    return refusing


def _unknown(name: str, method: Any) -> Any:
    def refusing(self: Any, *given: Any, **others: Any) -> Any:
        if _address(self) in Faked.there:
            raise RuntimeError(f"{name} not implemented for this type of index")
        return method(self, *given, **others)

    return refusing


def _address(given: Any) -> int:
    this = getattr(given, "this", None)
    return int(this) if this is not None else 0
