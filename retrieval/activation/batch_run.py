"""Run active indexing over many images: optimise in batches, save, measure, record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.engine import ThreadPool
from retrieval.activation.batch_reader import Batch, BatchReader, ReadImage
from retrieval.activation.copies import Copy, Job, finish
from retrieval.activation.originals import Original, lossless
from retrieval.activation.results import Activated, activated, refused
from retrieval.activation.settings import Settings
from retrieval.collection import activations
from retrieval.embedding import cores
from retrieval.encoders import checked_pixels
from retrieval.errors import ImageError
from retrieval.progress import OnProgress, Progress
from retrieval.sources.decoding import content_hash, decode

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """One copy worth publishing, and what is told of it."""

    job: Job
    copy: Copy
    result: Activated
    entry: activations.Entry


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
        self._total = 0
        self.results: dict[Path, Activated] = {}

    def batches(self, jobs: Sequence[Job]) -> Iterator[Batch]:
        """Read images ahead and yield as many at a time as suit the device; refuse what cannot be activated."""
        self._total = len(jobs)
        on_gpu = any(tensor.is_cuda for tensor in (*self._module.parameters(), *self._module.buffers()))
        return BatchReader(self._collection, self.results, on_gpu=on_gpu).batches(jobs)

    def activate(self, batch: Batch) -> None:
        """Optimise a batch, write its copies and measure them."""
        import torch

        from retrieval.activation.pixels import find_rivals, objective, perturb

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

        def finished(ready: ReadImage, change: NDArray[np.float32]) -> Copy | str | None:
            form, quality, least = self._settings.format, self._settings.quality, self._settings.min_psnr
            try:
                return finish(ready.original, change, form=form, quality=quality, min_psnr=least)
            except ImageError as error:
                return f"{ready.job.path}: {error}"

        with ThreadPool(cores()) as pool:
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

    def _rows(self, images: Sequence[ReadImage]) -> tuple[Vectors, Ids, list[tuple[str, ...]]]:
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
        ready: ReadImage,
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
        if not isinstance(copy, Copy):
            settings = self._settings
            hint = (
                "lower `min_psnr`"
                if lossless(settings.format, settings.quality)
                else "give a higher `quality`"
            )
            self.results[job.path] = refused(
                job,
                copy
                or f"{job.path}: a copy as {settings.format} keeps less than {settings.min_psnr:g} dB even unchanged; {hint}",
                cosine_before=before,
            )
            return None
        if not gained:
            self.results[job.path] = refused(
                job,
                f"{job.path}: nothing is gained within {self._settings.min_psnr:g} dB; allow more (`strength`, `min_psnr`)",
                cosine_before=before,
                cosine_after=after,
            )
            return None
        result = activated(job, copy, cosines, notes=notes)
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
                    self.results[path] = refused(
                        one.job, f"{output}: appeared meanwhile and is not overwritten"
                    )
                else:
                    placed.add(path)
                    self.results[path] = one.result
        finally:
            self._recording.withdraw([one.entry for one in made if one.job.path not in placed])


def _image(original: Original) -> Any:
    from PIL import Image

    return Image.fromarray(original.seen)
