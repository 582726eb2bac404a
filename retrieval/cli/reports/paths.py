"""Show a path as one would type it, and say which are not in the collection."""

from __future__ import annotations

import os

from retrieval.display import escape
from retrieval.location import inside

TYPE_CHECKING = False  # typing is not imported for it
if TYPE_CHECKING:
    from collections.abc import Iterator


def shown(path: str) -> str:
    """Give a path as one would type it: relative to the working directory where it lies inside; a URL as it is."""
    if "://" in path:
        return path
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it was deleted
        return path
    return inside(path, here) or path


def found_from_here(root: str, index: str) -> bool:
    """Say whether a search from the working directory finds this collection by itself."""
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it was deleted
        return False
    return os.path.dirname(index) == root and inside(here, root) is not None


def unknown_notes(unknown: int, first: str) -> Iterator[str]:
    """Say how many files of a list are not in the collection, and which is the first; nothing where all are there."""
    if unknown:
        files = "listed file is" if unknown == 1 else "listed files are"
        odd = any("\udc80" <= letter <= "\udcff" for letter in first)
        cure = "this list is not UTF-8; save it so" if odd else "paths are relative to its folder, in UTF-8"
        yield f"{unknown:,} {files} not in the collection, first {escape(first)}: {cure}"
