"""Encode on several cards: one process a card, which share each batch."""

from __future__ import annotations

import multiprocessing
import weakref
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from indexes.engine import starting
from retrieval.encoders import ByteEncoder, CallableEncoder, TextEncoder
from retrieval.encoders.devices.devices import is_out_of_memory
from retrieval.errors import CapabilityMissing, EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray
    from PIL import Image

    from indexes.vectors import Space, Vectors
    from retrieval.encoders import Encoder

_OF_FRONT = {"decode_size", "extends", "maps_back", "torch_module", "known_words", "unknown_words", "read_as"}
_PATIENCE = 10  # seconds that a process may take to end


class EncoderOnCards(CallableEncoder):
    """An encoder whose images are encoded by one process for each of several cards.

    Batches lie in memory that the processes share. Words are few, and are encoded here, on the first card.

    Args:
        load: opens the encoder on a device; it and what it holds can be pickled.
        devices: such as ``cuda:0`` and ``cuda:1``.
        front: the encoder by which this process prepares images and encodes words.
    """

    def __init__(self, load: Callable[[str], Encoder], devices: Sequence[str], *, front: Encoder) -> None:
        self._load, self._devices, self._front = load, tuple(devices), front
        self._lock = forks.Lock()
        self._workers: list[_Worker] = []
        self._blocks: list[SharedMemory] = []
        self._finalizer: Any = None
        forks.after_fork(self, EncoderOnCards._leave_to_parent)

    def __reduce__(self) -> Any:
        return on_cards, (self._load, self._devices)

    def __getattr__(self, name: str) -> Any:
        if name in _OF_FRONT:
            return getattr(self._front, name)
        raise AttributeError(name)

    @property
    def space(self) -> Space:
        """The space of the encoder."""
        return self._front.space

    @property
    def device(self) -> str:
        """The first card."""
        return self._devices[0]

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """Return what the model reads of one image."""
        return self._front.preprocess(image)

    def encode_pixels(self, batch: NDArray[np.float32]) -> Vectors:
        """Return ``(b, d)`` float32 unit rows; each card encodes a part."""
        return self._shared(batch, "encode_pixels")

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Return ``(t, d)`` float32 unit rows.

        Raises:
            CapabilityMissing: the encoder has no words.
        """
        if not isinstance(self._front, TextEncoder):
            raise CapabilityMissing(f"the encoder {self.space.name} understands no words")
        return self._front.encode_text(texts)

    def close(self) -> None:
        """End the processes; the next batch starts others."""
        with self._lock:
            workers, self._workers = self._workers, []
            blocks, self._blocks = self._blocks, []
            if self._finalizer is not None:
                self._finalizer.detach()
        _end(workers, blocks)

    def _leave_to_parent(self) -> None:
        """Forget processes that are another process's children."""
        self._workers, self._blocks, self._finalizer = [], [], None

    def _shared(self, batch: NDArray[Any], method: str) -> Vectors:
        with self._lock:
            workers = self._started()
            block, given = self._placed(batch)
            rows = np.empty((len(batch), self.space.dim), np.float32)  # (b, d)
            bounds = np.linspace(0, len(batch), len(workers) + 1).astype(int).tolist()
            asked = []
            for worker, start, stop in zip(workers, bounds[:-1], bounds[1:], strict=True):
                if stop > start:
                    worker.ask(method, block.name, given.shape, str(given.dtype), start, stop)
                    asked.append((worker, start, stop))
            failed: list[Exception] = []
            for worker, start, stop in asked:  # all answer, or the next batch would get this one's answers
                try:
                    rows[start:stop] = worker.answer()
                except (EncoderError, MemoryError) as error:
                    failed.append(error)
            if any(not worker.is_alive() for worker in workers):
                _end(workers, [])
                self._workers = []
        if failed:
            raise next((error for error in failed if not isinstance(error, MemoryError)), failed[0])
        return rows

    def _started(self) -> list[_Worker]:
        if not self._workers:
            self._workers = [_Worker(self._load, device) for device in self._devices]
            self._finalizer = weakref.finalize(self, _end, self._workers, self._blocks)
        return self._workers

    def _placed(self, batch: NDArray[Any]) -> tuple[SharedMemory, NDArray[Any]]:
        """Return shared memory that holds a batch, and the batch in it."""
        if not self._blocks or self._blocks[-1].size < batch.nbytes:
            for old in self._blocks:
                _free(old)
            self._blocks[:] = [SharedMemory(create=True, size=max(1, batch.nbytes))]
        block = self._blocks[-1]
        placed: NDArray[Any] = np.ndarray(batch.shape, batch.dtype, buffer=block.buf)
        placed[:] = batch
        return block, placed


class ByteEncoderOnCards(EncoderOnCards):
    """An `EncoderOnCards` of an encoder that takes bytes."""

    def preprocess_bytes(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return what the model reads of one image, not normalised."""
        rows: NDArray[np.uint8] = self._front.preprocess_bytes(image)  # type: ignore[attr-defined]
        return rows

    def encode_bytes(self, batch: NDArray[np.uint8]) -> Vectors:
        """Return ``(b, d)`` float32 unit rows; each card encodes a part."""
        return self._shared(batch, "encode_bytes")

    def bytes_array(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return memory for a batch."""
        return np.empty(shape, np.uint8)


def on_cards(load: Callable[[str], Encoder], devices: Sequence[str]) -> EncoderOnCards:
    """Return an encoder on several cards; it takes bytes if that of ``load`` does.

    Args:
        load: opens the encoder on a device; it can be pickled.
        devices: of which the first one also encodes words.
    """
    front = load(devices[0])
    kind = ByteEncoderOnCards if isinstance(front, ByteEncoder) else EncoderOnCards
    return kind(load, devices, front=front)


class _Worker:
    """One process with an encoder on one device."""

    def __init__(self, load: Callable[[str], Encoder], device: str) -> None:
        # Spawned, not forked: CUDA does not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.device = device
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, load, device), daemon=True)
        with starting("process"):
            self._process.start()
        theirs.close()

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def ask(self, *question: Any) -> None:
        with suppress(OSError):  # it has ended: `answer` says so
            self._pipe.send(question)

    def answer(self) -> Vectors:
        """Return the rows that were asked for.

        Raises:
            MemoryError: the card is full.
            EncoderError: the process has ended, or the encoder failed.
        """
        try:
            kind, found = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join(_PATIENCE)
            raise EncoderError(
                f"device {self.device}: the process that encodes there has ended (exit code {self._process.exitcode})"
            ) from error
        if kind == "memory":
            raise MemoryError(f"device {self.device}: {found}")
        if kind == "error":
            raise EncoderError(f"device {self.device}: {found}")
        rows: Vectors = found
        return rows

    def end(self) -> None:
        with suppress(OSError):
            self._pipe.send(None)
        self._pipe.close()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()


def _work(pipe: Connection, load: Callable[[str], Encoder], device: str) -> None:
    """Encode what is asked for, until nothing is."""
    encoder, why = None, ""
    block: SharedMemory | None = None
    answer: tuple[str, Any]
    try:
        encoder = load(device)
    except Exception as error:  # noqa: BLE001 - told with every answer
        why = f"{type(error).__name__}: {error}"
    while (question := _received(pipe)) is not None:
        method, name, *where = question
        if block is None or block.name != name:
            if block is not None:
                block.close()
            block = SharedMemory(name)
        try:
            answer = ("error", why) if encoder is None else ("rows", _rows(encoder, method, block, *where))
        except Exception as error:  # noqa: BLE001 - what fails is told to the caller, whatever it is
            full = isinstance(error, MemoryError) or is_out_of_memory(error)
            answer = ("memory" if full else "error", f"{type(error).__name__}: {error}")
        pipe.send(answer)


def _rows(
    encoder: Any, method: str, block: SharedMemory, shape: tuple[int, ...], kind: str, start: int, stop: int
) -> Vectors:
    """Encode a part of a batch; nothing of it is alive afterwards, or the memory could not be given back."""
    batch: NDArray[Any] = np.ndarray(shape, kind, buffer=block.buf)[start:stop]
    return np.array(getattr(encoder, method)(batch), np.float32)


def _received(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError):  # the parent has ended
        return None


def _end(workers: list[_Worker], blocks: list[SharedMemory]) -> None:
    for worker in workers:
        worker.end()
    for block in blocks:
        _free(block)


def _free(block: SharedMemory) -> None:
    with suppress(BufferError):  # an array over it is still alive: its pages go with that
        block.close()
    with suppress(FileNotFoundError):
        block.unlink()
