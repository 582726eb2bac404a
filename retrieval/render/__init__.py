"""Answers as text, pages and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.render import html_page, html_style
    from retrieval.render.export import write_export
    from retrieval.render.html_page import Answer
    from retrieval.render.html_style import HEAD, LOOK
    from retrieval.render.output import (
        Form,
        csv_text,
        fields,
        hit_json,
        hits,
        json_text,
        replacing,
        table,
    )
    from retrieval.render.page_links import image_href
    from retrieval.render.table_export import is_table, write_table

__all__ = [
    "HEAD",
    "LOOK",
    "Answer",
    "Form",
    "csv_text",
    "fields",
    "hit_json",
    "hits",
    "html_page",
    "html_style",
    "image_href",
    "is_table",
    "json_text",
    "replacing",
    "table",
    "write_export",
    "write_table",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "export": ("write_export",),
            "html_page": ("Answer",),
            "html_style": ("HEAD", "LOOK"),
            "output": (
                "Form",
                "csv_text",
                "fields",
                "hit_json",
                "hits",
                "json_text",
                "replacing",
                "table",
            ),
            "page_links": ("image_href",),
            "table_export": ("is_table", "write_table"),
        },
    )
