"""Print images that were picked, in the form that was asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from retrieval.display import cells, escape, shorten
from retrieval.render import json_text

if TYPE_CHECKING:
    from retrieval.curation.picks import Picked

__all__ = ["picked_text"]


def picked_text(found: Picked, form: str, *, columns: int) -> str | bytes:
    """Return what a command prints.

    Args:
        found: the images.
        form: ``--json``, ``--csv``, ``-f``, ``-0``, or empty for people.
        columns: width of the terminal; 0 where there is none.
    """
    if form == "--json":
        return json_text(found.to_json())
    if form == "--csv":
        return found.to_csv(terminal=columns > 0)
    if form == "-0":
        return b"".join(os.fsencode(image.path) + b"\0" for image in found)
    if form == "-f":
        return "".join(f"{escape(image.path)}\n" for image in found)
    return "".join(f"{line}\n" for line in _lines(found, columns))


def _lines(found: Picked, columns: int) -> list[str]:
    lines = []
    for image in found:
        counted = "" if image.stands_for is None else f"{image.stands_for:>8,}"
        front = f"{image.score:.4f}{counted}\t"
        room = max(columns - cells(front.expandtabs()), 8) if columns else 0
        path = escape(image.path)
        lines.append(front + (shorten(path, room) if room else path))
    return lines
