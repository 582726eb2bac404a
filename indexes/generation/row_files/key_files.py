"""Open the table of keys of a published generation: its first file and those of the rows that came later."""

from __future__ import annotations

from pathlib import Path

from indexes.generation import check_file
from indexes.generation.description import Manifest, generation_path
from indexes.generation.row_files.key_table import KEYS, KeyTable
from indexes.generation.row_files.row_files import further_files, further_name


def open_keys(directory: Path, manifest: Manifest) -> KeyTable | None:
    """Map the keys that a generation's files tell of; None for a generation of a version that wrote none.

    Raises:
        FileNotFoundError: the generation is gone.
        StoreCorrupt: a file is not what was published, or not whole.
    """
    if KEYS not in manifest.files:
        return None
    names = [further_name(KEYS, first) for first in further_files(manifest.files, KEYS)]
    for name in names:
        check_file(directory, manifest, name)
    folder = generation_path(directory, manifest.generation)
    return KeyTable.open(*(folder / name for name in names))
