"""The command ``retrieve classify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    require_labels,
    session,
    shared,
)
from retrieval.cli.reports import label_lines, label_notes

if TYPE_CHECKING:
    from retrieval.curation.labels import Classification, Suspects

CLASSIFY = "retrieval.curation.labels.classification:classify"


@click.command(
    "classify",
    cls=Command,
    common=("--labels", "--suspect", "--least", "--csv", "--html"),
    sections={"Which labels and images": ("--column", "--under", "--glob", "--where")},
    example="retrieve classify --labels labels.csv --csv > guessed.csv",
)
@option("--labels", of=CLASSIFY, type=FILE, metavar="CSV", help="file,label: the labels that are known.")
@option("--column", of=CLASSIFY, metavar="NAME", help="Take the labels from this column.")
@click.option("--suspect", is_flag=True, help="List labels that are likely wrong instead.")
@option("--least", of=CLASSIFY, type=float, metavar="P", help="Least probability of a guess.")
@filters(CLASSIFY)
@click.option("--csv", is_flag=True, help="Print CSV, a line for each image.")
@click.option("--html", type=NEW_FILE, metavar="FILE", help="Write a page with the images, too.")
@shared
@session
def classify(
    session: Session,
    /,
    *,
    suspect: bool,
    csv: bool,
    html: Path | None,
    index: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Guess labels from labelled images, or find wrong ones.

    The nearest labelled images vote. An image without a near one, or without a probable label, gets none. Nothing is encoded.
    """
    one_form({"--json": as_json, "--csv": csv})
    require_labels(options["labels"], options["column"])
    interrupts.raise_from_now_on()
    from retrieval.curation.labels import classify as guess, suspects

    found: Classification | Suspects
    with asked(session, index) as (collection, progress):
        found = (suspects if suspect else guess)(collection, progress=progress, **given(**options))
    print_found(found, label_lines, as_json=as_json, csv=csv)
    if not session.quiet:
        for line in label_notes(found):
            session.note(line)
    if html is not None:
        shown = found.write_page(html)
        session.note(f"wrote {html} ({shown:,} of {len(found):,} images)")
