"""Show a path as one would type it."""

from __future__ import annotations

import os

from retrieval.location import inside

__all__ = ["found_from_here", "shown"]


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
