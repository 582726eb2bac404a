"""Words are also looked up in the names of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.names.fusion import SAMPLE, fused
    from retrieval.names.lookup import LookedUp, joined
    from retrieval.names.name_index import has_fts5
    from retrieval.names.names import Names
    from retrieval.names.names_file import NAMES, NamesFile
    from retrieval.names.words import AskedWord, asked_words

__all__ = [
    "NAMES",
    "SAMPLE",
    "AskedWord",
    "LookedUp",
    "Names",
    "NamesFile",
    "asked_words",
    "fused",
    "has_fts5",
    "joined",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "fusion": ("SAMPLE", "fused"),
            "lookup": ("LookedUp", "joined"),
            "name_index": ("has_fts5",),
            "names": ("Names",),
            "names_file": ("NAMES", "NamesFile"),
            "words": ("AskedWord", "asked_words"),
        },
    )
