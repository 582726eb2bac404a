"""Keep a generation from being removed while somebody reads it."""

from __future__ import annotations

import errno
import fcntl
import os
import weakref
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from indexes import forks
from indexes.errors import StoreCorrupt
from indexes.generation.description import MANIFEST, Manifest, generation_path, read_manifest
from indexes.repair_hints import cure_of_generation

PIN: Final = "pin"
"""The empty file of a generation that its readers lock."""


class Pin(forks.Unshared, AbstractContextManager["Pin"]):
    """A generation kept from removal until `close`; a context manager."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._closing = weakref.finalize(self, os.close, file)
        self._closing.atexit = False  # the system closes it

    def close(self) -> None:
        """Let the generation go."""
        self._closing()

    def __exit__(self, *_error: object) -> None:
        self.close()


def pin_generation(directory: str | os.PathLike[str], number: int) -> Pin:
    """Keep generation ``number`` from being removed; it needs no right to write.

    Raises:
        FileNotFoundError: the generation was deleted, or is about to be: a newer one was published; read the manifest again.
    """
    path = generation_path(directory, number)
    file = os.open(path / PIN, os.O_RDONLY | os.O_CLOEXEC)
    pin = Pin(path, file)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pin.close()
        raise FileNotFoundError(errno.ENOENT, "the generation is being removed", str(path)) from error
    except OSError:
        return pin  # a file system without locks: nobody can lock it to remove it either
    there = (path / PIN).stat() if (path / PIN).exists() else None
    if there is None or not os.path.samestat(there, os.fstat(file)):
        pin.close()
        raise FileNotFoundError(errno.ENOENT, "the generation was removed", str(path))
    return pin


def read_pinned(directory: str | os.PathLike[str]) -> tuple[Manifest, Pin]:
    """Read the manifest and pin its generation, however many are published meanwhile.

    Raises:
        FileNotFoundError: there is no manifest.
        ManifestTooNew: a later version wrote it.
        StoreCorrupt: the manifest is damaged, or its generation is missing.
    """
    manifest = read_manifest(directory)
    while True:
        try:
            return manifest, pin_generation(directory, manifest.generation)
        except FileNotFoundError as error:
            again = read_manifest(directory)
            if again.generation == manifest.generation:
                path = generation_path(directory, manifest.generation)
                raise StoreCorrupt(
                    f"{path}: missing, but {MANIFEST} names it; {cure_of_generation(manifest)}"
                ) from error
            manifest = again
