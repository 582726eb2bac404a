"""Define what a walk yields: files that are or may be images, what is skipped, folders; and which suffixes images have."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from retrieval.sources import stamp

RAW_SUFFIXES = frozenset({
    "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "kdc", "mef", "mrw", "nef", "nrw", "orf",
    "pef", "raf", "rw2", "rwl", "sr2", "srf", "srw", "x3f",
})  # fmt: skip
"""What the names of raw photographs end in: they are shown by the preview in them."""

SUFFIXES = RAW_SUFFIXES | frozenset({
    "jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "mpo", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff", "avif", "avifs",
    "heic", "heics", "heif", "heifs", "hif",
})  # fmt: skip
"""What the name of an image ends in, without the dot, in lower case."""

FORMATS = "jpg, png, webp, gif, bmp, tiff, avif, heic"
"""The formats behind `SUFFIXES`, for messages."""

UNSUPPORTED = frozenset({
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


class Found(NamedTuple):
    """A regular file that is or may be an image; it has not been opened.

    Attributes:
        key: path relative to the root as raw bytes, ``/`` between its parts.
        path: absolute path; bytes that are not UTF-8 are surrogate-escaped (`os.fsencode` gives them back).
        size: bytes.
        mtime_ns: time of its last modification, in nanoseconds since the epoch; any whole number.
        claimed: its suffix says that it is an image; otherwise only its first bytes tell.
    """

    key: bytes
    path: str
    size: int
    mtime_ns: int
    claimed: bool = True

    @property
    def stamp(self) -> bytes:
        """What tells that the file is unchanged."""
        return stamp(size=self.size, mtime_ns=self.mtime_ns)


class SourceEntry(NamedTuple):
    """An entry of any source, for those that need no more than the protocol asks for.

    Attributes:
        key, stamp, claimed: as `retrieval.sources.protocol.Listed` has them.
    """

    key: bytes
    stamp: bytes
    claimed: bool = True


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


@dataclass(slots=True, kw_only=True)
class Folder:
    """What one folder looked like when it was listed.

    Attributes:
        time: its modification time (ns) just before.
        names: a checksum of the keys in it that matter, those of images and of folders; their order does not.
        mount: it is a mount point, or lies on another device than the folder that holds it.
    """

    time: int
    names: int = 0
    mount: bool = False

    def add(self, key: bytes) -> None:
        """Count one more key that matters."""
        self.names += zlib.crc32(key)


class Part(Protocol):
    """The part of a source that a walk is for, where others walk the rest; it pickles."""

    def takes(self, key: bytes) -> bool:
        """Say whether an entry belongs to the part."""
        ...

    def enters(self, prefix: bytes) -> bool:
        """Say whether entries whose keys begin so may: a folder with ``/`` behind its key, a table with ``#``."""
        ...


@dataclass(slots=True, kw_only=True)
class Seen:
    """What a walk saw besides images, and what it is for.

    Attributes:
        part: what is wanted; None for all. A source need not look at it: other entries are left out later. It spares looking at them.
        folders: every folder that was listed, by its key.
        left_out: folders left out because of their names, by these, with how often each was met.
        notes: lines that people should read, such as that an archive is not sorted; the report has them.
    """

    folders: dict[bytes, Folder] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    part: Part | None = None

    def takes(self, key: bytes) -> bool:
        """Say whether an entry is wanted."""
        return self.part is None or self.part.takes(key)

    def enters(self, prefix: bytes) -> bool:
        """Say whether entries whose keys begin so may be wanted."""
        return self.part is None or self.part.enters(prefix)

    def note(self, line: str) -> None:
        """Keep a line for people, once."""
        if line not in self.notes:
            self.notes.append(line)


def has_image_suffix(name: str) -> bool:
    """Say whether a file name ends in one of `SUFFIXES`, in any case."""
    return suffix_of(name) in SUFFIXES


def suffix_of(name: str) -> str:
    """Return what follows a name's last dot, in lower case; nothing if nothing stands before it."""
    stem, _, suffix = name.rpartition(".")
    return suffix.lower() if stem else ""
