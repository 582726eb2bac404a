"""Load faiss, choose its BLAS kernels and threads, and show float16 rows to it. Nothing else imports faiss."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from indexes import forks
from indexes.distribution import pip_install
from indexes.engine.process_limits import has_room
from indexes.errors import MissingExtra, ShapeError

BATCH_THRESHOLD = 4096
"""Queries times width from which faiss multiplies matrices instead of rescanning the rows for each query."""

_FAISS_THRESHOLD = 128_000  # what faiss starts with: batches of up to 249 queries at 512-d rescan the rows
_KERNELS = (
    ("SkylakeX", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    (
        "Haswell",
        {"avx2", "fma"},
    ),  # the last bits of a product depend on a row's place in its batch, as SkylakeX's do not
)
_ROOMY = 8 << 30  # bytes of address space from which threads are started as if there were no limit

T = TypeVar("T")

_SPARED = 32 << 20
_import_lock = forks.Lock()
_module: Any = None
_compared = 0  # bytes, while it is not loaded


def faiss() -> Any:
    """Return the module faiss, imported on the first call.

    The OpenBLAS in the wheels is of 2021 and falls to SSE kernels on CPUs that it does not know, so the kernels are
    named in the environment while it is loaded, unless the user has named them; numpy's own BLAS is loaded by then.
    The one process-wide number that we change is the size from which faiss multiplies matrices, and only if nobody
    else has changed it: once and before any search, so that no thread sees it move.

    Raises:
        MissingExtra: faiss is not installed.
    """
    global _module  # noqa: PLW0603 - a module is a process-wide thing, and so is this reference to it
    if _module is not None:
        return _module
    with _import_lock:
        if _module is None:
            with _kernels_named():
                try:
                    module = importlib.import_module("faiss")
                except ModuleNotFoundError as error:
                    if error.name != "faiss":
                        raise
                    raise MissingExtra(
                        f"searching needs faiss, which is not installed: {pip_install('cpu')} "
                        "(or the extra gpu with CUDA; never both)"
                    ) from error
            if module.cvar.distance_compute_blas_threshold == _FAISS_THRESHOLD:
                module.cvar.distance_compute_blas_threshold = BATCH_THRESHOLD
            _module = module
    return _module


def can_wait(size: int) -> bool:
    """Say whether faiss, not loaded yet, is not worth loading to compare one query with so many bytes of rows; they are counted.

    Loading it takes as long as comparing `_SPARED` bytes with numpy. So a process that asks once is spared that, and one
    that goes on asking has lost no more than it would have spent at once.
    """
    global _compared  # noqa: PLW0603 - as the module that it is about
    if _module is not None or "faiss" in sys.modules:
        return False
    if not _compared and find_spec("faiss") is None:
        return False  # `faiss` says so
    _compared += size
    return _compared <= _SPARED


def gpu(device: str) -> int | None:
    """Return which GPU faiss may use for a device name, None for none of them.

    Args:
        device: ``auto``, ``cuda`` and ``cuda:all`` are the first one, ``cuda:N`` is the one of that number; ``cpu`` and ``mps`` none. An
            encoder may run on a GPU that faiss cannot use (faiss-cpu is installed): that is no error, and None.
    """
    name, _, number = device.partition(":")
    if name not in {"auto", "cuda"}:
        return None
    wanted = int(number) if number.isdecimal() else 0
    return wanted if wanted < getattr(faiss(), "get_num_gpus", int)() else None


@contextmanager
def _kernels_named() -> Iterator[None]:
    """Set what FAISS's BLAS and OpenMP read while they are loaded, where the user has not."""
    wanted: dict[str, str | None] = {}
    if "faiss" not in sys.modules:
        wanted["OPENBLAS_CORETYPE"] = _best_kernels(_cpu_flags())
        if _is_tight():
            wanted |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    named = {name: value for name, value in wanted.items() if value is not None and name not in os.environ}
    os.environ.update(named)
    try:
        yield
    finally:
        for name in named:
            os.environ.pop(name, None)


def _is_tight() -> bool:
    """Say whether a buffer, a stack or a thread for every core may not be had (``ulimit -v``, ``ulimit -u``).

    OpenBLAS and OpenMP start a thread a core, and where memory for them cannot be had the process dies without a word.
    """
    try:
        import resource
    except ImportError:  # no such limits here
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return (limit != resource.RLIM_INFINITY and limit < _ROOMY) or not has_room()


def _cpu_flags() -> frozenset[str]:
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    return frozenset()


def _best_kernels(flags: frozenset[str]) -> str | None:
    return next((name for name, needed in _KERNELS if needed <= flags), None)


def allowed_cores() -> int:
    """Return the cores that this process may use, by its affinity and its control group's quota; at least 1."""
    return max(1, int(min(_affinity(), _quota())))


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _quota() -> float:
    """Return the cores that the control group gives this process, infinity where it sets no limit; read once."""
    cores = float("inf")
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, float(quota) / float(period))
    with suppress(OSError, ValueError):
        quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text(encoding="ascii")
        period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text(encoding="ascii")
        cores = min(cores, float(quota) / float(period)) if int(quota) > 0 else cores
    return cores


def _allowed_cores() -> int:
    """Return the cores that searching may use: those allowed, at most what OMP_NUM_THREADS says, and 1 if memory is tight."""
    if _is_tight():
        return 1
    cores = allowed_cores()
    with suppress(ValueError):
        cores = min(cores, int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0]))
    return max(1, cores)


_at_most: ContextVar[float] = ContextVar("_at_most", default=float("inf"))


def threads() -> int:
    """Return how many threads a search of several queries may start: the cores that we may use, at least 1."""
    most = _at_most.get()
    return 1 if most == 1 else int(min(_allowed_cores(), most))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let searches from the calling thread use one thread within the block, for measuring latency."""
    token = _at_most.set(1)
    try:
        with faiss_threads(1):
            yield
    finally:
        _at_most.reset(token)


class faiss_threads:  # noqa: N801 - used like a function, and a generator would cost a search more than it
    """Let faiss use ``count`` threads within the block; the setting belongs to the calling thread alone."""

    __slots__ = ("_before", "_count")

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> None:
        module = faiss()
        self._before = module.omp_get_max_threads()
        if self._before != self._count:
            module.omp_set_num_threads(self._count)

    def __exit__(self, *_error: object) -> None:
        if self._before != self._count:
            faiss().omp_set_num_threads(self._before)


def in_threads(work: Callable[[], T], *, workers: int) -> list[T]:
    """Run ``work`` in so many threads at once, each with one thread of faiss.

    Threads of our own that share out small pieces lose nothing when another process takes a core; those of OpenMP and
    of BLAS wait for the slowest at every step.
    """
    if workers == 1:
        with faiss_threads(1):
            return [work()]
    from indexes.engine.thread_pool import ThreadPool

    with ThreadPool(workers, initializer=faiss().omp_set_num_threads, initargs=(1,)) as pool:
        return [future.result() for future in [pool.submit(work) for _ in range(workers)]]


def search_into(
    index: Any, queries: NDArray[np.float32], k: int, params: Any
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Search as FAISS's own method does, without its checks, which take a twentieth of a query in lists.

    Args:
        index: a FAISS index of the width of the queries.
        queries: ``(q, d)`` float32, C-contiguous.
        k: neighbours wanted.
        params: FAISS's search parameters.
    Returns:
        scores ``(q, k)`` and ids ``(q, k)`` int64.
    """
    scores = np.empty((len(queries), k), dtype=np.float32)
    ids = np.empty((len(queries), k), dtype=np.int64)
    pointer = faiss().swig_ptr
    index.search_c(len(queries), pointer(queries), k, pointer(scores), pointer(ids), params)
    return scores, ids


def linear(matrix: NDArray[np.float32]) -> Any:
    """Return the faiss transform ``y = A x`` of ``matrix``, ``(d_out, d_in)``."""
    module = faiss()
    result = module.LinearTransform(matrix.shape[1], matrix.shape[0], False)  # noqa: FBT003 - without a bias
    module.copy_array_to_vector(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1), result.A)
    result.is_trained = True
    return result


def fp16_view(rows: NDArray[np.float16]) -> Any:
    """Return a faiss inner-product index over ``rows`` that copies nothing.

    Args:
        rows: ``(n, d)`` C-contiguous float16, an array or a memory map; the index keeps it alive. Do not add to it.
    Raises:
        ShapeError: other axes, another dtype, or not contiguous.
    """
    if rows.ndim != 2 or rows.dtype != np.float16 or not rows.flags.c_contiguous:
        raise ShapeError(f"rows: expected contiguous (n, d) float16, got shape {rows.shape} of {rows.dtype}")
    module = faiss()
    view = module.IndexScalarQuantizer(
        rows.shape[1], module.ScalarQuantizer.QT_fp16, module.METRIC_INNER_PRODUCT
    )
    if len(rows):
        codes = rows.view(np.uint8).reshape(-1)
        owner = module.MaybeOwnedVectorUInt8().owner
        view.codes = module.MaybeOwnedVectorUInt8.create_view(module.swig_ptr(codes), codes.size, owner)
        view.ntotal = len(rows)
    view.referenced_objects = [rows]
    return view
