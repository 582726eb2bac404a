"""Make, train, fill, save, open and search one FAISS index.

Long because all of them know what FAISS does otherwise for some kinds of index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from indexes.engine import faiss, faiss_threads, threads
from indexes.engine.lists import assignment, block_lists, chain, mapped_lists, prefixes
from indexes.errors import OptionError, StoreCorrupt
from indexes.files import limit_reached
from indexes.repair_hints import cure_of_file
from indexes.vectors import Bitmap, Ids, Vectors

TRAINED_PER_LIST, ITERATIONS = 20, 6
"""Training rows a list, and rounds of k-means.

With 40 rows, about the least that FAISS asks for, and its own 10 rounds training takes three times as long: of 200,000 rows
(512-d, 1,728 lists) recall@10 in 3, 4 and 6 lists was 0.884, 0.923 and 0.949 after that, and 0.890, 0.923 and 0.943 after this.
"""

_BUFFER = 1 << 20  # bytes of an index written together


def make(
    factory: str,
    *,
    dim: int,
    prefix: int | None = None,
    rotation: Vectors | None = None,
) -> Any:
    """Make an untrained index.

    Args:
        factory: a FAISS factory string.
        dim: width of the rows that it is handed.
        prefix: width of the first stage: the rows' first components, normalised, when less than ``dim``.
        rotation: ``(dim, dim)`` orthogonal, before the prefix is cut; None where the rows were trained to be cut.
    Raises:
        OptionError: FAISS cannot make it, the message holds its reason; or it maps ids, which are positions here.
    """
    module = faiss()
    width = prefix or dim
    try:
        try:
            index = module.index_factory(width, factory, module.METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            if "METRIC_L2" not in str(error):
                raise
            index = module.index_factory(
                width, factory, module.METRIC_L2
            )  # LSH; for unit rows the order is the same
    except RuntimeError as error:
        raise OptionError(f"index kind {factory!r} at width {width}: {_reason(error)}") from error
    if isinstance(innermost(index), module.IndexIDMap):
        raise OptionError(f"index kind {factory!r}: rows have ids already; leave IDMap out")
    block_lists.require_safe(innermost(index), factory)
    if width < dim:
        index = prefixes.narrowed(index, dim=dim, width=width, rotation=rotation)
    return index


def metric_note(index: Any, factory: str) -> str | None:
    """Return a sentence where an index compares codes by another metric than the inner product, else None.

    FAISS makes some kinds for L2 only, whatever is asked for (``HNSW32_PQ8``, ``LSH``), and earlier versions made short product
    codes so. For unit rows L2 ranks as the cosine does, and the shortlist is reranked by cosine. Product codes are compared by
    inner product: L2 finds as much in a shorter shortlist, but takes more than twice the time for it (``short_codes.json``).
    """
    if faiss().downcast_index(index).metric_type == faiss().METRIC_INNER_PRODUCT:
        return None
    return (
        f"{factory}: codes are compared by L2 distance instead of the inner product, which ranks unit vectors alike; "
        "scores stay cosines"
    )


def _reason(error: RuntimeError) -> str:
    """Return what FAISS complains of, without where in its source."""
    text = " ".join(str(error).split())
    return re.sub(r"^Error in .*? at \S+:\d+: (Error: )?", "", text)


def innermost(index: Any) -> Any:
    """Return the index under pre-transforms and refinement, as its own class."""
    module = faiss()
    index = module.downcast_index(index)
    if isinstance(index, module.IndexPreTransform):
        return innermost(index.index)
    return innermost(index.base_index) if isinstance(index, module.IndexRefine) else index


def lists_of(index: Any) -> int:
    """Return the number of inverted lists, 0 for an index without them."""
    return int(getattr(innermost(index), "nlist", 0))  # those on a GPU are no IndexIVF


def ids_of_lists(index: Any) -> tuple[Ids, Ids]:
    """Return the ids that an index holds, list by list, and where each list begins; None of it is copied from codes.

    Returns:
        ids ``(m,)``, and places ``(nlist + 1,)`` in them; list ``i`` is ``ids[places[i] : places[i + 1]]``.
    """
    module, lists = faiss(), innermost(index).invlists
    sizes = [lists.list_size(number) for number in range(lists.nlist)]
    places = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))  # (nlist + 1,)
    ids = np.empty(places[-1], dtype=np.int64)
    for number in np.flatnonzero(sizes).tolist():
        pointer = lists.get_ids(number)
        ids[places[number] : places[number + 1]] = module.rev_swig_ptr(pointer, sizes[number])
        lists.release_ids(number, pointer)
    return ids, places


def removable(index: Any) -> bool:
    """Say whether rows may be added under ids of our choice and removed again."""
    module = faiss()
    index = module.downcast_index(index)
    if isinstance(index, module.IndexPreTransform):
        return removable(index.index)
    return isinstance(index, module.IndexIVF)


def filters(index: Any) -> bool:
    """Say whether a search of it can be held to some ids."""
    return not isinstance(innermost(index), _unfiltered())


def _unfiltered() -> tuple[Any, ...]:
    module = faiss()
    return (
        *on_card(),
        module.IndexPQ,
        module.IndexAdditiveQuantizer,
        module.IndexFastScan,
        module.IndexNSG,
        module.IndexLSH,
        module.IndexRaBitQFastScan,
    )


def on_card() -> tuple[Any, ...]:
    """Return the classes of indexes that lie on a GPU, none where faiss is built without."""
    module = faiss()
    return (module.GpuIndex,) if hasattr(module, "GpuIndex") else ()


def parameters(index: Any, *, nprobe: int | None, selector: Any = None, shortlist: int) -> Any:
    """Return the search parameters that fit the index's class: the one place that knows which takes which."""
    inner = _of_innermost(innermost(index), nprobe=nprobe, selector=selector, shortlist=shortlist)
    return around(index, inner)


def _of_innermost(index: Any, *, nprobe: int | None, selector: Any, shortlist: int) -> Any:
    module = faiss()
    if isinstance(index, module.IndexIVF):
        return _of_lists(index, nprobe=min(nprobe or index.nprobe, index.nlist), selector=selector)
    if isinstance(index, on_card()):
        return module.SearchParametersIVF(nprobe=min(nprobe or index.nprobe, index.nlist))
    if isinstance(index, module.IndexHNSW):
        return module.SearchParametersHNSW(efSearch=max(64, 2 * shortlist), sel=selector)
    if isinstance(index, _unfiltered()):
        return None
    return module.SearchParameters(sel=selector)


def around(index: Any, inner: Any) -> Any:
    """Return the search parameters of an index around those of its innermost one."""
    module = faiss()
    index = module.downcast_index(index)
    if isinstance(index, module.IndexPreTransform):
        params = around(index.index, inner)
        return params and module.SearchParametersPreTransform(index_params=params)
    if isinstance(index, module.IndexRefine):
        params = around(index.base_index, inner)
        return module.IndexRefineSearchParameters(k_factor=4.0, base_index_params=params)
    return inner


def _of_lists(index: Any, *, nprobe: int, selector: Any) -> Any:
    module = faiss()
    known: dict[str, Any] = {"nprobe": nprobe, "sel": selector}
    if isinstance(module.downcast_index(index.quantizer), module.IndexHNSW):
        known["quantizer_params"] = module.SearchParametersHNSW(efSearch=max(64, 2 * nprobe))
    if isinstance(index, module.IndexIVFRaBitQ | module.IndexIVFRaBitQFastScan):
        return module.IVFRaBitQSearchParameters(**known)
    if isinstance(index, module.IndexIVFPQ):
        return module.IVFPQSearchParameters(**known)
    return module.SearchParametersIVF(**known)


def selector(allowed: Bitmap) -> Any:
    """Return a FAISS selector of the ids whose flag is set, ``(n,)``."""
    return faiss().IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def train(
    index: Any, sample: Vectors, *, seed: int = 0, centroids: assignment.Centroids | None = None
) -> None:
    """Train in place on ``sample``, ``(m, d)``.

    Args:
        index: untrained.
        sample: rows.
        seed: of k-means.
        centroids: makes what k-means finds nearest centroids with, on a GPU for instance.
    Raises:
        OptionError: FAISS cannot, for instance for fewer rows than lists; the message holds its reason.
    """
    inner = innermost(index)
    prepare(inner, seed=seed)
    try:
        with faiss_threads(threads()):
            seen = chain.train(index, sample)
            with assignment.in_training(inner, seen, centroids=centroids):
                chain.behind(index).train(seen)
    except RuntimeError as error:
        raise OptionError(
            f"the index cannot be trained on {len(sample):,} rows: {_reason(error)}; "
            "use more rows, a kind with fewer lists, codes or dimensions, or leave `kind` out"
        ) from error
    chain.finish(index)


def prepare(inner: Any, *, seed: int = 0) -> None:
    """Let an innermost index train on the sample that it is handed: seeded, all of it, and without printing."""
    for clustering in (getattr(inner, "cp", None), getattr(getattr(inner, "pq", None), "cp", None)):
        if clustering is not None:
            clustering.seed = seed + 1
            clustering.min_points_per_centroid = 1  # it would print a warning, and a library does not print
            clustering.max_points_per_centroid = 1 << 30  # the sample is what was chosen
    if (lists := getattr(inner, "cp", None)) is not None:
        lists.niter = ITERATIONS
    if getattr(inner, "do_polysemous_training", False):
        inner.do_polysemous_training = (
            False  # orders codes for a Hamming filter that nobody asks for, at 3 s a code
        )


def add(
    index: Any, blocks: Iterable[tuple[Ids, Vectors]], *, centroids: assignment.Centroids | None = None
) -> None:
    """Add blocks of rows under their ids; an index that is not `removable` takes ids 0, 1, 2 … in order only.

    Args:
        index: trained.
        blocks: ids and rows.
        centroids: makes what finds each row's list, on a GPU for instance.
    Raises:
        OptionError: FAISS cannot; the message holds its reason.
    """
    chosen = removable(index)
    inner = innermost(index)
    block_lists.clear_behind(inner)
    rough = assignment.Rough(inner, centroids=centroids)
    for ids, rows in blocks:
        try:
            with faiss_threads(threads()), rough.adding(len(rows)):
                if chosen:
                    index.add_with_ids(rows, ids)
                else:
                    index.add(rows)
        except RuntimeError as error:
            raise OptionError(
                f"the index cannot hold these rows: {_reason(error)}; choose another kind, or leave `kind` out"
            ) from error


def remove(index: Any, ids: Ids) -> int:
    """Remove rows in place and return how many there were."""
    return int(index.remove_ids(np.ascontiguousarray(ids, dtype=np.int64)))


def save(index: Any, path: Path) -> None:
    """Write the index to ``path``.

    FAISS's own way to a file takes a full disk for success where the last bytes of its buffer no longer fit, and what is
    left is short. So its bytes go through a file of Python's.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("wb", buffering=_BUFFER) as file:
        try:
            faiss().write_index(index, faiss().PyCallbackIOWriter(file.write))
        except RuntimeError as error:
            raise OSError(f"{path}: {_reason(error)}") from error


def load(path: Path) -> Any:
    """Read the index into memory of its own, to add to it or remove from it."""
    return _read(path, 0)


def open_mapped(path: Path, *, sizes: Any = None) -> Any:
    """Open the index by mapping its file. Read-only: adding to what is mapped ends the process.

    ``sizes`` are those of its lists, where they are known (`mapped_lists.open_in_place`).
    """
    return mapped_lists.open_in_place(path, sizes=sizes) or _read(path, faiss().IO_FLAG_MMAP_IFC)


def _read(path: Path, flags: int) -> Any:
    try:
        return faiss().read_index(str(path), flags)
    except RuntimeError as error:
        raise limit_reached(error, path) or StoreCorrupt(
            f"{path}: not a readable index ({_reason(error)}); {cure_of_file(path)}"
        ) from error


SMALLEST = 256
"""Rows below which a compressed index is not worth its training: FAISS's quantisers have 256 codes."""
