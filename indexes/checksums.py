"""Checksum bytes in memory faster than a cryptographic hash does.

`digest` is for damage, not for attack. It sums 64-bit words by rows of 4 KiB and by columns, at the speed of memory, and
hashes the sums. Every changed bit, truncation, exchanged or zeroed page changes it. `Sound` remembers what was found right.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any, Final

import numpy as np

_ROW: Final = 4096

_SETTLED: Final = 2_000_000_000
"""Nanoseconds since a file's last change after which another one is sure to be seen in its times."""

_REMEMBERED: Final = 256


def digest(data: Any, *more: bytes) -> str:
    """Return the checksum of a buffer, 32 hexadecimal digits.

    Args:
        data: bytes, a memory map, or anything else with the buffer protocol.
        more: short byte strings that are hashed with it.
    """
    view = np.frombuffer(data, np.uint8) if len(data) else np.empty(0, np.uint8)
    rows = len(view) // _ROW
    words = view[: rows * _ROW].view("<u8").reshape(rows, _ROW // 8)
    summed = hashlib.blake2b(len(view).to_bytes(8, "little"), digest_size=16)
    summed.update(np.add.reduce(words, axis=0, dtype=np.uint64).tobytes())
    summed.update(np.add.reduce(words, axis=1, dtype=np.uint64).tobytes())
    summed.update(view[rows * _ROW :].tobytes())
    for part in more:
        summed.update(part)
    return summed.hexdigest()


class Sound:
    """Files that this process has checked and found right: not to be checked again until their length or times change."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], tuple[object, ...]] = {}

    def has(self, status: os.stat_result, what: object = None) -> bool:
        """Say whether the file was found right and has not changed since.

        Args:
            status: of the file.
            what: it was checked against; compared by equality.
        """
        return self._found.get((status.st_dev, status.st_ino)) == _seen(status, what)

    @staticmethod
    def settled(status: os.stat_result) -> bool:
        """Say, before a file is checked, whether it changed so long ago that its next change will be seen."""
        return max(status.st_mtime_ns, status.st_ctime_ns) < time.time_ns() - _SETTLED

    def add(self, status: os.stat_result, what: object = None) -> None:
        """Remember that a file was found right, which was `settled` when its check began."""
        if len(self._found) >= _REMEMBERED:
            self._found.clear()
        self._found[status.st_dev, status.st_ino] = _seen(status, what)


def _seen(status: os.stat_result, what: object) -> tuple[object, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, what
