"""Read the originals of an activation run ahead, and group them into batches that suit the device."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from indexes.engine import ThreadPool
from retrieval.activation.originals import Original, read_original
from retrieval.activation.results import Activated, already_activated, refused
from retrieval.collection import activations
from retrieval.embedding import cores
from retrieval.errors import ImageError
from retrieval.sources.decoding import content_hash, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from retrieval.activation.copies import Job
    from retrieval.collection import Collection

BATCH_IMAGES, BATCH_PIXELS = 16, 1 << 22  # optimised together on a CPU
GPU_IMAGES, GPU_PIXELS = 64, 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadImage:
    """One image, read."""

    job: Job
    content: bytes
    original: Original
    notes: tuple[str, ...]


@dataclass(slots=True)
class Batch:
    """Images that are optimised together."""

    images: list[ReadImage] = field(default_factory=list)
    pixels: int = 0


class BatchReader:
    """Reads the images of a run; refuses those that cannot or need not be activated.

    Args:
        collection: records which copies were made before.
        results: where it notes what became of the images that it refuses.
        on_gpu: the encoder runs on a GPU.
    """

    results: dict[Path, Activated]

    def __init__(self, collection: Collection, results: dict[Path, Activated], *, on_gpu: bool) -> None:
        self._made, self._copies = _known(collection)
        self.results, self._on_gpu = results, on_gpu

    def batches(self, jobs: Sequence[Job]) -> Iterator[Batch]:
        """Read images ahead and yield as many at a time as suit the device; refuse what cannot be activated."""
        most, pixels = (GPU_IMAGES, GPU_PIXELS) if self._on_gpu else (BATCH_IMAGES, BATCH_PIXELS)
        batch = Batch()
        with ThreadPool(cores()) as pool:
            ahead = cores()  # and no more: an image of 12 megapixels and its map take 84 MB
            for start in range(0, len(jobs), ahead):
                for ready in pool.map(self._read, jobs[start : start + ahead]):
                    if ready is None:
                        continue
                    size = ready.original.seen.shape[0] * ready.original.seen.shape[1]
                    if batch.images and (len(batch.images) == most or batch.pixels + size > pixels):
                        yield batch
                        batch = Batch()
                    batch.images.append(ready)
                    batch.pixels += size
        if batch.images:
            yield batch

    def _read(self, job: Job) -> ReadImage | None:
        try:
            if job.refused:
                raise ImageError(job.refused, reason="refused")
            data = read_file(job.path)
            content = content_hash(data)
            if content in self._copies:
                raise ImageError(
                    f"{job.path}: is already activated, a copy made before; activate the original",
                    reason="activated",
                )
            if os.path.lexists(job.output):
                made = self._made.get((content, os.path.abspath(job.output)))
                if made is not None and activations.is_there(job.output, bytes.fromhex(made.output_content)):
                    self.results[job.path] = already_activated(job, made)
                    return None
                raise ImageError(
                    f"{job.output}: exists and is not overwritten; remove it, or choose another `out`",
                    reason="exists",
                )
            original = read_original(data, name=job.path)
        except ImageError as error:
            self.results[job.path] = refused(job, str(error))
            return None
        return ReadImage(job=job, content=content, original=original, notes=original.notes)


def _known(collection: Collection) -> tuple[dict[tuple[bytes, str], activations.Entry], set[bytes]]:
    """Return what was recorded of copies that still hold, by original and place, and the contents of all copies ever made."""
    made: dict[tuple[bytes, str], activations.Entry] = {}
    copies: set[bytes] = set()
    for run in activations.activations(collection):
        for _, output, entry in activations.entries(collection, run):
            copies.add(bytes.fromhex(entry.output_content))
            if run["void"] is None:
                made[bytes.fromhex(entry.content), os.path.abspath(output)] = entry
    return made, copies
