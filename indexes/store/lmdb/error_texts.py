"""Translate LMDB's errors into ours: what happened, where, and what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import lmdb

from indexes.errors import RetrievalError, StoreClosed, StoreCorrupt, StoreFull, StoreReadOnly
from indexes.files import limit_reached, writing

HINT: Final = "run `verify`, which says whether anything is damaged"

_CLOSED = "closed/deleted/dropped"  # how LMDB's binding says that; there is no class or number for it


@contextlib.contextmanager
def explained(path: Path, *, readonly: bool = False) -> Iterator[None]:
    """Turn LMDB's errors into ours, except those that growing the map cures."""
    try:
        yield
    except (lmdb.MapFullError, lmdb.MapResizedError, RetrievalError):
        raise
    except lmdb.Error as error:
        raise translate(path, error, readonly=readonly) from error


def translate(path: Path, error: lmdb.Error, *, readonly: bool) -> RetrievalError:
    """Return our error for one of LMDB's."""
    text = str(error)
    if (
        isinstance(error, lmdb.ReadonlyError)
        or "Permission denied" in text
        or "Read-only file system" in text
    ):
        return StoreReadOnly(
            f"{path}: cannot be {'read' if readonly else 'written'} ({text}); check its permissions"
        )
    # A write that the system cut short (no space, a quota, a limit on the file's length) reaches us as EIO.
    if isinstance(error, lmdb.DiskError) or any(
        word in text for word in ("Input/output", "No space", "too large")
    ):
        return StoreFull(
            f"{path}: a write was cut short ({text}); what was committed before is whole: "
            "free some space, or check the device, and run the command again"
        )
    if _CLOSED in text:
        return StoreClosed(f"{path}: is closed; open it again")
    return limit_reached(error, path) or StoreCorrupt(f"{path}: cannot be used ({text}); {HINT}")


def file_size(path: Path) -> int:
    """Return the length of an LMDB file in bytes.

    Raises:
        StoreCorrupt: it is empty.
    """
    size = path.stat().st_size
    if size == 0:  # LMDB would take it for a new environment
        raise StoreCorrupt(f"{path}: empty, expected an LMDB file; {HINT}")
    return size


def cannot_reserve(path: Path, error: OSError) -> RetrievalError:
    """Return our error for a reader table that the system does not let us make."""
    try:
        with writing(path):
            raise error
    except RetrievalError as ours:
        return ours
