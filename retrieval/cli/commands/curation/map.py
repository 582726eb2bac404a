"""The command ``retrieve map``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrieval.cli.commands import asked
from retrieval.cli.frame import (
    FILE,
    NEW_FILE,
    Command,
    Session,
    emit,
    filters,
    given,
    interrupts,
    option,
    session,
    shared,
)
from retrieval.cli.reports import map_notes, map_page_notes
from retrieval.render import json_text

MAP = "retrieval.curation.map.collection_map:map_images"


@click.command(
    "map",
    cls=Command,
    common=("--html", "--parquet", "--labels", "--column", "--words"),
    sections={"Which images": ("--under", "--glob", "--where")},
    example="retrieve map --html map.html",
)
@click.option("--html", type=NEW_FILE, metavar="FILE", help="Write the map as a page: one file.")
@click.option("--parquet", type=NEW_FILE, metavar="FILE", help="Write it as a table for other programs.")
@option("--labels", of=MAP, type=FILE, metavar="CSV", help="file,label: colour it by these labels, too.")
@option("--column", of=MAP, metavar="NAME", help="Take the labels from this column.")
@option(
    "--words",
    of=MAP,
    type=FILE,
    metavar="FILE",
    help="Words to search it by, one a line; else everyday nouns.",
)
@filters(MAP)
@shared
@session
def map(  # noqa: A001 - a command's function has its name
    session: Session,
    /,
    *,
    html: Path | None,
    parquet: Path | None,
    index: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Make a map on which images that are alike lie together.

    The page pans, zooms, colours by groups and columns, and is searched by words. Nothing is encoded again or changed.
    """
    if html is None and parquet is None:
        raise click.UsageError("nothing to write; give --html FILE or --parquet FILE")
    interrupts.raise_from_now_on()
    from retrieval.curation.map import map_images

    with asked(session, index) as (collection, progress):
        found = map_images(collection, progress=progress, **given(**options))
        page = None if html is None else found.write_page(html, progress=progress)
    if as_json:
        emit(json_text(found.to_json()))
    for line in map_notes(found):
        session.note(line)
    if page is not None:
        for line in map_page_notes(page, name=str(html)):
            session.note(line)
    if parquet is not None:
        found.write_table(parquet)
        session.note(f"wrote {parquet}")
