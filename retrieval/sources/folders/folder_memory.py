"""Remember what a folder looked like at the last build: its folders' times and mounts, and the files that gave no vector."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Self

import numpy as np

from indexes.files import replace_file, writing
from retrieval.sources import SkippedFile, read_skipped, write_skipped
from retrieval.sources.folders.folder_walk import names_in
from retrieval.sources.folders.listing import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from retrieval.sources.folders.folder_options import FolderOptions

FOLDERS = "folders.tsv"
REJECTED = "rejected.bin"

_HEADER = b"folders 2"
"""First entry of the list; the first version's had none, and times only."""

_MOST_REJECTED = 4_000_000
"""Files remembered that gave no vector, eight bytes each; more of them are looked at again by every build."""

_MOST_OPENED = 256
"""Files without an image's suffix that a query may open to tell whether its collection is stale."""


_NONE = np.empty(0, dtype=np.uint64)

_AGAIN = "again"  # the reason of a skipped file that does not last


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderMemory:
    """What is known of a folder from its last build.

    Attributes:
        skipped: files that did not become vectors, by key.
        rejected: digests of the files that gave none, ascending.
        folders: the folders as they were, by key.
    """

    skipped: Mapping[bytes, SkippedFile] = field(default_factory=dict)
    rejected: NDArray[np.uint64] = field(default_factory=lambda: _NONE)
    folders: Mapping[bytes, Folder] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path, *, skipped: Path | None = None, retry_large: bool = False) -> Self:
        """Read what the last build of a collection kept.

        Args:
            directory: the collection's, or that of another source's memory in it.
            skipped: where the list of skipped files lies, if not there.
            retry_large: files that were skipped as too large are to be tried again.
        """
        files = read_skipped(directory if skipped is None else skipped)
        if retry_large:
            files = {
                key: replace(file, reason=_AGAIN) if file.reason == "too-large" else file
                for key, file in files.items()
            }
        return cls(skipped=files, rejected=read_rejected(directory), folders=read_folders(directory))


def remember(
    directory: Path,
    *,
    skipped: Iterable[SkippedFile],
    folders: Mapping[bytes, Folder],
    rejected: Iterable[int],
    kept: NDArray[np.uint64] | None = None,
    listed: Path | None = None,
) -> None:
    """Keep for the next build what this one saw, and list what was skipped.

    Args:
        directory: the collection's, or that of another source's memory in it.
        skipped: files that did not become vectors.
        folders: those that hold images, and mount points, by key.
        rejected: digests of files that gave no vector.
        kept: such digests of the last build that stay, where only a part was walked: those of other folders are not told apart.
        listed: where the list of skipped files goes, if not there.
    """
    write_skipped(directory if listed is None else listed, skipped)
    write_folders(directory, folders)
    now = digests(rejected)
    write_rejected(directory, now if kept is None else np.union1d(now, kept))


def holding(folders: Mapping[bytes, Folder], images: Iterable[bytes]) -> dict[bytes, Folder]:
    """Return those folders that hold images, with the ones that these lie in, and all mount points.

    Args:
        folders: those that were listed, by key.
        images: keys of folders with an image directly in them.
    """
    kept = {b""}
    for folder in images:
        above = folder
        while above not in kept:
            kept.add(above)
            above = above.rpartition(b"/")[0]
    return {key: folder for key, folder in folders.items() if folder.mount or key in kept}


def write_folders(directory: Path, folders: Mapping[bytes, Folder]) -> None:
    """Keep what the folders looked like, so that `changed_since` can tell cheaply; nothing is written if it is kept already."""
    lines = [_HEADER]
    lines += [
        b"%d\t%x\t%s\t%s" % (folder.time, folder.names, b"m" if folder.mount else b"", key)
        for key, folder in sorted(folders.items())
    ]
    _replace(directory / FOLDERS, b"".join(line + b"\0" for line in lines))


def read_folders(directory: Path) -> dict[bytes, Folder]:
    """Return the folders of the last build by key; nothing where they are not known."""
    try:
        lines = (directory / FOLDERS).read_bytes().split(b"\0")[:-1]
        if lines[:1] == [_HEADER]:
            fields = [line.split(b"\t", 3) for line in lines[1:]]
            return {
                key: Folder(time=int(time), names=int(names, 16), mount=flags == b"m")
                for time, names, flags, key in fields
            }
        pairs = [line.partition(b"\t") for line in lines]
        return {key: Folder(time=int(time), names=-1) for time, _, key in pairs}
    except (OSError, ValueError):
        return {}


def changed_since(directory: Path, root: Path, taken: FolderOptions) -> bool:
    """Say whether images came or went in a folder of the collection since the build; changes within a file do not show.

    A folder whose time has changed is listed: what is no image, such as a page of results, is no change.
    """
    left = _MOST_OPENED
    for key, folder in read_folders(directory).items():
        path = os.path.join(root, os.fsdecode(key)) if key else os.fspath(root)
        try:
            if os.stat(path).st_mtime_ns == folder.time:
                continue
            if folder.names < 0 or names_in(path, key, taken=taken, limit=left) != folder.names:
                return True
        except OSError:
            return True
    return False


def digest(key: bytes, stamp: bytes) -> int:
    """Return what is remembered of one file as it was when it gave no vector."""
    return int.from_bytes(blake2b(stamp + key, digest_size=8).digest(), "little")


def digests(numbers: Iterable[int]) -> NDArray[np.uint64]:
    """Return such numbers as an array ``(n,)``, ascending, each once."""
    return np.unique(np.fromiter(numbers, dtype=np.uint64))


def read_rejected(directory: Path) -> NDArray[np.uint64]:
    """Return the digests of the files that gave no vector, ``(n,)`` ascending; none where they are not known."""
    try:
        data = (directory / REJECTED).read_bytes()
    except OSError:
        data = b""
    return np.unique(np.frombuffer(data[: len(data) // 8 * 8], dtype="<u8").astype(np.uint64))


def write_rejected(directory: Path, rejected: NDArray[np.uint64]) -> None:
    """Keep the digests of the files that gave no vector; nothing is written if they are kept already."""
    path = directory / REJECTED
    data = rejected[:_MOST_REJECTED].astype("<u8").tobytes()
    if data or path.exists():
        _replace(path, data)


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole, unless it holds just that."""
    with suppress(OSError):
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return
    with writing(path):
        replace_file(path, data)
