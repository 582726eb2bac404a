"""Write vectors and keys as files that other programs read."""

from __future__ import annotations

import codecs
import os
from contextlib import nullcontext, suppress
from typing import IO, TYPE_CHECKING, Any

from indexes.files import write_array
from retrieval.display import escape
from retrieval.errors import OptionError
from retrieval.render.output import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray


def write_export(vectors: Path, rows: NDArray[Any], keys: Path, names: Iterable[bytes]) -> None:
    """Write rows and their keys, both files or neither.

    Args:
        vectors: where ``rows`` ``(n, d)`` go as ``.npy``, their dtype unchanged; a mapped array is never read whole.
        rows: the vectors.
        keys: where the names go, one UTF-8 key a line.
        names: one for each row.
    Raises:
        OptionError: a key holds a line break, is blank or is not UTF-8, so that a line could not carry it.
        StoreFull: no space left; neither file is left, and those that had the names stay.
    """
    with replacing(keys) as lines, replacing(vectors) as array:
        _write_keys(lines, names)
        write_array(array, rows)
        for file in (lines, array):  # before either takes its name
            file.flush()
            with suppress(OSError) if not file.seekable() else nullcontext():  # a pipe cannot be made durable
                os.fsync(file.fileno())


def _write_keys(file: IO[bytes], keys: Iterable[bytes]) -> None:
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
    if b"\n" in key or b"\r" in key:
        return "holds a line break"
    if not key.strip():
        return "is blank"
    return "begins with a byte-order mark" if key.startswith(codecs.BOM_UTF8) else ""
