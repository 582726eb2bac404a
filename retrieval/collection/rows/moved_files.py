"""Remember which files were moved away on purpose, so that the next build does not take them for lost."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from indexes.files import make_directories, replace_file, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_FILE: Final = "moved.json"
FOLDER: Final = "duplicates"
"""Folder of a collection for what is known of its duplicates."""


def remember_moved(directory: Path, files: Iterable[tuple[bytes, bytes]]) -> None:
    """Note files that are about to be moved away, by key and stamp; durable when this returns.

    Raises:
        StoreFull, StoreReadOnly: it cannot be written.
    """
    known = moved_stamps(directory)
    _write(directory, known | dict(files), known)


def forget_moved(directory: Path, keys: Iterable[bytes]) -> None:
    """Take back what was noted of files that are where they were; nothing where the collection is gone."""
    known = moved_stamps(directory)
    gone = set(keys)
    if known:
        _write(directory, {key: stamp for key, stamp in known.items() if key not in gone}, known)


def moved_stamps(directory: Path) -> dict[bytes, bytes]:
    """Return the stamps of the files that were moved away, by key; none where it is not known."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        lines = json.loads((directory / FOLDER / _FILE).read_bytes())
        return {os.fsencode(key): bytes.fromhex(stamp) for key, stamp in lines.items()}
    return {}


def _write(directory: Path, files: Mapping[bytes, bytes], before: Mapping[bytes, bytes]) -> None:
    if files == before:
        return
    path = directory / FOLDER / _FILE
    with writing(path):
        make_directories(path.parent)
        replace_file(
            path, json.dumps({os.fsdecode(key): stamp.hex() for key, stamp in files.items()}).encode()
        )
