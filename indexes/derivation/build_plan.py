"""Estimate what a build will take (memory, disk, time) and choose its index kind before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from indexes.engine import SMALLEST, factory_strings, gpu, ivf, threads
from indexes.errors import OptionError
from indexes.generation import NAMED, Exact, Funnel, IndexInfo, Inverted
from indexes.search.searchers import funnel

FLAT_ROWS = 50_000
"""Rows up to which exact search is fast enough for anybody, and nothing needs to be trained."""


BLOCK = 16_384
_SAMPLE_BYTES = 1 << 30  # of float32 training rows, at most
_COPIES = 3  # of the training sample: ours, the rotated one, and what clustering needs
_RATE = 4e10  # multiply-adds times two, a second and a core; half of what AVX2 kernels reach
CONTROL_GROUP = Path("/sys/fs/cgroup")  # a container's own, where there is one
KINDS = ("auto", "flat", *NAMED)
"""Kinds that have a name; any other one is a FAISS factory string."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Where a build stands.

    Attributes:
        phase: ``plan``, ``train``, ``add``, ``tune``, ``publish``.
        done: steps or rows finished in this phase.
        total: of how many; None if unknown.
        message: a sentence for people; may be empty.
    """

    phase: str
    done: int = 0
    total: int | None = None
    message: str = ""


OnEvent: TypeAlias = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to build and what it is estimated to take.

    Attributes:
        type: of the index that is built.
        kind: ``flat``, ``ivfpq``, ``ivfrabitq`` or ``factory``, as people are told.
        factory: FAISS factory string, None for exact search.
        dim: width of the first stage.
        sample: rows to train on.
        memory: bytes of anonymous memory, estimated.
        disk: bytes of index.faiss, estimated.
        seconds: estimated.
        reason: why it is exact search although something else was asked for.
    """

    type: type[Exact | Funnel | Inverted]
    kind: str
    factory: str | None
    dim: int
    sample: int = 0
    memory: int = 0
    disk: int = 0
    seconds: float = 0.0
    reason: str | None = None

    @classmethod
    def exact(cls, dim: int, reason: str | None = None) -> Plan:
        """Return the plan of comparing every row, and why it is none other."""
        return cls(type=Exact, kind=Exact.kind, factory=None, dim=dim, reason=reason)

    def suits(self, index: IndexInfo) -> bool:
        """Say whether an index that is there is what this plan would build, but for its number of lists."""
        if (type(index), index.kind, index.dim) != (self.type, self.kind, self.dim):
            return False
        return not isinstance(index, Inverted) or index.kind in NAMED or index.factory == self.factory

    def __str__(self) -> str:
        if self.factory is None:
            return "flat: exact search, nothing to train" + (f" ({self.reason})" if self.reason else "")
        kind = f"funnel from {self.factory}" if self.type is Funnel else self.factory
        return (
            f"{kind} at width {self.dim}: about {_duration(self.seconds)}, "
            f"{self.memory / 2**30:.1f} GiB of memory and {self.disk / 2**20:,.0f} MiB of disk (estimated)"
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def plan(
    count: int,
    width: int,
    *,
    kind: str = "auto",
    dim: int | None = None,
    device: str = "cpu",
    bits: int = 1,
    previous: str | None = None,
    check: bool = True,
) -> Plan:
    """Choose an index for ``count`` live rows and estimate what building it takes.

    Args:
        count: live rows.
        width: their width.
        kind: ``auto``, ``flat``, ``ivfpq``, ``ivfrabitq`` or a FAISS factory string.
        dim: width of the first stage, a prefix; None for the full width. ``flat`` with a prefix is a funnel.
        device: where faiss can use its GPU, kind ``auto`` is ``ivfpq``, because a GPU can hold nothing else.
        bits: bits a dimension of ``ivfrabitq``.
        previous: kind of the index that is there, which ``auto`` keeps unless the collection has changed much.
        check: refuse what cannot fit the memory that is free.
    Raises:
        OptionError: the kind is not one, cannot be made, or cannot fit the memory that is free.
    """
    wanted = kind
    if kind == "auto":
        kind = _automatic(count, device=device, previous=previous)
    if kind == "flat":
        return Plan.exact(width) if dim in (None, width) else _funnel(count, width, dim)
    narrow = dim or width
    named = kind in KINDS
    factory = factory_strings.factory_for(kind, rows=count, dim=narrow, bits=bits) if named else kind
    if not named and not factory.strip():
        raise OptionError(f"index kind {wanted!r} is empty; use {', '.join(KINDS)} or a FAISS factory string")
    try:
        index = ivf.make(factory, dim=width, prefix=dim)
    except OptionError as error:
        if named:
            raise
        raise OptionError(f"{error}; use {', '.join(KINDS)} or another FAISS factory string") from error
    lists = ivf.lists_of(index)
    least = SMALLEST if named else max(lists, 1)
    if count < least:
        return Plan.exact(width, f"{count:,} rows are too few for {factory}, which needs {least:,}")
    wished = max(
        ivf.TRAINED_PER_LIST * lists, 0 if "RaBitQ" in factory else 65_536
    )  # RaBitQ learns no codebook
    sample = min(count, wished, max(_SAMPLE_BYTES // (4 * width), lists))
    row = _row_bytes(index, narrow)
    memory = count * row + _COPIES * 4 * sample * width + 8 * BLOCK * width
    work = 2.0 * narrow * lists * (ivf.ITERATIONS * sample + count) + 512.0 * narrow * count
    if kind == "ivfpq":
        work += 25 * 512.0 * narrow * min(sample, 65_536)
    result = Plan(
        type=Inverted,
        kind=kind if named else "factory",
        factory=factory,
        dim=narrow,
        sample=sample,
        memory=memory,
        disk=count * row + 4 * lists * narrow,
        seconds=work / (_RATE * threads()) + 2e-6 * count,
    )
    if check:
        require_memory(result)
    return result


def _funnel(count: int, width: int, dim: int) -> Plan:
    """Plan a scan of a short prefix before the full width."""
    if count < SMALLEST:
        return Plan.exact(width, f"{count:,} rows are too few for a funnel, which needs {SMALLEST:,}")
    sample = min(count, BLOCK)
    return Plan(
        type=Funnel,
        kind=Funnel.kind,
        factory=funnel.factory_for(dim),
        dim=dim,
        sample=sample,
        memory=count * dim // 2 + _COPIES * 4 * sample * width + 8 * BLOCK * width,
        disk=count * dim // 2,
        seconds=(2.0 * 16 * dim * (25 * sample + count)) / (_RATE / 16 * threads()),
    )


def require_memory(planned: Plan) -> None:
    """Refuse a plan that cannot fit.

    Raises:
        OptionError: it needs more memory than is free; the message has both.
    """
    free = available_memory()
    if free is not None and planned.memory > free:
        raise OptionError(
            f"{planned}; only {free / 2**30:.1f} GiB are free: close other programs, "
            'or choose a smaller index (`kind="ivfrabitq"`, a shorter `truncate_dim`, or flat, which needs none)'
        )


def require_disk(planned: Plan, directory: Path) -> None:
    """Refuse a plan whose index and shards, which are merged at the end, do not both fit the disk.

    Raises:
        OptionError: they need more space than is free; the message has both.
    """
    free = shutil.disk_usage(directory).free
    if 2 * planned.disk > free:
        raise OptionError(
            f"{planned}, and as much again until it is published; only {free / 2**20:,.0f} MiB are free in {directory}: "
            'free some, or choose a smaller index (`kind="ivfrabitq"`, a shorter `truncate_dim`, or flat, which needs none)'
        )


def _automatic(count: int, *, device: str, previous: str | None) -> str:
    if previous in NAMED and count > FLAT_ROWS // 2:
        return previous
    if count <= FLAT_ROWS:
        return "flat"
    return "ivfpq" if gpu(device) is not None else "ivfrabitq"


def _row_bytes(index: object, dim: int) -> int:
    size = getattr(ivf.innermost(index), "code_size", 0) or 4 * dim + 288  # a graph of float32 rows
    return int(size) + 16  # an id, and lists that are not quite full


def _file_pages() -> int:
    """Return the bytes that a container's limit counts for files that were read or written, and that are given up when asked for."""
    with suppress(OSError, ValueError):
        lines = (CONTROL_GROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        counted = dict(line.split() for line in lines)
        return int(counted.get("inactive_file", 0)) + int(counted.get("active_file", 0))
    return 0


def available_memory() -> int | None:
    """Return the bytes that this process may still take, None where the system does not say."""
    found = []
    with suppress(OSError, ValueError, IndexError), Path("/proc/meminfo").open(encoding="ascii") as lines:
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):
        limit = int((CONTROL_GROUP / "memory.max").read_text(encoding="ascii"))
        taken = int((CONTROL_GROUP / "memory.current").read_text(encoding="ascii"))
        found.append(limit - taken + _file_pages())
    return min(found) if found else None
