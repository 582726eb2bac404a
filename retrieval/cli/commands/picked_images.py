"""Print images that were picked: the options that say in which form, and what is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.frame import NEW_FILE, Session, columns, emit, on_terminal
from retrieval.cli.reports import picked_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from retrieval.curation.picks import Picked


def picked_output(command: Any) -> Any:
    """Declare ``--html``, ``--csv``, ``-f`` and ``-0``."""
    null = click.option("-0", "--null", is_flag=True, help="Print them as raw bytes, each ended by NUL.")
    files = click.option("-f", "--files", is_flag=True, help="Print only paths.")
    csv = click.option("--csv", is_flag=True, help="Print CSV, a line for each image.")
    html = click.option("--html", type=NEW_FILE, metavar="FILE", help="Write a page of the images, too.")
    return html(csv(files(null(command))))


def print_picked(
    session: Session, found: Picked, form: str, *, notes: Sequence[str], html: Path | None
) -> None:
    """Print the images in a form of `picked_text`, note what they are, and write their page where one is wanted."""
    emit(picked_text(found, form, columns=columns() if on_terminal() else 0))
    for note in (found.title, *notes):
        session.note(note)
    if html is not None:
        found.write_page(html)
        session.note(f"wrote {html}")
