"""How a file is named and recognised in a collection: keys, stamps, and filters over them."""

from __future__ import annotations

import fnmatch
import os
import re
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from indexes.files import writing
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from indexes.arrays import Bitmap
    from indexes.store import Record

PathLike: TypeAlias = str | os.PathLike[str]

FOLDERS = "folders.tsv"

_STAMP = struct.Struct("<Qq")


def stamp(*, size: int, mtime_ns: int) -> bytes:
    """Pack what tells an unchanged file: its size in bytes and its modification time."""
    return _STAMP.pack(size, mtime_ns)


def size_of(stamp: bytes) -> int:
    """Return the size in bytes that a stamp holds; -1 for an empty one."""
    return int(_STAMP.unpack(stamp)[0]) if stamp else -1


def stamp_of(path: PathLike) -> bytes:
    """Return the stamp of a file as it is now; empty if it cannot be read."""
    try:
        status = os.stat(path)
    except OSError:
        return b""
    return stamp(size=status.st_size, mtime_ns=status.st_mtime_ns)


def key_of(path: PathLike, root: Path) -> bytes | None:
    """Return a file's key, its path relative to `root` with ``/`` between parts; ``None`` if it lies elsewhere."""
    absolute = os.path.abspath(path)
    for folder in (os.path.abspath(root), os.path.realpath(root)):
        for name in (absolute, os.path.realpath(absolute)):
            if name.startswith(folder.rstrip(os.sep) + os.sep):
                return os.fsencode(os.path.relpath(name, folder).replace(os.sep, "/"))
    return None


def relative(under: PathLike | None, root: Path) -> str | None:
    """Return the folder `under` relative to `root`; it may be given relative to it, to the working directory, or absolute.

    Raises:
        OptionError: it is absolute and lies outside.
    """
    if under is None:
        return None
    name = os.fspath(under)
    if os.path.isabs(name) or (not os.path.exists(root / name) and os.path.exists(name)):
        if os.path.realpath(name) == os.path.realpath(root):
            return ""
        key = key_of(name, root)
        if key is None:
            raise OptionError(f"{name} lies outside the collection's folder {root}; name a folder inside it")
        return os.fsdecode(key)
    inside = os.path.normpath(name).replace(os.sep, "/")
    if inside == os.pardir or inside.startswith("../"):
        raise OptionError(f"{name} lies outside the collection's folder {root}; name a folder inside it")
    return "" if inside == os.curdir else inside


def glob_pattern(glob: str) -> re.Pattern[str]:
    """Compile a glob over relative paths: ``*`` and ``?`` cross no ``/``, ``**`` does; one without ``/`` matches file names."""
    if "/" not in glob:
        glob = f"**/{glob}"
    parts = re.split(r"(\*\*/?|\*|\?|\[[^\]]*\])", glob)
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    translated = "".join(
        pieces.get(part) or (fnmatch.translate(part)[4:-3] if part.startswith("[") else re.escape(part))
        for part in parts
    )
    return re.compile(f"(?s:{translated})\\Z")


class PathFilter:
    """The paths of a collection, read once, and the filters over them."""

    def __init__(self, records: Iterable[Record], *, count: int) -> None:
        self._paths: list[str | None] = [None] * count
        for record in records:
            self._paths[record.id] = os.fsdecode(record.key)
        self._recent: tuple[tuple[str | None, str | None], Bitmap] | None = None

    def keep(self, *, under: str | None, glob: str | None) -> Bitmap:
        """Return ``(count,)`` bool: which rows lie below `under` and match `glob`."""
        recent = self._recent
        if recent is not None and recent[0] == (under, glob):
            return recent[1]
        prefix = f"{under}/" if under else ""
        match = glob_pattern(glob).match if glob is not None else None
        top = "/" if glob is not None and glob.startswith("/") else ""  # such a glob matches at the root only
        keep = np.fromiter(
            (
                path is not None
                and path.startswith(prefix)
                and (match is None or match(top + path) is not None)
                for path in self._paths
            ),
            dtype=np.bool_,
            count=len(self._paths),
        )
        self._recent = ((under, glob), keep)
        return keep


def folder_times(root: Path, found: Iterable[bytes]) -> dict[bytes, int]:
    """Return the modification time (ns) of every folder below `root` that holds one of the keys `found`, the root too."""
    folders = {b""}
    for key in found:
        parent = key.rpartition(b"/")[0]
        while parent not in folders:
            folders.add(parent)
            parent = parent.rpartition(b"/")[0]
    times = {}
    for folder in folders:
        with suppress(OSError):
            times[folder] = os.stat(os.path.join(os.fsencode(root), folder)).st_mtime_ns
    return times


def write_folders(directory: Path, times: dict[bytes, int], *, below: bytes = b"") -> None:
    """Keep what `folder_times` returned, so that `changed_since` can tell cheaply; times of folders not `below` stay as they are."""
    if below:
        elsewhere = {
            key: time for key, time in _read_folders(directory).items() if not (key + b"/").startswith(below)
        }
        times = times | elsewhere
    partial = directory / f"{FOLDERS}.partial"
    with writing(partial):
        partial.write_bytes(b"".join(b"%d\t%s\0" % (time, key) for key, time in sorted(times.items())))
        partial.replace(directory / FOLDERS)


def _read_folders(directory: Path) -> dict[bytes, int]:
    try:
        lines = (directory / FOLDERS).read_bytes().split(b"\0")[:-1]
        fields = [line.partition(b"\t") for line in lines]
        return {folder: int(time) for time, _, folder in fields}
    except (OSError, ValueError):
        return {}


def changed_since(directory: Path, root: Path) -> bool:
    """Say whether files came or went in a folder of the collection since the build (changes within a file do not show)."""
    for folder, time in _read_folders(directory).items():
        try:
            now = os.stat(os.path.join(os.fsencode(root), folder)).st_mtime_ns
        except OSError:
            return True
        if now != time:
            return True
    return False
