"""Name the pictures of films and documents: their keys, their stamps, and which files give them."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal, Self, TypeAlias

    Every: TypeAlias = float | Literal["scenes"]

FILM_SUFFIXES: Final = (
    "mp4", "m4v", "mov", "qt", "3gp", "3g2", "mkv", "webm", "avi", "mpg", "mpeg", "m2v", "vob", "mts", "m2ts", "wmv", "asf",
    "flv", "ogv", "mxf", "dv",
)  # fmt: skip
"""What the names of films end in, without the dot, in lower case. Not ``ts``: so do the programs of TypeScript."""

DOCUMENT_SUFFIXES: Final = ("pdf",)
"""What the names of documents end in."""

SCENES: Final = "scenes"
"""The word for one picture a scene."""

LEAST_SECONDS: Final = 0.01
"""Between two pictures of a film."""

_MARK_BYTES = 9  # so that the stamp of a picture has not the length of a file's, which is 16 or 24

_FILMS = tuple(f".{suffix}".encode() for suffix in FILM_SUFFIXES)
_DOCUMENTS = tuple(f".{suffix}".encode() for suffix in DOCUMENT_SUFFIXES)
_PART = re.compile(
    rb"(.*\.(?:%b))#(t=\d+(?:\.\d+)?)|(.*\.(?:%b))#(page=\d+)"
    % ("|".join(FILM_SUFFIXES).encode(), "|".join(DOCUMENT_SUFFIXES).encode()),
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaOptions:
    """Which pictures of films and documents a build takes.

    Attributes:
        every: seconds between two pictures of a film, or ``"scenes"``; None takes no films.
        pages: the pages of documents are taken.
    """

    every: Every | None = None
    pages: bool = False

    @classmethod
    def from_json(cls, options: Mapping[str, Any]) -> Self:
        """Parse the options ``every`` and ``pages`` of a source; an empty text takes no films.

        Raises:
            OptionError: ``every`` is no number of seconds.
        """
        return cls(every=_every(options.get("every")), pages=bool(options.get("pages", False)))

    def __bool__(self) -> bool:
        """Say whether anything is taken."""
        return self.every is not None or self.pages

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest keeps: only what is not the default."""
        return {name: value for name, value in (("every", self.every), ("pages", self.pages)) if value}

    def takes(self, key: bytes) -> bool:
        """Say by its name whether a file is a film or a document that gives pictures."""
        name = key.lower()
        return (self.every is not None and name.endswith(_FILMS)) or (
            self.pages and name.endswith(_DOCUMENTS)
        )

    def is_film(self, key: bytes) -> bool:
        """Say whether a file that is taken is a film."""
        return key.lower().endswith(_FILMS)

    def stamp(self, stamp: bytes) -> bytes:
        """Return the stamp of each picture of a file once all of them are stored: it differs with the options, too.

        Until then pictures have the stamp of the file alone. Both begin with it; an empty one stays empty.
        """
        return stamp and stamp + self._mark()

    def is_mark_of(self, stamp: bytes) -> bool:
        """Say whether a row's stamp is that of a picture all of whose neighbours were stored with the same options."""
        return stamp.endswith(self._mark())

    def _mark(self) -> bytes:
        return blake2b(json.dumps(self.to_json()).encode(), digest_size=_MARK_BYTES).digest()


def _every(value: Any) -> Every | None:
    if value is None or value == "":
        return None
    if value == SCENES:
        return SCENES
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not LEAST_SECONDS <= seconds < math.inf:
        raise OptionError(
            f'every is {value!r}; it is a number of seconds from {LEAST_SECONDS}, or "{SCENES}"'
        )
    return seconds


def split_key(key: bytes) -> tuple[bytes, str] | None:
    """Split the key of a picture of a film or document into the file's key and the part; None for any other key."""
    found = _PART.fullmatch(key) if b"#" in key else None
    if found is None:
        return None
    return (found[1], found[2].decode()) if found[1] is not None else (found[3], found[4].decode())


def split_path(path: str) -> tuple[str, str] | None:
    """Split the path of a picture of a film or document into the file's path and the part; None for any other path.

    A file that has the whole name is a file of its own.
    """
    found = split_key(os.fsencode(path)) if "#" in path else None
    return None if found is None or os.path.lexists(path) else (os.fsdecode(found[0]), found[1])


def clock(seconds: float) -> str:
    """Write a time of a film as players show it: ``0:12.4``, ``1:02:03``."""
    whole, tenths = divmod(round(seconds * 10), 10)
    minutes, left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
    return f"{shown}.{tenths}" if tenths else shown


def part_of_time(seconds: float) -> str:
    """Return the part that names a time of a film, such as ``t=12.4``."""
    return f"t={seconds:.3f}".rstrip("0").rstrip(".")


def part_of_page(number: int) -> str:
    """Return the part that names a page of a document, such as ``page=3``."""
    return f"page={number}"


def seconds_of(part: str) -> float | None:
    """Return the time that a part names, in seconds; None if it names a page."""
    name, _, value = part.partition("=")
    return float(value) if name == "t" else None


def page_of(part: str) -> int | None:
    """Return the page that a part names, from 1; None if it names a time."""
    name, _, value = part.partition("=")
    return int(value) if name == "page" else None


def part_example(path: str) -> str | None:
    """Return how one picture of a film or document is named, such as ``clip.mp4#t=2``; None for the name of another file."""
    name = os.fsencode(path).lower()
    if name.endswith(_FILMS):
        return f"{path}#{part_of_time(2)}"
    return f"{path}#{part_of_page(1)}" if name.endswith(_DOCUMENTS) else None


def part_content(content: bytes, part: str) -> bytes:
    """Return what stands for the content of a picture: 16 bytes of the file's content hash and the part."""
    return blake2b(content + part.encode(), digest_size=16).digest()


def same_content(key: bytes, stored: bytes, read: bytes) -> bytes | None:
    """Return what stands for the content of a picture that was read again; None if it is another than was indexed.

    Args:
        key: of its row.
        stored: what stands for its content in the row; empty where nothing does.
        read: the content hash of the bytes that were read.
    Returns:
        ``stored`` for a picture of a film or document: its bytes do not tell whether the file is the same, so its source must.
    """
    if split_key(key) is not None:
        return stored
    return read if not stored or read == stored else None
