"""Show facts, tables and images in a notebook: HTML that is escaped, holds everything itself and stays small.

Every style stands at its element, since notebooks drop style sheets; colours are the notebook's own, light or dark.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape as markup
from typing import Any, Final

from retrieval.display.escaping import escape
from retrieval.display.previews import thumbnails
from retrieval.display.widths import shorten

LIMIT: Final = 200_000
"""Bytes of one object at most, whatever it holds."""

MOST_PICTURES: Final = 20
MOST_LINES: Final = 50
_THUMBNAIL = (320, 240)  # pixels
_FOR_PICTURES = 130_000  # characters of all thumbnails
_TEXT = 120  # terminal columns of a cell
_SOFT = "opacity:.65;font-size:12px"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image of a gallery.

    Attributes:
        file: where it lies, or what reads it: an object with a method `read`.
        name: its path, as it is shown.
        facts: what is said above the name, such as its score.
        more: what is said below it.
    """

    file: Any
    name: str
    facts: str = ""
    more: str = ""


def shown(show: Callable[[], str]) -> str | None:
    """Return what a notebook shows of an object; None where that fails or is too much: the notebook then shows the text."""
    try:
        html = show()
    except Exception:  # noqa: BLE001 - what is only looked at must not stop a notebook
        return None
    return html if len(html.encode()) <= LIMIT else None


def sentence(text: str) -> str:
    """Return one line of text."""
    return f"<div>{_cell(text, columns=1000)}</div>"


def facts(title: str, pairs: Mapping[str, Any]) -> str:
    """Lay out facts, one a line; those that are None or empty are left out."""
    rows = "".join(
        f'<tr><th style="text-align:left;font-weight:normal;opacity:.65">{_cell(name.replace("_", " "))}</th>'
        f'<td style="text-align:left">{_cell(_text(value))}</td></tr>'
        for name, value in pairs.items()
        if value not in (None, "", [], {}, ())
    )
    return f"<div><b>{_cell(title)}</b><table>{rows}</table></div>" if rows or title else ""


def report(title: str, pairs: Mapping[str, Any]) -> str:
    """Lay out the facts of a report, and each list of objects among them as a table under its name."""
    lists = {name: rows for name, rows in pairs.items() if _is_table(rows)}
    plain = {name: value for name, value in pairs.items() if name not in lists}
    tables = [
        table(name.replace("_", " "), list(rows[0]), [list(row.values()) for row in rows])
        for name, rows in lists.items()
    ]
    return facts(title, plain) + "".join(tables)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Lay out the first rows under a header, and say how many there are besides."""
    heads = "".join(f'<th style="text-align:left">{_cell(name)}</th>' for name in header)
    lines = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{_cell(_text(value))}</td>' for value in row) + "</tr>"
        for row in rows[:MOST_LINES]
    )
    return f"<div><b>{_cell(title)}</b><table><tr>{heads}</tr>{lines}</table>{_more(len(rows) - MOST_LINES)}</div>"


def gallery(title: str, pictures: Sequence[Picture], *, note: str = "") -> str:
    """Show the first images with their names; one that cannot be read shows its name and why.

    Where none of them has a file, as where rows were made from vectors, it is a table.
    """
    first = pictures[:MOST_PICTURES]
    head = f"<b>{_cell(title)}</b>" + (f' <span style="{_SOFT}">{_cell(note)}</span>' if note else "")
    more = _more(len(pictures) - len(first))
    if not any(hasattr(picture.file, "read") or os.path.lexists(picture.file) for picture in first):
        lines = "".join(
            f'<tr><td style="text-align:left">{_cell(picture.facts)}</td><td style="text-align:left">{_cell(picture.name)}</td>'
            f'<td style="text-align:left">{_cell(picture.more)}</td></tr>'
            for picture in first
        )
        return f"<div>{head}<table>{lines}</table>{more}</div>"
    most = _FOR_PICTURES // max(len(first), 1)
    made = thumbnails((picture.file for picture in first), size=_THUMBNAIL, most=most)
    figures = []
    for picture in first:
        small = made[picture.file]
        image = (
            f'<img src="{small.uri}" alt="" style="max-width:160px;max-height:120px;border-radius:4px">'
            if small.uri
            else f'<span style="{_SOFT}">not shown: {_cell(small.fault)}</span>'
        )
        more_of_it = f'<div style="{_SOFT}">{_cell(picture.more)}</div>' if picture.more else ""
        figures.append(
            '<div style="width:160px;overflow-wrap:anywhere">'
            f'<div style="height:120px;display:flex;align-items:flex-end">{image}</div>'
            f'<div style="font-size:12px;line-height:1.3;margin-top:3px"><b>{_cell(picture.facts)}</b> '
            f"{_cell(picture.name, columns=80)}</div>{more_of_it}</div>"
        )
    return f'<div>{head}<div style="display:flex;flex-wrap:wrap;gap:12px;margin-top:6px">{"".join(figures)}</div>{more}</div>'


def _more(number: int) -> str:
    return f'<div style="{_SOFT}">and {number:,} more</div>' if number > 0 else ""


def _cell(text: str, *, columns: int = _TEXT) -> str:
    # Characters that take no column are counted, too: a name may hold thousands of them.
    return f"<bdi>{markup(shorten(escape(text)[: 2 * columns], columns))}</bdi>" if text else ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(one)}" for name, one in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return ", ".join(map(_text, value))
    return str(value)
