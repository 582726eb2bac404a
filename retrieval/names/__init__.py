"""Words are also looked up in the names of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.names.name_index import has_fts5
    from retrieval.names.names_file import NAMES, NamesFile

__all__ = ["NAMES", "NamesFile", "has_fts5"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "name_index": ("has_fts5",),
            "names_file": ("NAMES", "NamesFile"),
        },
    )
