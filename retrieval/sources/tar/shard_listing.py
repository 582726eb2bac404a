"""List the members of a tar file: the images, and the texts that lie beside them, as arrays without an object a member.

Long because all that can be wrong with an archive is told in the one pass through its headers.
"""

from __future__ import annotations

import io
import json
import posixpath
import tarfile
import zlib
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Any, Final, Self
from zipfile import BadZipFile

import numpy as np

from retrieval.errors import ImageError
from retrieval.sources import RESOURCE_FORK, SUFFIXES, UNSUPPORTED, suffix_of
from retrieval.sources.tar.archive_files import FileState, words
from retrieval.sources.tar.samples import COLUMN_SUFFIXES, split_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CLAIMED: Final = 0
"""Kinds of members: named like an image; perhaps one; an image that is not read; a link whose target is not there; a sparse
file, device or pipe."""
UNCLAIMED: Final = 1
NOT_READ: Final = 2
LINK_TO_NOTHING: Final = 3
NOT_PLAIN: Final = 4

BLOCK: Final = 512
"""Bytes of a header; a member's data begins behind its own."""
_VERSION = 2

_NOWHERE = -1, 0
_NO_DATA = -2, 0
"""In place of start and size: of a link to nothing, and of a member that is no plain file."""

_LONGEST_PADDING = 1 << 16
"""Zeros behind an archive that programs write; more of them are a hole, as in a download that is not complete."""

_BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError, ImageError)
"""What reading a damaged archive raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardListing:
    """The members of one tar file, in its order.

    Attributes:
        state: of the file when it was listed.
        paths: all paths, one after the other.
        ends: ``(n,)`` where each of them ends.
        places: ``(n, 2)`` int64: where the data of each begins, and how many bytes it has.
        kinds: ``(n,)`` what each is, such as `CLAIMED`.
        digests, order: ``(n,)`` hashes of the paths, ascending, and which path each is of.
        texts: ``(t, 3)`` int64: where the text of a sample begins, its bytes, and its suffix in `COLUMN_SUFFIXES`.
        texts_of: ``(n, 2)`` first and last-but-one of the texts of each member's sample.
        failure: why there may be more members than these; empty for none.
        notes: lines for people.
    """

    state: FileState
    paths: bytes
    ends: NDArray[np.int64]
    places: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    digests: NDArray[np.uint64]
    order: NDArray[np.int64]
    texts: NDArray[np.int64]
    texts_of: NDArray[np.int64]
    failure: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ends)

    def all_paths(self) -> list[bytes]:
        """Return the paths of all members."""
        ends = self.ends.tolist()
        return [self.paths[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def path(self, number: int) -> bytes:
        """Return the path of one member."""
        start = int(self.ends[number - 1]) if number else 0
        return self.paths[start : int(self.ends[number])]

    def find(self, path: bytes) -> int | None:
        """Return which member has a path; None if none has."""
        digest = np.uint64(_digest(path))
        at = int(np.searchsorted(self.digests, digest))
        while at < len(self) and self.digests[at] == digest:
            number = int(self.order[at])
            if self.path(number) == path:
                return number
            at += 1
        return None

    def texts_beside(self, number: int) -> list[tuple[str, int, int]]:
        """Return suffix, start and size of the texts of a member's sample."""
        first, last = self.texts_of[number].tolist()
        return [(COLUMN_SUFFIXES[kind], start, size) for start, size, kind in self.texts[first:last].tolist()]

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads."""
        facts = {
            "version": _VERSION,
            "size": self.state.size,
            "stamp": self.state.stamp.hex(),
            "failure": self.failure,
            "notes": self.notes,
        }
        file = io.BytesIO()
        np.savez(
            file,
            facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
            paths=np.frombuffer(self.paths, np.uint8),
            ends=self.ends,
            places=self.places,
            kinds=self.kinds,
            digests=self.digests,
            order=self.order,
            texts=self.texts,
            texts_of=self.texts_of,
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self | None:
        """Read what `to_bytes` wrote; None if it is damaged, or of another version."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                facts = json.loads(arrays["facts"].tobytes())
                if facts["version"] != _VERSION:
                    return None
                return cls(
                    state=FileState(facts["size"], bytes.fromhex(facts["stamp"])),
                    paths=arrays["paths"].tobytes(),
                    ends=arrays["ends"],
                    places=arrays["places"],
                    kinds=arrays["kinds"],
                    digests=arrays["digests"],
                    order=arrays["order"],
                    texts=arrays["texts"],
                    texts_of=arrays["texts_of"],
                    failure=facts["failure"],
                    notes=tuple(facts["notes"]),
                )
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error):
            return None


@dataclass(slots=True, kw_only=True)
class _Scan:
    """What was found on the way through a tar file."""

    members: dict[bytes, tuple[int, int]] = field(
        default_factory=dict
    )  # path -> start and size, `_NOWHERE` or `_NO_DATA`
    links: dict[bytes, bytes] = field(default_factory=dict)  # path -> the path that it leads to
    repeated: list[bytes] = field(default_factory=list)
    apart: int = 0  # samples whose members do not lie side by side
    failure: str = ""


def list_shard(file: IO[bytes], state: FileState, *, name: str, size: int | None) -> ShardListing:
    """Read the headers of a tar file.

    Args:
        file: the archive, unpacked; it need not be whole.
        state: of the file that it lies in.
        name: for notes.
        size: bytes of the unpacked archive; None if only reading it tells.
    Returns:
        what could be listed, with the reason where there may be more.
    Raises:
        OSError, ImageError: nothing of it can be read.
        ValueError: it is no tar file.
    """
    scan = _Scan()
    with tarfile.TarFile(fileobj=file, mode="r", errorlevel=0) as archive:
        try:
            _scan(archive, scan, size)
        except _BROKEN as error:
            if not scan.members and archive.offset == 0:
                raise
            scan.failure = f"is damaged or cut ({words(error)})"
            _drop_last(scan, size)
    return _listing(scan, state, name)


def _scan(archive: tarfile.TarFile, scan: _Scan, size: int | None) -> None:
    """Go through all members, those of archives that were put behind each other too."""
    while True:
        _scan_members(archive, scan)
        start = _next_start(archive, scan, size)
        if start is None:
            return
        archive.offset = start


def _scan_members(archive: tarfile.TarFile, scan: _Scan) -> None:
    """Go through the members up to an end mark."""
    open_sample: bytes | None = None
    closed: set[int] = set()
    apart: set[int] = set()
    last = -1
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined] # else it holds every member
        if member.size < 0 or member.offset_data <= last:  # a header that leads back would never end
            raise tarfile.ReadError("a header with an impossible size")
        last = member.offset_data
        path = _plain_path(member.name)
        if not path or member.isdir():
            continue
        again = path in scan.members or path in scan.links
        sample, _ = split_name(path)
        if sample != open_sample:
            if open_sample is not None:
                closed.add(hash(open_sample))
            open_sample = sample
            if hash(sample) in closed and not again:
                apart.add(hash(sample))
        if again:
            scan.repeated.append(path)
            scan.members.pop(path, None)
            scan.links.pop(path, None)
        if member.islnk():
            scan.links[path] = _plain_path(member.linkname)
        elif member.issym():
            beside = posixpath.join(posixpath.dirname(member.name), member.linkname)
            scan.links[path] = _plain_path(posixpath.normpath(beside))
        elif member.isreg() and not member.issparse():
            scan.members[path] = member.offset_data, member.size
        else:
            scan.members[path] = _NO_DATA
    scan.apart += len(apart)


def _next_start(archive: tarfile.TarFile, scan: _Scan, size: int | None) -> int | None:
    """Return where another archive begins behind the end mark of this one; None if nothing does.

    Also tells whether the archive ends where it should: `tarfile` takes anything that is no header for an end.
    """
    file: Any = archive.fileobj
    file.seek(archive.offset)
    block = file.read(BLOCK)
    if len(block) < BLOCK:
        scan.failure = "ends without an end mark: it may be cut"
        if size is not None and archive.offset > size:
            _drop_last(scan, size)
    elif any(block):
        what = f"has something at byte {archive.offset:,} that belongs to no tar file: it may be damaged"
        scan.failure = scan.failure or what
    else:
        return _behind_zeros(file, archive.offset, scan)
    return None


def _behind_zeros(file: IO[bytes], start: int, scan: _Scan) -> int | None:
    """Return where the first block lies behind ``start`` that is not all zeros; None if there is none."""
    place = start + BLOCK
    found = None
    while found is None and (data := file.read(1 << 20)):
        rest = len(data.lstrip(b"\0"))
        if rest:
            found = (place + len(data) - rest) // BLOCK * BLOCK
        else:
            place += len(data)
    end = place if found is None else found
    if end - start > _LONGEST_PADDING and not scan.failure:
        scan.failure = (
            f"has {end - start:,} zeros at byte {start:,}: it may be damaged, or not copied to its end"
        )
    return found


def _drop_last(scan: _Scan, size: int | None) -> None:
    """Leave out the member in which the archive breaks off."""
    if not scan.members:
        return
    last = next(reversed(scan.members))
    start, length = scan.members[last]
    if size is None or start + length > size:
        del scan.members[last]


def _listing(scan: _Scan, state: FileState, name: str) -> ShardListing:
    for path, target in scan.links.items():
        seen = {path}
        while target in scan.links and target not in seen:
            seen.add(target)
            target = scan.links[target]  # noqa: PLW2901 -- on along the chain
        scan.members[path] = _NOWHERE if target in scan.links else scan.members.get(target, _NOWHERE)
    texts: dict[bytes, list[tuple[int, int, int]]] = {}
    images: list[tuple[bytes, bytes, int]] = []
    for path, (start, size) in scan.members.items():
        sample, suffix = split_name(path)
        kind = COLUMN_SUFFIXES.index(suffix.decode()) if suffix in _COLUMNS else None
        if kind is not None and start >= 0:
            texts.setdefault(sample, []).append((start, size, kind))
        elif kind is None:
            images.append((path, sample, _kind(path, start)))
    images = [image for image in images if image[2] >= 0]
    paths = [path for path, _, _ in images]
    digests = np.fromiter(map(_digest, paths), np.uint64, count=len(paths))
    order = np.argsort(digests, kind="stable")
    every: list[tuple[int, int, int]] = []
    where: dict[bytes, tuple[int, int]] = {}
    for sample in dict.fromkeys(sample for _, sample, _ in images):
        beside = texts.get(sample, [])
        where[sample] = len(every), len(every) + len(beside)
        every += beside
    return ShardListing(
        state=state,
        paths=b"".join(paths),
        ends=np.cumsum([len(path) for path in paths], dtype=np.int64),
        places=np.array([scan.members[path] for path in paths], np.int64).reshape(-1, 2),
        kinds=np.array([kind for _, _, kind in images], np.uint8),
        digests=digests[order],
        order=order.astype(np.int64),
        texts=np.array(every, np.int64).reshape(-1, 3),
        texts_of=np.array([where[sample] for _, sample, _ in images], np.int64).reshape(-1, 2),
        failure=scan.failure,
        notes=tuple(_notes(scan, name)),
    )


_COLUMNS = frozenset(suffix.encode() for suffix in COLUMN_SUFFIXES)


def _kind(path: bytes, start: int) -> int:
    """Return what a member is by its name; -1 for one without data that does not claim to be an image."""
    name = path.rpartition(b"/")[2].decode("utf-8", "surrogateescape")
    suffix = suffix_of(name)
    is_fork = name.startswith(RESOURCE_FORK)
    if start < 0:
        kind = LINK_TO_NOTHING if start == _NOWHERE[0] else NOT_PLAIN
        return kind if suffix in SUFFIXES and not is_fork else -1
    if suffix in UNSUPPORTED and not is_fork:
        return NOT_READ
    return CLAIMED if suffix in SUFFIXES and not is_fork else UNCLAIMED


def _notes(scan: _Scan, name: str) -> Iterator[str]:
    if scan.repeated:
        first = scan.repeated[0].decode("utf-8", "backslashreplace")
        yield (
            f"{name}: names that stand more than once: {len(scan.repeated):,} ({first} is one); the last of each is taken, as "
            f"tar unpacks them"
        )
    if scan.apart:
        yield (
            f"{name}: samples whose members do not lie side by side: {scan.apart:,}; they were put together by their names"
        )


def _plain_path(name: str) -> bytes:
    """Return a member's path as its key has it: no ``./`` or ``/`` in front."""
    while name.startswith(("./", "/")):
        name = name[2:] if name.startswith("./") else name[1:]
    return b"" if name == "." else name.encode("utf-8", "surrogateescape")


def _digest(path: bytes) -> int:
    return int.from_bytes(blake2b(path, digest_size=8).digest(), "little")
