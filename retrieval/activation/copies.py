"""Name, write and bound the activated copies."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from indexes.files import (
    PARTIAL,
    make_directories,
    open_alone,
    partial_of,
    sweep_unlocked,
    sync_directory,
    writing,
)
from retrieval.activation.originals import published
from retrieval.activation.pixels import linf, psnr, ssim
from retrieval.errors import OptionError
from retrieval.location import inside
from retrieval.sources import (
    FORMATS,
    NOT_FOLLOWED,
    RAW_SUFFIXES,
    UNSUPPORTED_FORMAT,
    Found,
    Skipped,
    suffix_of,
    walk,
)
from retrieval.sources.decoding import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from retrieval.activation.originals import Original
    from retrieval.activation.pixels import Pixels

UNFINISHED = "activated-"
"""Begins, behind `PARTIAL`, the name of a copy that is not finished: other programs' files lie in that folder too."""

TRIALS = 24
LEAST = 0.02  # scale below which nothing worth saving is left of the change


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One image to activate.

    Attributes:
        path: the original.
        output: where its copy goes.
        refused: why it cannot be read, or empty.
    """

    path: Path
    output: Path
    refused: str = ""


def collect(images: Sequence[Path], out: Path, *, suffix: str) -> list[Job]:
    """List the images of files and folders, each once, with the places of their copies.

    A copy has its original's path below the folder given, or its name, with the format's suffix; where two would meet, the
    original's own suffix stays in between.

    Args:
        images: files and folders.
        out: the folder of the copies; where it lies in a folder given, what it holds is no original.
        suffix: of the copies, with its dot.
    Raises:
        OptionError: nothing is given, a path does not exist, or copies would lie beside their originals.
    """
    if not images:
        raise OptionError("no image is given; name files or folders")
    found: dict[Path, tuple[str, str]] = {}  # path -> (its path below the folder given, why it is refused)
    for path in images:
        if path.is_dir():
            _require_elsewhere(path, out)
            for entry in walk(path):
                inside = os.fsdecode(entry.key)
                if isinstance(entry, Skipped) and entry.reason == UNSUPPORTED_FORMAT:
                    continue
                if suffix_of(os.path.basename(inside)) in RAW_SUFFIXES:
                    continue  # a raw photograph is no original to publish
                whole = path / inside
                if not _within(whole, out):
                    found.setdefault(whole, (inside, _refused(entry, whole)))
        elif path.exists():
            _require_elsewhere(path.parent, out)
            found.setdefault(path, (path.name, ""))
        else:
            raise OptionError(f"{path} does not exist; check the path")
    if not found:
        raise OptionError(f"{', '.join(map(str, images))}: no images there ({FORMATS})")
    short = {path: os.path.splitext(inside)[0] + suffix for path, (inside, _) in found.items()}
    met = Counter(short.values())
    jobs = []
    for path, (inside, refused) in found.items():
        name = short[path] if met[short[path]] == 1 else inside + suffix
        jobs.append(Job(path=path, output=out / name, refused=refused))
    places = Counter(job.output for job in jobs)
    for job in jobs:
        if places[job.output] > 1:
            raise OptionError(
                f"{job.path}: another image given has the same name, and both copies would be {job.output}; "
                "activate them into two folders"
            )
    return jobs


def _refused(entry: Found | Skipped, path: Path) -> str:
    if isinstance(entry, Found):
        return ""
    if entry.reason == NOT_FOLLOWED:
        return f"{path}: a link to a folder; give that folder itself to activate what is in it"
    return f"{path}: {entry.detail}"


def _require_elsewhere(folder: Path, out: Path) -> None:
    if os.path.realpath(folder) == os.path.realpath(out):
        raise OptionError(
            f"{out} is the images' own folder; choose another `out`, so that originals and copies stay apart"
        )


def _within(path: Path, folder: Path) -> bool:
    return inside(os.path.realpath(path), os.path.realpath(folder)) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A changed copy, as it will be saved.

    Attributes:
        data: the file.
        scale: how much of the change is in it, at most 1.
        psnr, ssim, linf: of the saved pixels against the original's.
    """

    data: bytes
    scale: float
    psnr: float
    ssim: float
    linf: int

    def write(self, path: Path) -> None:
        """Write the file whole, and never over another.

        Raises:
            FileExistsError: there is one.
            StoreFull, StoreReadOnly: it cannot be written.
        """
        with writing(path):
            make_directories(path.parent)
            partial = partial_of(path.with_name(f"{UNFINISHED}{path.name}"))
            with os.fdopen(open_alone(partial), "wb") as file:
                try:
                    file.write(self.data)
                    file.flush()
                    os.fsync(file.fileno())
                    taken = _place(partial, path)
                finally:
                    os.unlink(partial)
            sync_directory(path.parent)
        if taken:
            raise FileExistsError(f"{path} exists")


def sweep_unfinished(folders: Iterable[Path]) -> None:
    """Remove what killed runs left unfinished in the folders that copies go to."""
    for folder in folders:
        sweep_unlocked(folder, prefix=f"{PARTIAL}{UNFINISHED}")


def _place(partial: Path, path: Path) -> bool:
    """Give a finished file its name; say whether another has it."""
    try:
        os.link(partial, path)  # unlike a rename, this never replaces
    except FileExistsError:
        return True
    except OSError:  # a file system without hard links
        if path.exists():
            return True
        os.rename(partial, path)
        open(partial, "xb").close()  # the caller removes it
    return False


def finish(
    original: Original, change: NDArray[np.float32], *, form: str, quality: int | None, min_psnr: float
) -> Copy | None:
    """Return the copy with as much of the change as keeps the PSNR, measured on the file as it will be saved.

    Args:
        original: the image.
        change: ``(h, w, 3)`` float32 grey levels to add.
        form: of the file, one of `retrieval.activation.originals.FORMATS`.
        quality: of the file.
        min_psnr: decibels to keep.
    Returns:
        The copy; None where the format alone takes more.
    """
    scale = 1.0
    for _ in range(TRIALS):
        data = published(original, _added(original.pixels, scale * change), form=form, quality=quality)
        saved = np.asarray(decode(data))  # (h, w, 3)
        decibels = psnr(original.seen, saved)
        if decibels >= min_psnr:
            return Copy(
                data=data,
                scale=scale,
                psnr=decibels,
                ssim=ssim(original.seen, saved),
                linf=linf(original.seen, saved),
            )
        # The error grows with the square of the scale, besides what the format adds.
        scale *= min(0.98, max(0.5, 0.995 * 10 ** ((decibels - min_psnr) / 20)))
        if scale < LEAST:
            return None
    return None


def _added(pixels: Pixels, change: NDArray[np.float32]) -> Pixels:
    moved: Pixels = np.rint(np.clip(pixels + change, 0, 255)).astype(np.uint8)
    return moved
