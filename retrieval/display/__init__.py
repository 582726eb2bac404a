"""Show names, images, facts and progress to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.display import notebook
    from retrieval.display.escaping import UNSAFE, escape, path_json, paths_json
    from retrieval.display.previews import Thumbnail, small_jpeg, thumbnail, thumbnails
    from retrieval.display.progress_bar import UNITS, WORDS, Bar, duration, progress_shown
    from retrieval.display.widths import cells, shorten

__all__ = [
    "UNITS",
    "UNSAFE",
    "WORDS",
    "Bar",
    "Thumbnail",
    "cells",
    "duration",
    "escape",
    "notebook",
    "path_json",
    "paths_json",
    "progress_shown",
    "shorten",
    "small_jpeg",
    "thumbnail",
    "thumbnails",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "escaping": ("UNSAFE", "escape", "path_json", "paths_json"),
            "notebook": (),
            "previews": ("Thumbnail", "small_jpeg", "thumbnail", "thumbnails"),
            "progress_bar": ("UNITS", "WORDS", "Bar", "duration", "progress_shown"),
            "widths": ("cells", "shorten"),
        },
    )
