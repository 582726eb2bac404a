"""Activate images before they are published: change their pixels imperceptibly so that copies are found.

What is published is a copy; the collection keeps the original's vector and code as they are. The copies of a run are
recorded in the collection as they come, because they gain nothing any more once the encoder or the trained index is another,
and because a run that was interrupted or killed is continued by the next.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexes.distribution import pip_install
from retrieval.activation.batch_run import Run
from retrieval.activation.copies import Job, collect, sweep_unfinished
from retrieval.activation.originals import FORMATS
from retrieval.activation.results import Activated
from retrieval.activation.settings import Settings
from retrieval.collection import Collection, open_collection, writer
from retrieval.display import progress_shown
from retrieval.encoders import DifferentiableEncoder
from retrieval.errors import CapabilityMissing, CollectionNotFound, MissingExtra
from retrieval.progress import ShowProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.vectors import Ids
    from retrieval.encoders import EncoderLike

SAMPLE = 1000  # stored rows on which the codes' decoding is measured


def activate(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    index: str | os.PathLike[str] | None = None,
    encoder: EncoderLike | None = None,
    steps: int = 10,
    strength: float = 3.0,
    robust: bool = False,
    min_psnr: float = 38.0,
    format: str = "png",  # noqa: A002 - the option's name
    quality: int | None = None,
    device: str = "auto",
    progress: ShowProgress = True,
) -> list[Activated]:
    """Write copies of images whose vectors lie where the index keeps the originals'.

    Every copy keeps EXIF, colour profile and orientation, and is measured as it was saved. Nothing is overwritten, and what
    an earlier run made is not made again. Use it on images of your own: the changes are made to be found, and that is no
    protection against being recognised.

    Args:
        images: files and folders; best those that the collection holds.
        out: the folder of the copies, another than any image's; made if missing. Below it, paths are as below the folder
            given.
        index: the collection; ``None`` asks ``RETRIEVE_INDEX``, walks up from the working directory, then from the first image.
        encoder: instead of the recorded one; must be of the collection's space, and differentiable.
        steps: of the optimisation.
        strength: how much pixels may change, as a factor of what is just noticeable.
        robust: look at altered copies all the time, so that more of the gain survives crops, turns, bars, blur, JPEG, resizing
            and other light; two to three times slower.
        min_psnr: decibels that every saved copy keeps; where needed, the change is scaled back.
        format: ``png``, ``jpeg`` or ``webp``.
        quality: 1 to 100, of JPEG (95 by default) or WebP (lossless by default).
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
        progress: True shows a bar on a terminal or in a notebook, False nothing; a function is called with each `Progress`.
    Returns:
        One `Activated` for each image, in order.
    Raises:
        MissingExtra: torch is not installed.
        OptionError: a value that cannot be; a collection whose codes lose nothing, or do not decode; a folder that is the
            images' own.
        CapabilityMissing: the encoder is not differentiable.
        SpaceMismatch: `encoder` is of another space.
        StoreLocked: the collection is being built.
    """
    settings = Settings(
        steps=steps, strength=strength, robust=robust, min_psnr=min_psnr, format=format, quality=quality
    )
    named = [images] if isinstance(images, str | os.PathLike) else list(images)
    jobs = collect([Path(name) for name in named], Path(out), suffix=FORMATS[settings.format])
    if find_spec("torch") is None:
        raise MissingExtra(
            "activating images needs torch, to follow gradients to the pixels: "
            f"{pip_install('open-clip')} (or torch alone)"
        )
    with progress_shown(progress) as watch, _opened(index, jobs, encoder, device) as collection:
        model = collection.encoder
        if not isinstance(model, DifferentiableEncoder):
            raise CapabilityMissing(
                f"the encoder {collection.space.name} gives no gradients; nano, open_clip: and timm: do "
                "(see `installed_families`), so build the collection with one of them"
            )
        with writer(collection.directory) as lock:  # nobody shall train the index anew meanwhile
            collection.refresh()
            sweep_unfinished({job.output.parent for job in jobs})
            aim = collection.aim()
            aim.require_useful(collection.vectors(_sample(collection)))
            run = Run(collection, aim, model, settings, watch, lock)
            for batch in run.batches(jobs):
                run.activate(batch)
    return [run.results[job.path] for job in jobs]


def _opened(
    index: str | os.PathLike[str] | None, jobs: Sequence[Job], encoder: EncoderLike | None, device: str
) -> Collection:
    try:
        return open_collection(index, encoder=encoder, device=device)
    except CollectionNotFound:
        if index is not None or os.environ.get("RETRIEVE_INDEX") or not jobs:
            raise
    return open_collection(jobs[0].path.parent, encoder=encoder, device=device)


def _sample(collection: Collection) -> Ids:
    live = collection.row_ids()  # (n,)
    chosen: Ids = np.sort(np.random.default_rng(0).permutation(live)[:SAMPLE])
    return chosen
