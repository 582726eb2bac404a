"""Say how long a remote file may take and how large it may be."""

from __future__ import annotations

from dataclasses import dataclass

READERS = 32
"""Files that are read at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may take.

    Attributes:
        seconds: in all; a file that is fetched over HTTP gets a second more for each 256 kB.
        connect_seconds: until the host answers.
        silent_seconds: without a byte.
        most_bytes: of an image.
        readers: requests at a time.
        tries: for what may succeed another time.
    """

    seconds: float = 60.0
    connect_seconds: float = 10.0
    silent_seconds: float = 20.0
    most_bytes: int = 256 << 20
    readers: int = READERS
    tries: int = 4
