"""Name and recognise files: keys, stamps, and filters over paths."""

from __future__ import annotations

import fnmatch
import os
import re
import struct
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from retrieval.errors import OptionError
from retrieval.location import inside

if TYPE_CHECKING:
    from indexes.generation import KeyTable
    from indexes.vectors import Bitmap, Ids

PathLike: TypeAlias = str | os.PathLike[str]

BLOCK = 65_536
"""Rows that a filter looks at together."""

_PARTS = re.compile(r"(\*\*/?|\*|\?|\[[^\]]*\])")
"""What is special in a glob."""

_STAMP = struct.Struct("<Qq")
_WIDE_STAMP = struct.Struct("<QQq")
_LEAST_TIME, _GREATEST_TIME = -(1 << 63), (1 << 63) - 1


def stamp(*, size: int, mtime_ns: int) -> bytes:
    """Pack what tells an unchanged file: its size in bytes and its modification time.

    A time beyond 64 bits of nanoseconds (before 1678, after 2262) gets its higher part behind it.
    """
    if _LEAST_TIME <= mtime_ns <= _GREATEST_TIME:
        return _STAMP.pack(size, mtime_ns)
    return _WIDE_STAMP.pack(size, mtime_ns & 0xFFFFFFFFFFFFFFFF, mtime_ns >> 64)


def stamp_of_tag(*, size: int, tag: bytes) -> bytes:
    """Pack a size in bytes and whatever else differs once an image has changed, such as a store's etag."""
    return size.to_bytes(8, "little") + blake2b(tag, digest_size=8).digest()


def size_of(stamp: bytes) -> int:
    """Return the size in bytes that a stamp holds; -1 for an empty one."""
    return int.from_bytes(stamp[:8], "little") if stamp else -1


def mtime_of(stamp: bytes) -> int:
    """Return the modification time (ns) that a stamp holds, 0 for an empty one."""
    if len(stamp) == _WIDE_STAMP.size:
        _, low, high = _WIDE_STAMP.unpack(stamp)
        return int(high << 64 | low)
    return int(_STAMP.unpack(stamp)[1]) if stamp else 0


def stamp_of(path: PathLike) -> bytes:
    """Return the stamp of a file as it is now; empty if it cannot be read."""
    try:
        status = os.stat(path)
    except OSError:
        return b""
    return stamp(size=status.st_size, mtime_ns=status.st_mtime_ns)


def key_of(path: PathLike, root: Path) -> bytes | None:
    """Return a file's key, its path relative to `root` with ``/`` between parts; ``None`` if it lies elsewhere."""
    name = inside(path, root)
    return None if name in (None, os.curdir) else os.fsencode(str(name).replace(os.sep, "/"))


def path_of(key: str | bytes, root: PathLike) -> str:
    """Return where the file of a key lies: what `key_of` inverts."""
    return os.path.join(os.fspath(root), os.fsdecode(key))


def relative(under: PathLike | None, root: Path) -> str | None:
    """Return the folder `under` relative to `root`; it may be given relative to it, to the working directory, or absolute.

    Raises:
        OptionError: it is absolute and lies outside.
    """
    if under is None:
        return None
    name = os.fspath(under)
    if os.path.isabs(name) or (not os.path.exists(root / name) and os.path.exists(name)):
        if os.path.islink(name) and os.path.realpath(name) == os.path.realpath(root):
            return ""
        found = inside(name, root)
        if found is None:
            raise OptionError(f"{name} lies outside the collection's folder {root}; name a folder inside it")
    else:
        found = os.path.normpath(name)
    found = found.replace(os.sep, "/")
    if found == os.pardir or found.startswith("../"):
        raise OptionError(f"{name} lies outside the collection's folder {root}; name a folder inside it")
    return "" if found == os.curdir else found


def glob_pattern(glob: str) -> re.Pattern[str]:
    """Compile a glob over relative paths: ``*`` and ``?`` cross no ``/``, ``**`` does; one without ``/`` matches file names."""
    if "/" not in glob:
        glob = f"**/{glob}"
    parts = _PARTS.split(glob)
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    translated = "".join(
        pieces.get(part) or (fnmatch.translate(part)[4:-3] if part.startswith("[") else re.escape(part))
        for part in parts
    )
    return re.compile(f"(?s:{translated})\\Z")


def affixes(glob: str) -> tuple[str, str, bool]:
    """Return what every match of a glob begins and ends with, and whether that is all that it asks for."""
    if "/" not in glob:
        glob = f"**/{glob}"
    parts = [part for part in _PARTS.split(glob.removeprefix("/")) if part]
    special = [number for number, part in enumerate(parts) if _PARTS.fullmatch(part)]
    if not special:
        return "".join(parts), "", False
    prefix, suffix = "".join(parts[: special[0]]), "".join(parts[special[-1] + 1 :])
    between = parts[special[0] : special[-1] + 1]
    return prefix, suffix, between in (["**"], ["**/", "*"])


class PathFilter:
    """The filters over the paths of a collection.

    Args:
        table: the key of each row id.
        live: ``(count,)`` flags of rows that may be kept; None for all.
    Attributes:
        renames: those of the table.
    """

    renames: int

    def __init__(self, table: KeyTable, *, live: Bitmap | None = None) -> None:
        self.renames = table.renames
        self._table = table
        self._live = live
        self._recent: tuple[tuple[str | None, str | None], Bitmap] | None = None

    def keep(self, *, under: str | None, glob: str | None) -> Bitmap:
        """Return ``(count,)`` bool: which live rows lie below `under` and match `glob`; kept for the next search, do not change it."""
        recent = self._recent
        if recent is not None and recent[0] == (under, glob):
            return recent[1]
        keep = np.zeros(len(self._table), dtype=np.bool_)
        for start in range(0, len(keep), BLOCK):  # bounds what is held besides the flags
            stop = min(start + BLOCK, len(keep))
            keep[self._found(start, stop, under=under, glob=glob)] = True
        if self._live is not None:
            keep &= self._live
        self._recent = ((under, glob), keep)
        return keep

    def folders(self, under: str | None) -> dict[str, int]:
        """Return the folders directly below `under`, with how many live rows lie in each or below; sorted."""
        below = os.fsencode(f"{under}/") if under else b""
        found = self._table.folders(below, live=self._live)
        return {os.fsdecode(name): found[name] for name in sorted(found)}

    def find(self, key: bytes) -> int | None:
        """Return the live row that has a key, by looking at all keys; None if none has it."""
        for start in range(0, len(self._table), BLOCK):
            ids = self._table.between(prefix=key, start=start, stop=start + BLOCK)
            for number, found in zip(ids.tolist(), self._table.keys(ids), strict=True):
                if found == key and (self._live is None or self._live[number]):
                    return int(number)
        return None

    def _found(self, start: int, stop: int, *, under: str | None, glob: str | None) -> Ids:
        """Return the ids from `start` to before `stop` that lie below `under` and match `glob`."""
        below = os.fsencode(f"{under}/") if under else b""
        ids = self._table.between(prefix=below, start=start, stop=stop)
        return ids if glob is None or not len(ids) else self._matching(glob, ids, start, stop)

    def _matching(self, glob: str, among: Ids, start: int, stop: int) -> Ids:
        prefix, suffix, whole = affixes(glob)
        ids = self._table.between(
            prefix=os.fsencode(prefix), suffix=os.fsencode(suffix), start=start, stop=stop
        )
        if len(among) < stop - start:
            ids = np.intersect1d(ids, among, assume_unique=True)
        if whole:
            return ids
        match = glob_pattern(glob).match
        top = "/" if glob.startswith("/") else ""  # such a glob matches at the root only
        paths = (os.fsdecode(key) for key in self._table.keys(ids))
        matches = np.fromiter((match(top + path) is not None for path in paths), np.bool_, count=len(ids))
        kept: Ids = ids[matches]
        return kept
