"""Parts of images have vectors of their own, so that a small part of a picture is found, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.views.image_table import ImageTable, ViewsFile
    from retrieval.views.layout import MOST_VIEWS, Box, check_views, cut, windows
    from retrieval.views.update import (
        ViewsReport,
        drop_views,
        record_views,
        refuse_views,
        updating_views,
    )
    from retrieval.views.view_search import OpenViews, open_views

__all__ = [
    "MOST_VIEWS",
    "Box",
    "ImageTable",
    "OpenViews",
    "ViewsFile",
    "ViewsReport",
    "check_views",
    "cut",
    "drop_views",
    "open_views",
    "record_views",
    "refuse_views",
    "updating_views",
    "windows",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "image_table": ("ImageTable", "ViewsFile"),
            "layout": ("MOST_VIEWS", "Box", "check_views", "cut", "windows"),
            "view_search": ("OpenViews", "open_views"),
            "update": ("ViewsReport", "drop_views", "record_views", "refuse_views", "updating_views"),
        },
    )
