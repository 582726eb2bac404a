"""List images with facts before their paths: under headings on a terminal, with tabs between the fields elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.display import escape, shorten
from retrieval.render import table

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDEST = 20
"""Columns of a terminal that a field before the path may take."""


def listing(headings: Sequence[str], rows: Sequence[Sequence[str]], *, columns: int) -> str:
    """Return a line for each row; fields are escaped here.

    Args:
        headings: a word above each field, for terminals.
        rows: the fields, a path last, which is shortened to fit.
        columns: width of the terminal; 0 where there is none.
    """
    if not columns:
        return "".join("\t".join(map(escape, row)).rstrip("\t") + "\n" for row in rows)
    if not rows:
        return ""
    short = [[*(shorten(field, _WIDEST) for field in row[:-1]), row[-1]] for row in rows]
    return table(headings, short, columns=columns)
