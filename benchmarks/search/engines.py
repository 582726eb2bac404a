"""The engines that `bench_search.py` compares, each with the same five functions: build, save, load, search, and what to vary.

Every one gets float32 unit rows and answers by inner product. Build parameters are those that their own documentation or
the literature recommends for this size, written once here; query parameters are swept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One way to find neighbours.

    Attributes:
        needs: the distribution to install.
        build: makes an index of ``(n, d)`` rows with so many threads.
        save, load: to and from a path, a file or a directory.
        search: returns ids ``(q, k)`` for an index, queries, k, one of `settings` and threads.
        settings: query parameters, cheapest first.
        parameters: what it is built with, for the record.
    """

    needs: str
    build: Callable[[Array, int], Any]
    save: Callable[[Any, Path], None]
    load: Callable[[Path], Any]
    search: Callable[[Any, Array, int, Any, int], Array]
    settings: tuple[Any, ...]
    parameters: dict[str, Any]


def lists_for(rows: int) -> int:
    """Return 4 sqrt(n) to the nearest power of two: 1,024 lists for 100 k rows, 2,048 for 200 k, 4,096 for 1 M."""
    return int(2 ** round(np.log2(4 * np.sqrt(rows))))


def _blocks(rows: Array) -> Iterator[tuple[Array, Array]]:
    """Yield the ids and the rows of blocks that no engine minds the size of."""
    for start in range(0, len(rows), 65_536):
        block = rows[start : start + 65_536]
        yield np.arange(start, start + len(block)), block


def _faiss() -> Any:
    from indexes.engine.backend import faiss

    return faiss()


def _faiss_build(factory: Callable[[int], str]) -> Callable[[Array, int], Any]:
    def build(rows: Array, threads: int) -> Any:
        faiss = _faiss()
        faiss.omp_set_num_threads(threads)
        index = faiss.index_factory(rows.shape[1], factory(len(rows)), faiss.METRIC_INNER_PRODUCT)
        if isinstance(index, faiss.IndexHNSW):
            index.hnsw.efConstruction = 100
        rng = np.random.default_rng(0)
        index.train(rows[np.sort(rng.choice(len(rows), min(len(rows), 262_144), replace=False))])
        for _, block in _blocks(rows):
            index.add(np.ascontiguousarray(block))
        return index

    return build


def _faiss_save(index: Any, path: Path) -> None:
    _faiss().write_index(index, str(path))


def _faiss_load(path: Path) -> Any:
    return _faiss().read_index(str(path))


def _faiss_search(parameters: Callable[[Any, Any], Any]) -> Callable[..., Array]:
    def search(index: Any, queries: Array, k: int, setting: Any, threads: int) -> Array:
        faiss = _faiss()
        faiss.omp_set_num_threads(threads)
        found: Array = index.search(queries, k, params=parameters(faiss, setting))[1]
        return found

    return search


def _hnswlib_build(rows: Array, threads: int) -> Any:
    import hnswlib

    index = hnswlib.Index("ip", rows.shape[1])
    index.init_index(len(rows), ef_construction=100, M=32, random_seed=0)
    for ids, block in _blocks(rows):
        index.add_items(block, ids, num_threads=threads)
    return index


def _hnswlib_load(path: Path) -> Any:
    import hnswlib

    index = hnswlib.Index("ip", int(path.with_suffix(".dim").read_text()))
    index.load_index(str(path))
    return index


def _hnswlib_save(index: Any, path: Path) -> None:
    index.save_index(str(path))
    path.with_suffix(".dim").write_text(str(index.dim))


def _hnswlib_search(index: Any, queries: Array, k: int, setting: int, threads: int) -> Array:
    index.set_ef(setting)
    found: Array = index.knn_query(queries, k, num_threads=threads)[0].astype(np.int64)
    return found


def _usearch(dim: int) -> Any:
    from usearch.index import Index

    return Index(ndim=dim, metric="ip", dtype="bf16", connectivity=32, expansion_add=128, expansion_search=64)


def _usearch_build(rows: Array, threads: int) -> Any:
    index = _usearch(rows.shape[1])
    for ids, block in _blocks(rows):
        index.add(ids, block, threads=threads)
    return index


def _usearch_load(path: Path) -> Any:
    from usearch.index import Index

    return Index.restore(str(path))


def _usearch_search(index: Any, queries: Array, k: int, setting: int, threads: int) -> Array:
    index.expansion_search = setting
    found: Array = index.search(queries, k, threads=threads).keys.astype(np.int64).reshape(len(queries), k)
    return found


def _scann_build(rows: Array, threads: int) -> Any:
    from scann.scann_ops.py import scann_ops_pybind as scann

    builder = scann.builder(rows, 10, "dot_product").set_n_training_threads(threads)
    leaves = lists_for(len(rows))
    tree = builder.tree(
        num_leaves=leaves, num_leaves_to_search=64, training_sample_size=min(len(rows), 250_000)
    )
    return tree.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build()


def _scann_save(index: Any, path: Path) -> None:
    path.mkdir(exist_ok=True)
    index.serialize(str(path))


def _scann_load(path: Path) -> Any:
    from scann.scann_ops.py import scann_ops_pybind as scann

    return scann.load_searcher(str(path))


def _scann_search(index: Any, queries: Array, k: int, setting: tuple[int, int], threads: int) -> Array:
    leaves, reorder = setting
    run = index.search_batched if threads == 1 else index.search_batched_parallel
    found: Array = run(
        queries, final_num_neighbors=k, leaves_to_search=leaves, pre_reorder_num_neighbors=reorder
    )[0]
    return found.astype(np.int64)


def _svs_build(rows: Array, threads: int) -> Any:
    import svs

    parameters = svs.VamanaBuildParameters(graph_max_degree=64, window_size=128, alpha=0.95)
    return svs.Vamana.build(parameters, rows.astype(np.float16), svs.DistanceType.MIP, num_threads=threads)


def _svs_save(index: Any, path: Path) -> None:
    path.mkdir(exist_ok=True)
    index.save(*(str(path / name) for name in ("config", "graph", "data")))


def _svs_load(path: Path) -> Any:
    import svs

    return svs.Vamana(
        str(path / "config"),
        svs.GraphLoader(str(path / "graph")),
        svs.VectorDataLoader(str(path / "data"), svs.DataType.float16),
        svs.DistanceType.MIP,
        num_threads=1,
    )


def _svs_search(index: Any, queries: Array, k: int, setting: int, threads: int) -> Array:
    index.num_threads = threads
    index.search_window_size = setting
    found: Array = index.search(queries, k)[0].astype(np.int64)
    return found


_GRAPH = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_PROBES = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)

PEERS: dict[str, Engine] = {
    "faiss IVF,SQfp16": Engine(
        needs="faiss-cpu",
        build=_faiss_build(lambda rows: f"IVF{lists_for(rows)},SQfp16"),
        save=_faiss_save,
        load=_faiss_load,
        search=_faiss_search(lambda faiss, nprobe: faiss.SearchParametersIVF(nprobe=nprobe)),
        settings=_PROBES,
        parameters={"factory": "IVF{4 sqrt n},SQfp16", "trained": 262_144},
    ),
    "faiss HNSW32,SQ8": Engine(
        needs="faiss-cpu",
        build=_faiss_build(lambda _: "HNSW32,SQ8"),
        save=_faiss_save,
        load=_faiss_load,
        search=_faiss_search(lambda faiss, ef: faiss.SearchParametersHNSW(efSearch=ef)),
        settings=_GRAPH,
        parameters={"factory": "HNSW32,SQ8", "efConstruction": 100},
    ),
    "hnswlib": Engine(
        needs="hnswlib",
        build=_hnswlib_build,
        save=_hnswlib_save,
        load=_hnswlib_load,
        search=_hnswlib_search,
        settings=_GRAPH,
        parameters={"M": 32, "ef_construction": 100, "dtype": "float32"},
    ),
    "usearch": Engine(
        needs="usearch",
        build=_usearch_build,
        save=lambda index, path: index.save(str(path)),
        load=_usearch_load,
        search=_usearch_search,
        settings=_GRAPH,
        parameters={"connectivity": 32, "expansion_add": 128, "dtype": "bf16"},
    ),
    "scann": Engine(
        needs="scann",
        build=_scann_build,
        save=_scann_save,
        load=_scann_load,
        search=_scann_search,
        settings=tuple(
            (leaves, reorder) for leaves in (10, 20, 40, 80, 160, 320) for reorder in (30, 60, 120)
        ),
        parameters={"leaves": "4 sqrt n", "score_ah": 2, "anisotropic_quantization_threshold": 0.2},
    ),
    "svs": Engine(
        needs="scalable-vs",
        build=_svs_build,
        save=_svs_save,
        load=_svs_load,
        search=_svs_search,
        settings=_GRAPH,
        parameters={"graph_max_degree": 64, "window_size": 128, "alpha": 0.95, "dtype": "float16"},
    ),
}
