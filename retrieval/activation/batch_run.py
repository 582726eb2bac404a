"""Run active indexing over many images: read, optimise in batches, save, measure, record."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.activation.copies import Copy, Job, finish
from retrieval.activation.originals import FORMATS, Original, lossless, read_original
from retrieval.collection import activations
from retrieval.encoders import checked_pixels
from retrieval.errors import ImageError, OptionError
from retrieval.ingestion import OnProgress, Progress, cores
from retrieval.sources.decoding import content_hash, decode, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from indexes.engine import Aim
    from indexes.store import WriterLock
    from indexes.vectors import Ids, Vectors
    from retrieval.collection import Collection
    from retrieval.encoders import DifferentiableEncoder

__all__ = ["Activated", "Run", "Settings"]

BATCH_IMAGES, BATCH_PIXELS = 16, 1 << 22  # optimised together on a CPU
GPU_IMAGES, GPU_PIXELS = 64, 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """What became of one image.

    Attributes:
        path: as it was given.
        output: the copy; None where there is none.
        status: ``activated``; ``scaled_back``, changed less so that it keeps the PSNR asked for; or ``refused``, which with an
            `output` means that an earlier run made this very copy (`already`).
        psnr: of the saved copy against the original, in dB; None for equal pictures.
        ssim: likewise, at most 1.
        linf: largest difference of a pixel, in grey levels.
        cosine_before: cosine of the original's vector to the point where the index keeps it.
        cosine_after: the same of the saved copy's.
        reason: why it was refused, or what is worth knowing; empty otherwise.
    """

    path: str
    output: str | None = None
    status: str
    psnr: float | None = None
    ssim: float | None = None
    linf: int | None = None
    cosine_before: float | None = None
    cosine_after: float | None = None
    reason: str = ""

    @property
    def already(self) -> bool:
        """Whether an earlier run made this copy; the measures are those that it recorded."""
        return self.status == "refused" and self.output is not None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the contract."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a run changes images and saves them; each as in `retrieval.activate`.

    Raises:
        OptionError: a value that cannot be.
    """

    steps: int
    strength: float
    robust: bool
    min_psnr: float
    format: str
    quality: int | None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise OptionError(f"steps is {self.steps}; it must be at least 1")
        if not (math.isfinite(self.strength) and self.strength > 0):
            raise OptionError(f"strength is {self.strength}; it must be above 0 (3 is usual)")
        if not (math.isfinite(self.min_psnr) and self.min_psnr > 0):
            raise OptionError(f"min-psnr is {self.min_psnr}; it must be above 0 dB (38 is usual)")
        if self.format not in FORMATS:
            raise OptionError(f"format {self.format!r} is none of {', '.join(FORMATS)}")
        if self.quality is not None and self.format == "png":
            raise OptionError("quality has no meaning for png, which loses nothing; choose jpeg or webp")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"quality is {self.quality}; it lies between 1 and 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """One image, read."""

    job: Job
    content: bytes
    original: Original
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """One copy worth publishing, and what is told of it."""

    job: Job
    copy: Copy
    result: Activated
    entry: activations.Entry


@dataclass(slots=True)
class _Batch:
    images: list[_Ready] = field(default_factory=list)
    pixels: int = 0


class Run:
    """One run over many images, and what became of each."""

    def __init__(
        self,
        collection: Collection,
        aim: Aim,
        encoder: DifferentiableEncoder,
        settings: Settings,
        progress: OnProgress | None,
        lock: WriterLock,
    ) -> None:
        self._collection, self._aim, self._encoder = collection, aim, encoder
        self._settings, self._progress = settings, progress
        self._module: torch.nn.Module = encoder.torch_module()
        tied_to = activations.identity(collection.manifest, aim.probes())
        self._recording = activations.Recording(collection.directory, lock, tied_to, asdict(settings))
        self._made, self._copies = _known(collection)
        self._total = 0
        self.results: dict[Path, Activated] = {}

    def batches(self, jobs: Sequence[Job]) -> Iterator[_Batch]:
        """Read images ahead and yield as many at a time as suit the device; refuse what cannot be activated."""
        self._total = len(jobs)
        on_gpu = any(tensor.is_cuda for tensor in (*self._module.parameters(), *self._module.buffers()))
        most, pixels = (GPU_IMAGES, GPU_PIXELS) if on_gpu else (BATCH_IMAGES, BATCH_PIXELS)
        batch = _Batch()
        with ThreadPoolExecutor(cores()) as pool:
            ahead = cores()  # and no more: an image of 12 megapixels and its map take 84 MB
            for start in range(0, len(jobs), ahead):
                for ready in pool.map(self._read, jobs[start : start + ahead]):
                    if ready is None:
                        continue
                    size = ready.original.seen.shape[0] * ready.original.seen.shape[1]
                    if batch.images and (len(batch.images) == most or batch.pixels + size > pixels):
                        yield batch
                        batch = _Batch()
                    batch.images.append(ready)
                    batch.pixels += size
        if batch.images:
            yield batch

    def _read(self, job: Job) -> _Ready | None:
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
                    self.results[job.path] = _already(job, made)
                    return None
                raise ImageError(
                    f"{job.output}: exists and is not overwritten; remove it, or choose another `out`",
                    reason="exists",
                )
            original = read_original(data, name=job.path)
        except ImageError as error:
            self.results[job.path] = Activated(path=str(job.path), status="refused", reason=str(error))
            return None
        return _Ready(job=job, content=content, original=original, notes=original.notes)

    def activate(self, batch: _Batch) -> None:
        """Optimise a batch, write its copies and measure them."""
        import torch

        from retrieval.activation.objective import find_rivals, objective
        from retrieval.activation.perturbation import perturb

        images = batch.images
        rows, own, notes = self._rows(images)
        rivals = find_rivals(self._collection, self._aim, rows, own)
        device = next(iter((*self._module.parameters(), *self._module.buffers()))).device
        loss = objective(self._aim, rivals, device)
        changes = perturb(
            self._module,
            loss,
            [ready.original for ready in images],
            steps=self._settings.steps,
            strength=self._settings.strength,
            robust=self._settings.robust,
            side=getattr(self._encoder, "decode_size", None),
            seed=int.from_bytes(images[0].content[:4], "big"),
        )

        def finished(ready: _Ready, change: NDArray[np.float32]) -> Copy | str | None:
            form, quality, least = self._settings.format, self._settings.quality, self._settings.min_psnr
            try:
                return finish(ready.original, change, form=form, quality=quality, min_psnr=least)
            except ImageError as error:
                return f"{ready.job.path}: {error}"

        with ThreadPoolExecutor(cores()) as pool:
            made = list(pool.map(finished, images, changes))
        now = self._encoded(made, rows)  # (n, d)
        losses = np.stack(
            [
                loss(torch.from_numpy(vectors).to(device), altered=False).cpu().numpy()[0]
                for vectors in (rows, now)
            ]
        )
        before, after = (self._aim.cosines(vectors, rivals.points) for vectors in (rows, now))
        settled = []
        for number, (ready, copy) in enumerate(zip(images, made, strict=True)):
            cosines = float(before[number]), float(after[number])
            gained = bool(losses[1, number] < losses[0, number])
            whole = self._settle(ready, copy, cosines, gained=gained, notes=notes[number])
            settled += [] if whole is None else [whole]
        self._publish(settled)
        if self._progress is not None:
            refused = sum(result.status == "refused" for result in self.results.values())
            self._progress(
                Progress(phase="activate", done=len(self.results), total=self._total, skipped=refused)
            )

    def _rows(self, images: Sequence[_Ready]) -> tuple[Vectors, Ids, list[tuple[str, ...]]]:
        """Return the stored rows of images and their ids, or where the collection has none, their vectors and -1."""
        own = np.full(len(images), -1, dtype=np.int64)
        pixels = []
        notes = []
        for number, ready in enumerate(images):
            told = list(ready.notes)
            found = self._collection.ids_of_content(ready.content)
            own[number] = found[0] if len(found) else -1
            array = self._encoder.preprocess(_image(ready.original))
            pixels.append(array)
            if not len(found):
                told.append("the collection does not hold it; index the original too")
            height, width = ready.original.seen.shape[:2]
            if array.ndim == 3 and (height < array.shape[-2] or width < array.shape[-1]):
                told.append(
                    f"{width} x {height} is smaller than the {array.shape[-1]} x {array.shape[-2]} that the encoder reads"
                )
            notes.append(tuple(told))
        rows = checked_pixels(self._encoder, np.stack(pixels))  # (n, d)
        held = np.flatnonzero(own >= 0)
        if held.size:
            rows = rows.copy()
            rows[held] = self._collection.vectors(own[held])
        return rows, own, notes

    def _encoded(self, copies: Sequence[Copy | str | None], rows: Vectors) -> Vectors:
        """Encode saved copies as queries are; where there is none, keep the row of ``rows``."""
        size = getattr(self._encoder, "decode_size", None)
        made = [number for number, copy in enumerate(copies) if isinstance(copy, Copy)]
        vectors = rows.copy()
        if made:
            arrays = [
                self._encoder.preprocess(decode(copy.data, decode_size=size))
                for copy in copies
                if isinstance(copy, Copy)
            ]
            vectors[made] = checked_pixels(self._encoder, np.stack(arrays))
        return vectors

    def _settle(
        self,
        ready: _Ready,
        copy: Copy | str | None,
        cosines: tuple[float, float],
        *,
        gained: bool,
        notes: tuple[str, ...],
    ) -> _Made | None:
        """Return a copy that is worth publishing with what is told of it; or take note why there is none.

        ``copy`` may be the reason why it cannot be written, or None where the format alone takes too much.
        """
        before, after = cosines
        job = ready.job
        path, output = str(job.path), str(job.output)
        if not isinstance(copy, Copy):
            form = self._settings.format
            cure = (
                "give a higher `quality`"
                if not lossless(form, self._settings.quality)
                else "lower `min_psnr`"
            )
            least = f"{self._settings.min_psnr:g} dB"
            self.results[job.path] = Activated(
                path=path,
                status="refused",
                cosine_before=round(before, 4),
                reason=copy or f"{path}: a copy as {form} keeps less than {least} even unchanged; {cure}",
            )
            return None
        if not gained:
            self.results[job.path] = Activated(
                path=path,
                status="refused",
                cosine_before=round(before, 4),
                cosine_after=round(after, 4),
                reason=f"{path}: nothing is gained within {self._settings.min_psnr:g} dB; allow more (`strength`, `min_psnr`)",
            )
            return None
        result = Activated(
            path=path,
            output=output,
            status="scaled_back" if copy.scale < 1 else "activated",
            psnr=None if math.isinf(copy.psnr) else round(copy.psnr, 3),
            ssim=round(copy.ssim, 5),
            linf=copy.linf,
            cosine_before=round(before, 4),
            cosine_after=round(after, 4),
            reason="; ".join(notes),
        )
        home = self._collection.directory
        entry = activations.Entry(
            path=activations.relative(job.path, home),
            content=ready.content.hex(),
            output=activations.relative(job.output, home),
            output_content=content_hash(copy.data).hex(),
            status=result.status,
            psnr=result.psnr,
            ssim=copy.ssim,
            linf=copy.linf,
            cosine_before=before,
            cosine_after=after,
        )
        return _Made(job=job, copy=copy, result=result, entry=entry)

    def _publish(self, made: Sequence[_Made]) -> None:
        """Record copies, then put them in their places; what is not put there, also by an interrupt, is recorded no longer."""
        placed: set[Path] = set()
        self._recording.announce([one.entry for one in made])
        try:
            for one in made:
                path, output = one.job.path, one.job.output
                try:
                    one.copy.write(output)
                except FileExistsError:
                    self.results[path] = Activated(
                        path=str(path),
                        status="refused",
                        reason=f"{output}: appeared meanwhile and is not overwritten",
                    )
                else:
                    placed.add(path)
                    self.results[path] = one.result
        finally:
            self._recording.withdraw([one.entry for one in made if one.job.path not in placed])


def _already(job: Job, made: activations.Entry) -> Activated:
    return Activated(
        path=str(job.path),
        output=str(job.output),
        status="refused",
        psnr=made.psnr,
        ssim=round(made.ssim, 5),
        linf=made.linf,
        cosine_before=round(made.cosine_before, 4),
        cosine_after=round(made.cosine_after, 4),
        reason=f"{job.path}: is already activated for this index, as {job.output}",
    )


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


def _image(original: Original) -> Any:
    from PIL import Image

    return Image.fromarray(original.seen)
