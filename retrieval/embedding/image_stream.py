"""Encode a stream of images in batches, decoding ahead of the model in threads.

Long because decoding, encoding and the sorting of what became of each image share one state.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from indexes.engine import ThreadPool
from retrieval.encoders import BatchSize, ByteEncoder, is_out_of_memory, sound_pixels
from retrieval.errors import EncoderError, ImageError
from retrieval.sources.decoding import DECODED_BYTES, FILE_BYTES, MAX_PIXELS, content_hash, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Any

    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.encoders import Encoder
    from retrieval.sources.decoding import ImageSource

T = TypeVar("T")

_GPU_START = 64
_GPU_LARGEST = 1024
MOST_WITHOUT = 100
"""So many images in a row without a vector are a fault of the encoder."""

_AHEAD = 2  # batches decoded, or being decoded, beside the one that is encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded(Generic[T]):
    """What became of one run of consecutive items; every item is in exactly one of the three lists, in input order.

    Attributes:
        items: those that have a row in ``vectors``.
        contents: their files' content hashes, 16 bytes each; empty where an item is no file's bytes.
        vectors: ``(len(items), d)`` float32 unit rows.
        reused: items with the content hash of a file whose vector the caller has already, or which comes earlier in
            ``items``: an exact copy, not encoded again.
        failed: items that are no readable image, or for which the encoder gives no vector, with the reason.
        noted: items in ``items`` of which a part is missing, with what people should know.
    """

    items: list[T]
    contents: list[bytes]
    vectors: Vectors
    reused: list[tuple[T, bytes]]
    failed: list[tuple[T, ImageError]]
    noted: list[tuple[T, str]] = field(default_factory=list)


def embed(
    items: Iterable[T],
    encoder: Encoder,
    *,
    open_image: Callable[[T], ImageSource],
    known: Callable[[bytes], bool] | None = None,
    threads: int | None = None,
    batch: int | None = None,
    max_pixels: int = MAX_PIXELS,
    size_of: Callable[[T], int] | None = None,
    name_of: Callable[[T], str] | None = None,
) -> Generator[Embedded[T], None, None]:
    """Yield the vectors of ``items``, a batch at a time, in their order.

    Threads read, hash, decode and preprocess the items that come next while the model encodes; at most two batches are
    held beside the one that is encoded. Closing the generator, or an exception in it, waits for the images being decoded
    at that moment and leaves no thread behind.

    Args:
        items: anything; read as it is needed, in the caller's thread.
        encoder: its `preprocess` is called from several threads at once; it runs on the CPU unless it has an
            attribute ``device`` that says otherwise (``cuda:0`` …). There a `ByteEncoder` gets bytes.
        open_image: returns the bytes of an item's file, or raises `ImageError`; called from several threads, once an item. It
            may return whatever else `retrieval.sources.decoding.decoder.decode` takes: that has no content hash, and is
            encoded whatever it equals.
        known: says of a content hash whether the caller has its vector already (from an earlier batch too); called from
            several threads.
        threads: how many decode; by default as many as there are cores.
        batch: images encoded together; by default found by trying: fixed on a CPU, grown on an accelerator while that
            makes it faster. Halved whenever memory runs out.
        max_pixels: as `retrieval.sources.decoding.decoder.decode` has it.
        size_of: returns how many bytes an item's file has: large files then wait until others are decoded.
        name_of: returns what messages call an item.
    Raises:
        EncoderError: `preprocess` or `encode_pixels` does not keep its contract, or there is no vector (it is zero or not
            finite) for `MOST_WITHOUT` images in a row.
        Exception: whatever the encoder, ``open_image`` or the iterable raises.
    """
    on_cpu = str(getattr(encoder, "device", "cpu")).startswith("cpu")
    size = BatchSize(batch) if batch is not None or on_cpu else BatchSize(_GPU_START, largest=_GPU_LARGEST)
    work: _Work[T] = _Work(
        encoder=encoder,
        in_bytes=encoder if not on_cpu and isinstance(encoder, ByteEncoder) else None,
        open_image=open_image,
        known=known or _never,
        lately=deque(maxlen=0 if known is None else _AHEAD),
        max_pixels=max_pixels,
        size=size,
        size_of=size_of,
        name_of=name_of,
    )
    source = iter(items)
    queue: deque[_Run[T]] = deque()
    pool = ThreadPool(threads or cores(), thread_name_prefix="retrieval-decode")

    def fill() -> None:
        while len(queue) < _AHEAD and (taken := list(islice(source, size.images))):
            run = _Run(items=taken)
            run.results.extend(pool.submit(work.prepare, run, slot) for slot in range(len(taken)))
            queue.append(run)

    def next_run() -> _Run[T]:
        run = queue.popleft()
        fill()
        return run

    try:
        fill()
        if on_cpu:
            while queue:
                yield _finished(next_run(), work)
        else:
            yield from _ahead(queue, next_run, work)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ahead(
    queue: deque[_Run[T]], next_run: Callable[[], _Run[T]], work: _Work[T]
) -> Generator[Embedded[T], None, None]:
    """Yield what becomes of the runs; the next one is encoded while the caller has this one."""
    thread = ThreadPool(1, thread_name_prefix="retrieval-encode")
    encoding: Future[Embedded[T]] | None = None
    try:
        while queue or encoding is not None:
            # With the caller's context: it says how many threads may be used.
            following = (
                thread.submit(contextvars.copy_context().run, _finished, next_run(), work) if queue else None
            )
            if encoding is not None:
                yield encoding.result()
            encoding = following
    finally:
        thread.shutdown(wait=True, cancel_futures=True)


@dataclass(slots=True, kw_only=True)
class _Run(Generic[T]):
    """Consecutive items on their way: a future for each, and the rows of ``pixels`` that the threads fill."""

    items: list[T]
    results: list[Future[bytes | _Reused | ImageError]] = field(default_factory=list)
    pixels: NDArray[Any] | None = None
    notes: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Reused:
    content: bytes


@dataclass(slots=True, kw_only=True)
class _Work(Generic[T]):
    """What the decoding threads share."""

    encoder: Encoder
    in_bytes: ByteEncoder | None
    open_image: Callable[[T], ImageSource]
    known: Callable[[bytes], bool]
    lately: deque[set[bytes]]  # contents that the caller gets, or is about to get, and may not know yet
    max_pixels: int
    size: BatchSize
    size_of: Callable[[T], int] | None
    name_of: Callable[[T], str] | None
    without: int = 0  # images in a row for which there is no vector
    lock: threading.Lock = field(default_factory=threading.Lock)
    spare: list[NDArray[Any]] = field(default_factory=list)

    def prepare(self, run: _Run[T], slot: int) -> bytes | _Reused | ImageError:
        """Read one item and write its pixels into the run's row ``slot``; return its content hash, if it has one."""
        item = run.items[slot]
        size = self.size_of(item) if self.size_of is not None else 1
        with FILE_BYTES.hold(size), DECODED_BYTES.kept():
            try:
                data = self.open_image(item)
                content = content_hash(data) if isinstance(data, bytes) else b""
                if content and self.known(content):
                    return _Reused(content)
                named = {} if self.name_of is None else {"name": self.name_of(item)}
                decode_size = getattr(self.encoder, "decode_size", None)
                image = decode(data, decode_size=decode_size, max_pixels=self.max_pixels, **named)
            except ImageError as error:
                # Kept for a while: without its frames, which hold the file's bytes and half-decoded pixels.
                error.__cause__ = error.__context__ = None
                return error.with_traceback(None)
            del data
            pixels: NDArray[Any] = (
                self.encoder.preprocess(image)
                if self.in_bytes is None
                else self.in_bytes.preprocess_bytes(image)
            )
            incomplete = image.info.get("incomplete")
            del image
        if incomplete is not None:
            run.notes[slot] = incomplete
        rows = self.rows(run, pixels)
        if rows.shape[1:] != pixels.shape:
            raise EncoderError(
                f"{self.encoder.space.name}: preprocess returned {pixels.shape} for one image and {rows.shape[1:]} for "
                f"another; an encoder's input has one fixed shape"
            )
        rows[slot] = pixels
        return content

    def rows(self, run: _Run[T], pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the array that holds the run's pixels, taking over one that is done with where it fits."""
        with self.lock:
            if run.pixels is None:
                self.size.limit(pixels.nbytes)
                while self.spare and run.pixels is None:
                    old = self.spare.pop()
                    if old.shape[1:] == pixels.shape and len(old) >= len(run.items):
                        run.pixels = old
                if run.pixels is None:
                    shape = (len(run.items), *pixels.shape)
                    run.pixels = (
                        np.empty(shape, dtype=np.float32)
                        if self.in_bytes is None
                        else self.in_bytes.bytes_array(shape)
                    )
            return run.pixels

    def give_back(self, run: _Run[T]) -> None:
        """Keep the run's array for another: fresh memory costs a page fault every 4 KiB."""
        with self.lock:
            if run.pixels is not None:
                self.spare.append(run.pixels)


def cores() -> int:
    """Return how many cores this process may use."""
    from indexes.engine import allowed_cores

    return allowed_cores()


def _never(_content: bytes) -> bool:
    return False


def _finished(run: _Run[T], work: _Work[T]) -> Embedded[T]:
    """Wait until a run is decoded, and encode it."""
    embedded = _encoded(run, [result.result() for result in run.results], work)
    work.lately.append(set(embedded.contents))
    work.give_back(run)
    return embedded


def _encoded(
    run: _Run[T],
    outcomes: list[bytes | _Reused | ImageError],
    work: _Work[T],
) -> Embedded[T]:
    """Sort a run's outcomes and encode those that have pixels."""
    slots: list[int] = []
    kept: dict[bytes, int] = {}  # content hash -> slot
    copies: list[tuple[int, bytes]] = []
    failed: dict[int, ImageError] = {}
    for slot, outcome in enumerate(outcomes):
        if isinstance(outcome, ImageError):
            failed[slot] = outcome
        elif isinstance(outcome, _Reused):
            copies.append((slot, outcome.content))
        elif outcome and (
            outcome in kept or any(outcome in some for some in work.lately) or work.known(outcome)
        ):
            # Not known when it was read: a batch that has been yielded since holds a copy.
            copies.append((slot, outcome))
        else:
            slots.append(slot)
            if outcome:
                kept[outcome] = slot
    vectors, without = _vectors(run.pixels, slots, work, planned=len(run.items))
    _refuse_many(run, slots, without, work)
    lost = {content for content, slot in kept.items() if slot in without}
    for slot in [*without, *(slot for slot, content in copies if content in lost)]:
        failed[slot] = _without_vector(run.items[slot], work)
    good = [slot for slot in slots if slot not in without]
    contents = {slot: content for content, slot in kept.items()}
    return Embedded(
        items=[run.items[slot] for slot in good],
        contents=[contents.get(slot, b"") for slot in good],
        vectors=vectors,
        reused=[(run.items[slot], content) for slot, content in copies if content not in lost],
        failed=[(run.items[slot], failed[slot]) for slot in sorted(failed)],
        noted=[(run.items[slot], run.notes[slot]) for slot in good if slot in run.notes],
    )


def _refuse_many(run: _Run[T], slots: list[int], without: set[int], work: _Work[T]) -> None:
    """Stop when the encoder gives no vector for many images in a row."""
    for slot in slots:
        work.without = work.without + 1 if slot in without else 0
        if work.without >= MOST_WITHOUT:
            raise EncoderError(
                f"encoder {work.encoder.space.name}: no vector (zero or not finite) for {MOST_WITHOUT} images in a row, "
                f"the last one {_name(run.items[slot], work)}; check its weights, or choose another `encoder` or `device`"
            )


def _without_vector(item: T, work: _Work[T]) -> ImageError:
    what = (
        f"the encoder {work.encoder.space.name} gives no vector for it (zero or not finite); "
        f"look at the image, or choose another encoder"
    )
    return ImageError(f"{_name(item, work)}: {what}", reason="no-vector", what=what)


def _name(item: T, work: _Work[T]) -> str:
    return "image" if work.name_of is None else work.name_of(item)


def _vectors(
    pixels: NDArray[Any] | None, slots: list[int], work: _Work[T], *, planned: int
) -> tuple[Vectors, set[int]]:
    """Encode some rows of ``pixels``, in as many batches as memory asks for; also return the slots without a vector.

    Args:
        pixels: of a run.
        slots: of those to encode.
        work: how.
        planned: how many the run was to encode: copies and unreadable files must not keep batches from growing.
    """
    dim = work.encoder.space.dim
    vectors = np.empty((len(slots), dim), dtype=np.float32)  # (b, d)
    if pixels is None or not slots:
        return vectors, set()
    rows = pixels[: len(slots)] if slots[-1] == len(slots) - 1 else pixels[slots]  # (b, ...)
    done = filled = 0
    without: set[int] = set()
    while done < len(rows):
        part = rows[done : done + work.size.images]
        began = time.perf_counter()
        encoded = _encode(part, work)
        if encoded is None:
            continue
        found, bad = encoded
        of = planned if len(part) == len(rows) else len(part)
        work.size.record(len(part), time.perf_counter() - began, of=of)
        vectors[filled : filled + len(found)] = found
        without.update(slots[done + at] for at in bad)
        done += len(part)
        filled += len(found)
    return vectors[:filled], without


def _encode(part: NDArray[Any], work: _Work[T]) -> tuple[Vectors, list[int]] | None:
    """Return the vectors and the places without one; `None` if memory ran out and a smaller batch is to be tried."""
    try:
        return sound_pixels(work.encoder, part)
    except Exception as error:  # ONNX Runtime's are no RuntimeError
        short = isinstance(error, MemoryError) or is_out_of_memory(error)
        if not (short and work.size.shrink()):
            raise
    return None  # outside the handler, so that the error's frames, and the memory that they hold, are gone
