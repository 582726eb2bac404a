"""Keep the sizes of a large index's lists in a file of its own, so that opening the index does not read one between any two lists."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from indexes.errors import StoreCorrupt
from indexes.files import limit_reached, link_or_copy, parsed, write_array
from indexes.generation import INDEX, check_file, file_checks
from indexes.generation.description import Manifest, generation_path
from indexes.repair_hints import cure_of_file

LIST_SIZES: Final = "list_sizes.npy"


def write_list_sizes(prepared: Path, directory: Path, before: Manifest | None) -> None:
    """Write the sizes beside a prepared generation's index, if that is large and they lie between its lists.

    Those of an index that is carried on are carried on, too.
    """
    path = prepared / INDEX
    if before is not None and LIST_SIZES in before.files:
        published = generation_path(directory, before.generation)
        if path.exists() and (published / INDEX).exists() and path.samefile(published / INDEX):
            link_or_copy(published / LIST_SIZES, prepared / LIST_SIZES)
            return
    sizes = file_checks.sizes_of_blocks(path) if path.exists() else None
    if sizes is not None:
        with (prepared / LIST_SIZES).open("wb") as file:
            write_array(file, sizes)


def open_list_sizes(directory: Path, manifest: Manifest) -> NDArray[np.uint32] | None:
    """Read the sizes of a generation's lists ``(nlist,)``; None where it has none.

    Raises:
        StoreCorrupt: the file is not what was published.
    """
    if LIST_SIZES not in manifest.files:
        return None
    check_file(directory, manifest, LIST_SIZES)
    path = generation_path(directory, manifest.generation) / LIST_SIZES
    try:
        sizes = parsed(lambda: np.load(path, allow_pickle=False))
    except Exception as error:  # numpy's parser of headers raises its own
        raise limit_reached(error, path) or StoreCorrupt(
            f"{path}: not readable ({error}); {cure_of_file(path)}"
        ) from error
    if sizes.dtype != np.uint32 or sizes.ndim != 1:
        raise StoreCorrupt(f"{path}: not a table of sizes; {cure_of_file(path)}")
    return np.asarray(sizes)
