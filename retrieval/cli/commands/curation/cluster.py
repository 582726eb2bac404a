"""The command ``retrieve cluster``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.commands import asked
from retrieval.cli.frame import (
    FILE,
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
from retrieval.cli.reports import group_lines, group_notes
from retrieval.render import json_text

if TYPE_CHECKING:
    from retrieval.curation.groups import Groups

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
    _print(found, as_json=as_json, csv=csv)
    for line in group_notes(found):
        session.note(line)
    if html is not None:
        found.write_page(html)
        session.note(f"wrote {html}")


def _print(found: Groups, *, as_json: bool, csv: bool) -> None:
    if as_json:
        emit(json_text(found.to_json()))
    elif csv:
        emit(found.to_csv(terminal=on_terminal()))
    else:
        emit(group_lines(found, columns=columns() if on_terminal() else 0))
