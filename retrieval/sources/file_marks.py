"""Remember what the files looked like that a source is made of: tables, listings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from indexes.files import make_directories, replace_file, writing

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE = "files.json"


def keep(memory: Path, marks: Mapping[str, bytes]) -> None:
    """Keep a mark for each file, by name; nothing is written if it is kept already."""
    if same(memory, marks):
        return
    make_directories(memory)
    path = memory / _FILE
    with writing(path):
        replace_file(path, _text(marks))


def same(memory: Path, marks: Mapping[str, bytes]) -> bool:
    """Say whether these are the marks that were kept."""
    try:
        return (memory / _FILE).read_bytes() == _text(marks)
    except OSError:
        return False


def _text(marks: Mapping[str, bytes]) -> bytes:
    facts = {
        os.fsencode(name).decode("utf-8", "backslashreplace"): mark.hex() for name, mark in marks.items()
    }
    return json.dumps(facts, sort_keys=True).encode()
