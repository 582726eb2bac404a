"""Find the image files below a folder, in a fixed order, and say what could not be looked at."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval.keys import glob_pattern

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator

__all__ = [
    "FORMATS",
    "NOT_FOLLOWED",
    "SKIPPED_FOLDERS",
    "SUFFIXES",
    "UNSUPPORTED",
    "UNSUPPORTED_FORMAT",
    "Found",
    "Skipped",
    "has_image_suffix",
    "os_reason",
    "walk",
]

SUFFIXES = frozenset({
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff", "avif", "heic", "heif", "hif",
})  # fmt: skip
"""What the name of an image ends in, without the dot, in lower case."""

FORMATS = "jpg, png, webp, gif, bmp, tiff, avif, heic"
"""The formats behind `SUFFIXES`, for messages."""

UNSUPPORTED = frozenset({
    # raw files of cameras
    "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "kdc", "mef", "mrw", "nef", "nrw", "orf",
    "pef", "raf", "rw2", "rwl", "sr2", "srf", "srw", "x3f",
    # JPEG's successors
    "j2k", "jp2", "jpf", "jpx", "jxl", "jxr",
    # documents of programs
    "psb", "psd", "svg", "svgz", "xcf",
    # renderers, games, Unix
    "dds", "exr", "pbm", "pcx", "pgm", "pnm", "ppm", "qoi", "tga",
})  # fmt: skip
"""What the names of images in formats that are not read end in: a build says that it skips these."""

# Reasons that are told apart from others.
NOT_FOLLOWED = "link-not-followed"
UNSUPPORTED_FORMAT = "unsupported-format"

SKIPPED_FOLDERS = frozenset(
    {
        ".retrieve",
        ".git",
        "node_modules",
        # Thumbnails made by machines, and files that their owner has thrown away: found again, they would annoy.
        "@eaDir",
        ".thumbnails",
        "#recycle",
        "$RECYCLE.BIN",
        ".Trashes",
    },
)
"""Folders never entered. Other hidden folders and files are: a photo archive may well lie in one."""

_TRASH = ".Trash-"  # freedesktop.org's trash folder on a mounted volume: .Trash-UID
_RESOURCE_FORK = "._"  # what macOS leaves beside a file on a volume that has no resource forks


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An image file, by its suffix; it has not been opened.

    Attributes:
        key: path relative to the root as raw bytes, ``/`` between its parts.
        path: absolute path; bytes that are not UTF-8 are surrogate-escaped (`os.fsencode` gives them back).
        size: bytes.
        mtime_ns: time of its last modification, in nanoseconds since the epoch.
    """

    key: bytes
    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A file or folder that the walk could not look at.

    Attributes:
        key: path relative to the root as raw bytes.
        reason: ``vanished`` (gone, or a link to nothing), ``permission``, ``read-error`` (another error of the system),
            ``not-a-file`` (a pipe, device or socket named like an image; it is not opened), ``unsupported-format`` (by its
            suffix; it is not looked at), ``link-loop``, or ``link-not-followed`` (a link to a folder).
        detail: one line for people.
        folder: it is a folder: of what lies beneath, nothing is known (it need not be gone).
    """

    key: bytes
    reason: str
    detail: str
    folder: bool = False


def walk(
    root: str | os.PathLike[str],
    *,
    exclude: Iterable[str] = (),
    follow_links: bool = False,
    listed: dict[bytes, int] | None = None,
) -> Iterator[Found | Skipped]:
    """Yield every image file below ``root``: depth first, names in each folder in the order of their characters.

    A link to a file counts as that file. `SKIPPED_FOLDERS` and names that begin with ``._`` are passed over.

    Args:
        root: a folder.
        exclude: globs over paths relative to the root; ``*`` crosses no ``/``, ``**`` does; one without ``/`` matches
            names at any depth, one with ``/`` in front only at the root. A folder that matches is not entered.
        follow_links: enter links to folders too, except one that leads back to a folder which contains it.
        listed: gets the modification time (ns) that each folder had just before it was listed; the root's key is empty.
    Raises:
        OSError: the root itself is missing, no folder, or cannot be listed (an unmounted drive is not an empty folder).
    """
    if isinstance(exclude, str):
        exclude = (exclude,)
    excluded = [("/" * glob.startswith("/"), glob_pattern(glob.removesuffix("/"))) for glob in exclude]
    top = os.path.abspath(root)
    prefix = os.path.join(top, "")
    status = os.stat(top)
    if listed is not None:
        listed[b""] = status.st_mtime_ns
    entries = _listed(top)
    # One level of the tree each: what is left of the folder, and who its folder is, for finding loops of links.
    stack = [(iter(entries), (status.st_dev, status.st_ino))]
    while stack:
        entry = next(stack[-1][0], None)
        if entry is None:
            stack.pop()
            continue
        name = entry.name
        if name.startswith(_RESOURCE_FORK):
            continue
        try:
            is_folder = entry.is_dir()
        except OSError:
            is_folder = False
        suffix = "" if is_folder else _suffix(name)
        if not is_folder and suffix not in SUFFIXES and suffix not in UNSUPPORTED:
            continue
        relative = entry.path[len(prefix) :]
        if excluded and _matches(relative, excluded):
            continue
        key = os.fsencode(relative)
        if suffix in UNSUPPORTED:
            yield Skipped(
                key=key, reason=UNSUPPORTED_FORMAT, detail=f"{suffix} is not read; convert it ({FORMATS})"
            )
        elif not is_folder:
            yield _look(entry, key)
        elif name not in SKIPPED_FOLDERS and not name.startswith(_TRASH):
            inside = _enter(
                entry, key, ancestors=[level[1] for level in stack], follow_links=follow_links, listed=listed
            )
            if isinstance(inside, Skipped):
                yield inside
            else:
                stack.append(inside)


def has_image_suffix(name: str) -> bool:
    """Say whether a file name ends in one of `SUFFIXES`, in any case."""
    return _suffix(name) in SUFFIXES


def _suffix(name: str) -> str:
    """Return what follows a name's last dot, in lower case; nothing if nothing stands before it."""
    stem, _, suffix = name.rpartition(".")
    return suffix.lower() if stem else ""


def _listed(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _matches(relative: str, patterns: list[tuple[str, re.Pattern[str]]]) -> bool:
    return any(pattern.match(top + relative) for top, pattern in patterns)


def _look(entry: os.DirEntry[str], key: bytes) -> Found | Skipped:
    """Return the file with its size and time, or why it is none; a pipe or device is never opened."""
    try:
        status = entry.stat()
    except OSError as error:
        return Skipped(key=key, reason=os_reason(error), detail=_why(error))
    if not stat.S_ISREG(status.st_mode):
        return Skipped(key=key, reason="not-a-file", detail="a pipe, device or socket, not a file")
    return Found(key=key, path=entry.path, size=status.st_size, mtime_ns=status.st_mtime_ns)


def _enter(
    entry: os.DirEntry[str],
    key: bytes,
    *,
    ancestors: list[tuple[int, int]],
    follow_links: bool,
    listed: dict[bytes, int] | None,
) -> tuple[Iterator[os.DirEntry[str]], tuple[int, int]] | Skipped:
    """Return a folder's entries and identity, or why it is not entered."""
    try:
        linked = entry.is_symlink()
        if linked and not follow_links:
            return Skipped(
                key=key,
                reason=NOT_FOLLOWED,
                detail="a link to a folder; --follow-links enters it",
                folder=True,
            )
        status = entry.stat()
        identity = (status.st_dev, status.st_ino)
        if linked and identity in ancestors:
            return Skipped(
                key=key, reason="link-loop", detail="a link to a folder that contains it", folder=True
            )
        if listed is not None:
            listed[key] = status.st_mtime_ns
        return iter(_listed(entry.path)), identity
    except OSError as error:
        return Skipped(key=key, reason=os_reason(error), detail=_why(error), folder=True)


def os_reason(error: OSError) -> str:
    """Return the short word for an error of the file system; never ``unreadable``, which is said of a file's bytes."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "vanished"
    if error.errno == errno.ELOOP:
        return "link-loop"
    return "permission" if isinstance(error, PermissionError) else "read-error"


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
