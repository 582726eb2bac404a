"""Suggest how to repair a damaged generation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from indexes.errors import RetrievalError, StoreCorrupt
from indexes.files import limit_reached
from indexes.layout import BACKGROUND, GENERATIONS, MANIFEST, MAPS, VECTORS

if TYPE_CHECKING:
    from indexes.generation import Manifest

BUILD: Final = "run `build_index` on the folder"

UNREADABLE: Final = "check its permissions and the device; nothing is known to be damaged"
"""What to do about a file that the system does not let us read."""

_AGAIN: Final = f"it makes the index again from {VECTORS}"
_NEAR: Final = 5  # folders from the file of a store, in a folder of a space perhaps, up to the manifest

_GIVE_UP: Final = (
    "restore it from a backup, or give the upgrade up with `rollback`: nothing else holds its maps"
)


def unreadable(error: OSError, path: Path) -> RetrievalError:
    """Return what to raise of a file that the system does not let us read, such as a link that leads to itself."""
    return limit_reached(error, path) or StoreCorrupt(
        f"{path}: cannot be read ({error.strerror}); {UNREADABLE}"
    )


def cure_of_file(path: Path) -> str:
    """Say what to do about a file of a generation that is missing or damaged.

    A build makes any of them again but the maps of an upgrade, which are fitted on a sample of images that may be gone by
    now. They lie beside the others, so nobody is told to delete the whole directory.
    """
    if path.name in (MAPS, BACKGROUND):
        return _GIVE_UP
    # A build trusts a file of the right length, and would carry a damaged one over.
    return f"delete this one file and {BUILD}: {_AGAIN}" if path.exists() else f"{BUILD}: {_AGAIN}"


def cure_of_store(path: Path) -> str:
    """Say what to do about stored vectors that are damaged: nothing else holds them.

    The directory that is named is the one with the manifest, so that of a shard and not of the whole. Other software has files
    of that name, too: only one beside rows of ours counts, and no folder far above.
    """
    near = [path, *path.parents][:_NEAR]
    home = next((one for one in near if (one / MANIFEST).is_file() and _is_collection(one)), None)
    where = "the collection's directory" if home is None else str(home)
    return f"restore it from a backup, or move {where} away and build again"


def _is_collection(directory: Path) -> bool:
    return any((directory / name).is_dir() for name in (VECTORS, GENERATIONS))


def cure_of_generation(manifest: Manifest) -> str:
    """Say what to do about a generation that is missing altogether."""
    return _GIVE_UP if manifest.migrating else f"{BUILD}: {_AGAIN}"
