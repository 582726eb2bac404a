"""Write vectors and keys as files that other programs read: one ``.npy`` array, and one key a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.errors import OptionError
from retrieval.output import escape, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["write_keys", "write_vectors"]


def write_vectors(path: Path, vectors: NDArray[Any]) -> None:
    """Write an array ``(n, d)`` as ``.npy``, its dtype unchanged; a mapped array is never read whole."""
    with replacing(path) as file:
        np.lib.format.write_array(file, vectors, allow_pickle=False)


def write_keys(path: Path, keys: Iterable[bytes]) -> None:
    """Write one UTF-8 key a line.

    Raises:
        OptionError: a key holds a line break or is not UTF-8, so that a line could not carry it.
    """
    with replacing(path) as file:
        for key in keys:
            fault = _fault(key)
            if fault:
                shown = escape(key.decode(errors="surrogateescape"))
                raise OptionError(
                    f"{shown}: the name {fault}, so a file with one key a line cannot carry it; rename the file and "
                    f"build again, or call Collection.export() in Python"
                )
            file.write(key + b"\n")


def _fault(key: bytes) -> str:
    try:
        key.decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    return "holds a line break" if b"\n" in key or b"\r" in key else ""
