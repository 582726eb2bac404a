"""Put the images of hits into a folder, as copies or as links, without ever writing over a file."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from indexes.files import PARTIAL, writing
from retrieval.errors import ImageError, ImagesSkipped, OptionError
from retrieval.sources import has_image_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from retrieval.collection.answers.hit import Hit

_LONGEST: Final = 200
"""Bytes of a name; file systems allow 255, and a number may have to be added."""

_NAMED: Final = 3
"""Images that a message names."""


def copy_hits(hits: Sequence[Hit], directory: str | os.PathLike[str]) -> list[Path]:
    """Copy the image of each hit into a folder, from whatever source it comes.

    Args:
        hits: best first; each image is copied once.
        directory: made if it is missing.
    Returns:
        the paths of the copies, in the order of the hits. One that lay there already with these very bytes is left as it is.
    Raises:
        ImagesSkipped: images could not be read; the message names the first three. The others were copied.
        StoreFull, StoreReadOnly: the folder cannot be written.
    """
    folder = _made(directory)
    paths, failed = [], []
    for hit, name in zip(hits, _names(hits), strict=True):
        try:
            data = hit.read_bytes()
        except ImageError as error:
            failed.append(str(error))
            continue
        if not has_image_suffix(name):
            name += _suffix(data)  # noqa: PLW2901 - of a row of a table
        with writing(folder):
            paths.append(_copied(folder, name, data, hit))
    if failed:
        more = f"; and {len(failed) - _NAMED:,} more" if len(failed) > _NAMED else ""
        raise ImagesSkipped(
            f"{len(failed):,} of {len(hits):,} images could not be copied to {folder}: "
            f"{'; '.join(failed[:_NAMED])}{more}"
        )
    return paths


def link_hits(hits: Sequence[Hit], directory: str | os.PathLike[str]) -> list[Path]:
    """Make a symbolic link to the image of each hit in a folder.

    Args:
        hits: best first.
        directory: made if it is missing.
    Returns:
        the paths of the links, in the order of the hits. A link that was there already is left as it is.
    Raises:
        OptionError: an image is no file of its own, such as one in an archive or at an address. Nothing was written.
        StoreFull, StoreReadOnly: the folder cannot be written.
    """
    for hit in hits:
        if not os.path.isfile(hit.link):
            raise OptionError(
                f"{hit.link}: is no file of its own, so there is nothing to link to; copies can be made of any hit: `copy_to`"
            )
    folder = _made(directory)
    with writing(folder):
        return [
            _linked(folder, name, os.path.abspath(hit.link))
            for hit, name in zip(hits, _names(hits), strict=True)
        ]


def link_files(files: Sequence[tuple[str, str]], directory: str | os.PathLike[str]) -> list[Path]:
    """Make a symbolic link to each file in a folder; names that are taken get a number.

    Args:
        files: the name of each link, and the path that it leads to.
        directory: made if it is missing.
    Raises:
        OptionError: the folder's name is that of a file.
        StoreFull, StoreReadOnly: the folder cannot be written.
    """
    folder = _made(directory)
    with writing(folder):
        return [_linked(folder, _short(name), os.path.abspath(path)) for name, path in files]


def _made(directory: str | os.PathLike[str]) -> Path:
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder}: not a folder; name another one")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _names(hits: Iterable[Hit]) -> list[str]:
    """Return a name for each hit: its file's; of equal ones with the names of the folders in which they differ."""
    parts = [_parts(hit.path) for hit in hits]
    used = [1] * len(parts)
    while True:
        names = ["-".join(own[-count:]) for own, count in zip(parts, used, strict=True)]
        number = Counter(map(str.casefold, names))  # some file systems do not tell case apart
        longer = [
            place
            for place, (name, own) in enumerate(zip(names, parts, strict=True))
            if number[name.casefold()] > 1 and used[place] < len(own)
        ]
        if not longer:
            return [_short(name) for name in names]
        for place in longer:
            used[place] += 1


def _parts(path: str) -> list[str]:
    """Return the parts of a row's key; what a file name cannot hold, or would hide it, is replaced."""
    whole = path.partition("://")[2].partition("?")[0] if "://" in path else path
    parts = [part.replace("\0", "_").lstrip(".") or "_" for part in whole.split("/") if part not in ("", ".")]
    return parts or ["image"]


def _short(name: str) -> str:
    """Return a name that fits, with its end, where the suffix is."""
    data = os.fsencode(name)
    return name if len(data) <= _LONGEST else os.fsdecode(data[-_LONGEST:]).lstrip(".")


def _suffix(data: bytes) -> str:
    """Return the suffix that suits an image's bytes."""
    import io

    from PIL import Image, UnidentifiedImageError

    with suppress(UnidentifiedImageError, OSError, Image.DecompressionBombError):
        with Image.open(io.BytesIO(data)) as image:
            form = (image.format or "").lower()
        return {"": "", "jpeg": ".jpg", "mpo": ".jpg"}.get(form, f".{form}")
    return ""


def _numbered(name: str) -> Iterable[str]:
    """Yield a name, then the same with numbers before its suffix."""
    yield name
    stem, dot, suffix = name.rpartition(".")
    number = 2
    while True:
        yield f"{stem}-{number}{dot}{suffix}" if stem else f"{name}-{number}"
        number += 1


def _copied(folder: Path, name: str, data: bytes, hit: Hit) -> Path:
    partial = folder / f"{PARTIAL}{os.getpid()}"
    try:
        partial.write_bytes(data)
        with suppress(OSError):
            if os.path.isfile(hit.link):
                shutil.copystat(hit.link, partial)
        for free in _numbered(name):
            path = folder / free
            if path.is_file() and path.read_bytes() == data:
                return path
            try:
                os.link(partial, path)  # unlike a rename, this never replaces
            except FileExistsError:
                continue
            except OSError:  # a file system without hard links
                try:
                    with path.open("xb") as file:
                        file.write(data)
                except FileExistsError:
                    continue
            return path
    finally:
        partial.unlink(missing_ok=True)
    raise AssertionError  # there is always a number that is free


def _linked(folder: Path, name: str, target: str) -> Path:
    for free in _numbered(name):
        path = folder / free
        if path.is_symlink() and os.readlink(path) == target:
            return path
        try:
            path.symlink_to(target)
        except FileExistsError:
            continue
        return path
    raise AssertionError  # there is always a number that is free
