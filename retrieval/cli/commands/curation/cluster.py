"""The command ``retrieve cluster``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrieval.cli.commands import asked, print_found
from retrieval.cli.frame import (
    FILE,
    NEW_FILE,
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
from retrieval.cli.reports import group_lines, group_notes

CLUSTER = "retrieval.curation.groups.clustering:cluster"


@click.command(
    "cluster",
    cls=Command,
    common=("--n-groups", "--words", "--html", "--csv"),
    sections={"Which images": ("--under", "--glob", "--where")},
    example="retrieve cluster --html groups.html",
)
@option(
    "--n-groups",
    of=CLUSTER,
    type=int,
    metavar="N",
    help="How many groups, at most 1,000; else as many as describe the images best.",
)
@option(
    "--words",
    of=CLUSTER,
    type=FILE,
    metavar="FILE",
    help="Choose names from this file, one a line; else everyday nouns.",
)
@filters(CLUSTER)
@click.option("--html", type=NEW_FILE, metavar="FILE", help="Write a page of the groups, too.")
@click.option("--csv", is_flag=True, help="Print CSV, a line for each image.")
@shared
@session
def cluster(
    session: Session,
    /,
    *,
    html: Path | None,
    csv: bool,
    index: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Divide a collection into groups of images that are alike.

    Each group is named by the nearest word, and shown by the images that stand for it. Nothing is encoded again or changed.
    """
    one_form({"--json": as_json, "--csv": csv})
    interrupts.raise_from_now_on()
    from retrieval.curation.groups import cluster as find

    with asked(session, index) as (collection, progress):
        found = find(collection, progress=progress, **given(**options))
    print_found(found, group_lines, as_json=as_json, csv=csv)
    for line in group_notes(found):
        session.note(line)
    if html is not None:
        found.write_page(html)
        session.note(f"wrote {html}")
