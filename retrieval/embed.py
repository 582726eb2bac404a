"""Turn a stream of image files into batches of vectors, decoding ahead of the model in threads."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from retrieval.batches import BatchSize
from retrieval.encoders.checked import checked_pixels
from retrieval.encoders.devices import is_out_of_memory
from retrieval.errors import EncoderError, ImageError
from retrieval.images import MAX_PIXELS, content_hash, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from indexes.arrays import Vectors
    from retrieval.encoders.protocols import Encoder

__all__ = ["Embedded", "cores", "embed"]

T = TypeVar("T")

_GPU_START = 64
_GPU_LARGEST = 1024
_AHEAD = 2  # batches decoded, or being decoded, beside the one that is encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded(Generic[T]):
    """What became of one run of consecutive items; every item is in exactly one of the three lists, in input order.

    Attributes:
        items: those that have a row in ``vectors``.
        contents: their files' content hashes, 16 bytes each.
        vectors: ``(len(items), d)`` float32 unit rows.
        reused: items with the content hash of a file whose vector the caller has already, or which comes earlier in
            ``items``: an exact copy, not encoded again.
        failed: items that are no readable image, with the reason.
    """

    items: list[T]
    contents: list[bytes]
    vectors: Vectors
    reused: list[tuple[T, bytes]]
    failed: list[tuple[T, ImageError]]


def embed(
    items: Iterable[T],
    encoder: Encoder,
    *,
    open_image: Callable[[T], bytes],
    known: Callable[[bytes], bool] | None = None,
    threads: int | None = None,
    batch: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Embedded[T]]:
    """Yield the vectors of ``items``, a batch at a time, in their order.

    Threads read, hash, decode and preprocess the items that come next while the model encodes; at most two batches are
    held beside the one that is encoded. Closing the generator, or an exception in it, waits for the images being decoded
    at that moment and leaves no thread behind.

    Args:
        items: anything; read as it is needed, in the caller's thread.
        encoder: its `preprocess` is called from several threads at once; it runs on the CPU unless it has an
            attribute ``device`` that says otherwise (``cuda:0`` …).
        open_image: returns the bytes of an item's file, or raises `ImageError`; called from several threads, once an item.
        known: says of a content hash whether the caller has its vector already (from an earlier batch too); called from
            several threads.
        threads: how many decode; by default as many as there are cores.
        batch: images encoded together; by default found by trying: fixed on a CPU, grown on an accelerator while that
            makes it faster. Halved whenever memory runs out.
    Raises:
        EncoderError: `preprocess` or `encode_pixels` does not keep its contract.
        Exception: whatever the encoder, ``open_image`` or the iterable raises.
    """
    on_cpu = str(getattr(encoder, "device", "cpu")).startswith("cpu")
    size = BatchSize(batch) if batch is not None or on_cpu else BatchSize(_GPU_START, largest=_GPU_LARGEST)
    work: _Work[T] = _Work(
        encoder=encoder, open_image=open_image, known=known or _never, max_pixels=max_pixels, size=size
    )
    source = iter(items)
    queue: deque[_Run[T]] = deque()
    pool = ThreadPoolExecutor(threads or cores(), thread_name_prefix="retrieval-decode")

    def fill() -> None:
        while len(queue) < _AHEAD and (taken := list(islice(source, size.images))):
            run = _Run(items=taken)
            run.results.extend(pool.submit(work.prepare, run, slot) for slot in range(len(taken)))
            queue.append(run)

    try:
        fill()
        while queue:
            run = queue.popleft()
            fill()
            outcomes = [result.result() for result in run.results]
            embedded = _encoded(run, outcomes, work)
            work.give_back(run)
            yield embedded
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(slots=True, kw_only=True)
class _Run(Generic[T]):
    """Consecutive items on their way: a future for each, and the rows of ``pixels`` that the threads fill."""

    items: list[T]
    results: list[Future[bytes | _Reused | ImageError]] = field(default_factory=list)
    pixels: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class _Reused:
    content: bytes


@dataclass(slots=True, kw_only=True)
class _Work(Generic[T]):
    """What the decoding threads share."""

    encoder: Encoder
    open_image: Callable[[T], bytes]
    known: Callable[[bytes], bool]
    max_pixels: int
    size: BatchSize
    lock: threading.Lock = field(default_factory=threading.Lock)
    spare: list[NDArray[np.float32]] = field(default_factory=list)

    def prepare(self, run: _Run[T], slot: int) -> bytes | _Reused | ImageError:
        """Read one item and write its pixels into the run's row ``slot``; return its content hash."""
        try:
            data = self.open_image(run.items[slot])
            content = content_hash(data)
            if self.known(content):
                return _Reused(content)
            decode_size = getattr(self.encoder, "decode_size", None)
            image = decode(data, decode_size=decode_size, max_pixels=self.max_pixels)
        except ImageError as error:
            return error
        del data
        pixels = self.encoder.preprocess(image)
        rows = self.rows(run, pixels)
        if rows.shape[1:] != pixels.shape:
            raise EncoderError(
                f"{self.encoder.space.name}: preprocess returned {pixels.shape} for one image and {rows.shape[1:]} for "
                f"another; an encoder's input has one fixed shape"
            )
        rows[slot] = pixels
        return content

    def rows(self, run: _Run[T], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the array that holds the run's pixels, taking over one that is done with where it fits."""
        with self.lock:
            if run.pixels is None:
                self.size.limit(pixels.nbytes)
                while self.spare and run.pixels is None:
                    old = self.spare.pop()
                    if old.shape[1:] == pixels.shape and len(old) >= len(run.items):
                        run.pixels = old
                if run.pixels is None:
                    run.pixels = np.empty((len(run.items), *pixels.shape), dtype=np.float32)  # (b, ...)
            return run.pixels

    def give_back(self, run: _Run[T]) -> None:
        """Keep the run's array for another: fresh memory costs a page fault every 4 KiB."""
        with self.lock:
            if run.pixels is not None:
                self.spare.append(run.pixels)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _never(_content: bytes) -> bool:
    return False


def _encoded(
    run: _Run[T],
    outcomes: list[bytes | _Reused | ImageError],
    work: _Work[T],
) -> Embedded[T]:
    """Sort a run's outcomes and encode those that have pixels."""
    kept: dict[bytes, int] = {}  # content hash -> slot, in order
    reused: list[tuple[T, bytes]] = []
    failed: list[tuple[T, ImageError]] = []
    for slot, (item, outcome) in enumerate(zip(run.items, outcomes, strict=True)):
        if isinstance(outcome, ImageError):
            failed.append((item, outcome))
        elif isinstance(outcome, _Reused):
            reused.append((item, outcome.content))
        elif outcome in kept or work.known(outcome):
            # Not known when it was read: a batch that has been yielded since holds a copy.
            reused.append((item, outcome))
        else:
            kept[outcome] = slot
    slots = list(kept.values())
    return Embedded(
        items=[run.items[slot] for slot in slots],
        contents=list(kept),
        vectors=_vectors(run.pixels, slots, work),
        reused=reused,
        failed=failed,
    )


def _vectors(pixels: NDArray[np.float32] | None, slots: list[int], work: _Work[T]) -> Vectors:
    """Encode some rows of ``pixels``, in as many batches as memory asks for."""
    dim = work.encoder.space.dim
    vectors = np.empty((len(slots), dim), dtype=np.float32)  # (b, d)
    if pixels is None or not slots:
        return vectors
    rows = pixels[: len(slots)] if slots[-1] == len(slots) - 1 else pixels[slots]  # (b, ...)
    done = 0
    while done < len(rows):
        part = rows[done : done + work.size.images]
        began = time.perf_counter()
        encoded = _encode(part, work)
        if encoded is None:
            continue
        work.size.record(len(part), time.perf_counter() - began)
        vectors[done : done + len(part)] = encoded
        done += len(part)
    return vectors


def _encode(part: NDArray[np.float32], work: _Work[T]) -> Vectors | None:
    """Return the vectors, or `None` if memory ran out and a smaller batch is to be tried."""
    try:
        return checked_pixels(work.encoder, part)
    except (MemoryError, RuntimeError) as error:
        short = isinstance(error, MemoryError) or is_out_of_memory(error)
        if not (short and work.size.shrink()):
            raise
    return None  # outside the handler, so that the error's frames, and the memory that they hold, are gone
