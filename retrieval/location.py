"""Where a collection lies: found by walking up, named outright, or by RETRIEVE_INDEX."""

from __future__ import annotations

import os
from pathlib import Path

from retrieval.errors import CollectionNotFound, OptionError

DIRECTORY = ".retrieve"
ENVIRONMENT = "RETRIEVE_INDEX"
MANIFEST = "manifest.json"


def find_collection(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the directory that holds the collection's ``manifest.json``.

    Args:
        path: that directory itself, an image folder, or anything below one; ``None`` asks ``RETRIEVE_INDEX``, then
            the working directory and its parents.
    Raises:
        CollectionNotFound: there is none; the message says how to build one.
    """
    if path is None:
        path = os.environ.get(ENVIRONMENT) or None
    start = Path.cwd() if path is None else Path(path)
    absolute = Path(os.path.abspath(start))  # not resolve(): a linked folder is found under its own name
    for folder in (absolute, *absolute.parents):
        for candidate in (folder, folder / DIRECTORY):
            if (candidate / MANIFEST).is_file():
                return candidate
    raise CollectionNotFound(
        f"no collection in {absolute} or above it; build one with: retrieve build-index "
        f"{absolute if path is not None else 'FOLDER'}"
    )


def place_collection(folder: Path, index: str | os.PathLike[str] | None) -> Path:
    """Return the directory where the collection of ``folder`` lies or will lie."""
    if index is None:
        return folder / DIRECTORY
    named = Path(os.path.abspath(index))
    if (named / MANIFEST).is_file() or not (named / DIRECTORY / MANIFEST).is_file():
        return named
    return named / DIRECTORY


def record_root(directory: Path, root: Path) -> str | None:
    """Return what the manifest keeps of the image folder: nothing inside it, else a path, relative where it can be."""
    if directory.parent == root and directory.name == DIRECTORY:
        return None
    try:
        return os.path.relpath(root, directory)
    except ValueError:  # another drive
        return str(root)


def resolve_root(directory: Path, recorded: str | None) -> Path:
    """Return the image folder that `record_root` recorded."""
    if recorded is None:
        return directory.parent
    return Path(os.path.normpath(directory / recorded))


def require_folder(folder: str | os.PathLike[str]) -> Path:
    """Return ``folder`` as an absolute path.

    Raises:
        OptionError: it is missing (an unmounted drive?) or not a folder.
    """
    absolute = Path(os.path.abspath(folder))
    if absolute.is_dir():
        return absolute
    if absolute.exists():
        raise OptionError(f"{absolute} is a file; name the folder that holds the images")
    raise OptionError(f"{absolute} does not exist; check the path, or mount its drive")
