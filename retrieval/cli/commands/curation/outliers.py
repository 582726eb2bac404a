"""The command ``retrieve outliers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrieval.cli.commands import asked, picked_output, print_picked
from retrieval.cli.frame import (
    Command,
    Session,
    filters,
    given,
    interrupts,
    one_form,
    option,
    session,
    shared,
)

OUTLIERS = "retrieval.curation.picks.odd_images:outliers"


@click.command(
    "outliers",
    cls=Command,
    common=("-n", "--neighbors", "--html"),
    sections={"Which images": ("--under", "--glob", "--where"), "Output": ("--csv", "-f", "-0")},
    example="retrieve outliers --html outliers.html",
)
@option("-n", "n", of=OUTLIERS, type=int, metavar="N", help="How many images, at most 10,000.")
@option("--neighbors", of=OUTLIERS, type=int, metavar="K", help="Neighbours of each that count, at most 100.")
@filters(OUTLIERS)
@picked_output
@shared
@session
def outliers(
    session: Session,
    /,
    *,
    html: Path | None,
    csv: bool,
    files: bool,
    null: bool,
    index: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """List the images that are least like the others.

    Each line has the mean cosine with an image's nearest neighbours, the oddest first, and its path.
    """
    form = one_form({"--json": as_json, "--csv": csv, "-f": files, "-0": null})
    interrupts.raise_from_now_on()
    from retrieval.curation.picks import outliers as find

    with asked(session, index) as (collection, progress):
        found = find(collection, progress=progress, **given(**options))
    print_picked(session, found, form, notes=[found.note] if found.note else [], html=html)
