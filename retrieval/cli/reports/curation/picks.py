"""Print images that were picked, in the form that was asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from retrieval.cli.reports.curation.listings import listing
from retrieval.display import escape
from retrieval.render import json_text

if TYPE_CHECKING:
    from retrieval.curation.picks import Picked


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
    if columns and any(image.stands_for is not None for image in found):
        counted = [(f"{image.score:.4f}", f"{image.stands_for or 0:,}", image.path) for image in found]
        return listing(("score", "stands for", "path"), counted, columns=columns)
    scored = [
        (f"{image.score:.4f}" + ("" if image.stands_for is None else f"{image.stands_for:>8,}"), image.path)
        for image in found
    ]
    return listing(("score", "path"), scored, columns=columns)
