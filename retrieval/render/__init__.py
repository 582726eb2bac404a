"""Answers as text, pages and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.render import html_page as html_page, html_style as html_style
    from retrieval.render.export import write_export as write_export
    from retrieval.render.html_page import Answer as Answer
    from retrieval.render.html_style import HEAD as HEAD, LOOK as LOOK
    from retrieval.render.output import (
        Form as Form,
        csv_text as csv_text,
        fields as fields,
        hit_json as hit_json,
        hits as hits,
        json_text as json_text,
        replacing as replacing,
        table as table,
    )
    from retrieval.render.page_links import image_href as image_href
    from retrieval.render.table_export import is_table as is_table, write_table as write_table

lazy(__name__)
