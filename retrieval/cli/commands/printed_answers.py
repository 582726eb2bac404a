"""Print what a command found in the form that was asked for, and declare the options that say which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.frame import NEW_FILE, Session, columns, emit, on_terminal
from retrieval.cli.reports import picked_text
from retrieval.render import json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from retrieval.curation.picks import Picked


def picked_output(command: Any) -> Any:
    """Declare ``--html``, ``--csv``, ``-f`` and ``-0``."""
    null = click.option("-0", "--null", is_flag=True, help="Print them as raw bytes, each ended by NUL.")
    files = click.option("-f", "--files", is_flag=True, help="Print only paths.")
    csv = click.option("--csv", is_flag=True, help="Print CSV, a line for each image.")
    html = click.option("--html", type=NEW_FILE, metavar="FILE", help="Write a page of the images, too.")
    return html(csv(files(null(command))))


def print_found(found: Any, lines: Callable[..., str | bytes], *, as_json: bool, csv: bool) -> None:
    """Print as JSON, as CSV, or as the ``lines`` that a report makes for a terminal or a pipe."""
    if as_json:
        emit(json_text(found.to_json()))
    elif csv:
        emit(found.to_csv(terminal=on_terminal()))
    else:
        emit(lines(found, columns=columns() if on_terminal() else 0))


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
