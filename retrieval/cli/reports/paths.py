"""Show a path as one would type it."""

from __future__ import annotations

import os

__all__ = ["found_from_here", "shown"]


def shown(path: str) -> str:
    """Give a path as one would type it: relative to the working directory where it lies inside."""
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it was deleted
        return path
    inside = path == here or path.startswith(here.rstrip(os.sep) + os.sep)
    return os.path.relpath(path, here) if inside else path


def found_from_here(root: str, index: str) -> bool:
    """Say whether a search from the working directory finds this collection by itself."""
    try:
        here = os.path.realpath(os.getcwd())
    except FileNotFoundError:  # it was deleted
        return False
    home = os.path.realpath(root)
    return os.path.dirname(index) == root and (here == home or here.startswith(home.rstrip(os.sep) + os.sep))
