"""The command ``retrieve representatives``."""

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

REPRESENTATIVES = "retrieval.curation.picks.representative_images:representatives"


@click.command(
    "representatives",
    cls=Command,
    common=("-n", "--method", "--html"),
    sections={"Which images": ("--under", "--glob", "--where"), "Output": ("--csv", "-f", "-0")},
    example="retrieve representatives -n 50 -f",
)
@option("-n", "n", of=REPRESENTATIVES, type=int, metavar="N", help="How many images, at most 5,000.")
@option(
    "--method",
    of=REPRESENTATIVES,
    metavar="METHOD",
    help="facility-location for the most telling, k-center for the most diverse.",
)
@filters(REPRESENTATIVES)
@picked_output
@shared
@session
def representatives(
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
    """List the images that stand for all others.

    Each line has the mean cosine with the images that one stands for, how many these are, and its path.
    """
    form = one_form({"--json": as_json, "--csv": csv, "-f": files, "-0": null})
    interrupts.raise_from_now_on()
    from retrieval.curation.picks import representatives as pick

    with asked(session, index) as (collection, progress):
        found = pick(collection, progress=progress, **given(**options))
    notes = []
    if found.sampled < found.total:
        notes.append(f"chosen among {found.sampled:,} of them, by chance")
    print_picked(session, found, form, notes=notes, html=html)
