"""The command ``retrieve outliers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrieval.cli.commands import asked
from retrieval.cli.frame import (
    NEW_FILE,
    Command,
    Session,
    columns,
    emit,
    filters,
    given,
    interrupts,
    on_terminal,
    one_form,
    option,
    session,
    shared,
)
from retrieval.cli.reports import picked_text

__all__ = ["outliers"]

OUTLIERS = "retrieval.curation.picks.odd_images:outliers"


@click.command(
    "outliers",
    cls=Command,
    common=("-n", "--neighbors", "--html"),
    sections={"Which images": ("--under", "--glob", "--where"), "Output": ("--csv", "-f", "-0")},
    example="retrieve outliers --html outliers.html",
)
@option("-n", "n", of=OUTLIERS, type=int, metavar="N", help="How many images.")
@option("--neighbors", of=OUTLIERS, type=int, metavar="K", help="How many neighbours of each image count.")
@filters(OUTLIERS)
@click.option("--html", type=NEW_FILE, metavar="FILE", help="Write a page of the images, too.")
@click.option("--csv", is_flag=True, help="Print CSV, a line for each image.")
@click.option("-f", "--files", is_flag=True, help="Print only paths.")
@click.option("-0", "--null", is_flag=True, help="Print them as raw bytes, each ended by NUL.")
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
    emit(picked_text(found, form, columns=columns() if on_terminal() else 0))
    session.note(found.title)
    if found.typical is not None:
        session.note(
            f"{found.below_fence:,} of them lie below {found.fence:.3f}, far from usual; "
            f"half of all images have {found.typical:.3f} or more"
        )
    if html is not None:
        found.write_page(html)
        session.note(f"wrote {html}")
