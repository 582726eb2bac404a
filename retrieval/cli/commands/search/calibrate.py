"""The command ``retrieve calibrate``."""

from __future__ import annotations

from pathlib import Path

import click

from retrieval.cli.frame import (
    FILE,
    FOLDER,
    Command,
    Session,
    device_option,
    emit,
    given,
    interrupts,
    option,
    require_labels,
    session,
    shared,
    watching,
)
from retrieval.cli.reports import calibration_table, unknown_notes
from retrieval.render import json_text

CALIBRATE = "retrieval.evaluation.match_calibration:calibrate_matches"
OPEN = "retrieval.collection.collection:open_collection"


@click.command(
    "calibrate",
    cls=Command,
    common=("--labels", "--column", "--background"),
    example="retrieve calibrate --labels labels.csv --background everyday/",
)
@option(
    "--labels",
    of=CALIBRATE,
    type=FILE,
    metavar="CSV",
    help="file,label: what images show; ten labels of five images or more.",
)
@option("--column", of=CALIBRATE, metavar="NAME", help="Take the labels from this column.")
@option(
    "--background",
    of=CALIBRATE,
    type=FOLDER,
    metavar="DIR",
    help="Photographs of everyday things, a hundred or more; else images of the collection.",
)
@option("--force", of=CALIBRATE, is_flag=True, help="Use it even if the encoder comes with a calibration.")
@device_option(OPEN, "where the background is encoded.")
@shared
@session
def calibrate(
    session: Session,
    /,
    *,
    labels: Path | None,
    column: str | None,
    background: Path | None,
    force: bool,
    device: str | None,
    index: Path | None,
    as_json: bool,
) -> None:
    """Learn from labels how probable it is that a hit is what was asked.

    Hits get a `match` then, and the line behind which comes likely nothing. A kind of query that it tells badly gets none.
    """
    require_labels(labels, column)
    interrupts.raise_from_now_on()
    from retrieval.collection import open_collection
    from retrieval.evaluation import calibrate_matches

    with open_collection(index, **given(device=device)) as collection, watching(session) as progress:
        found = calibrate_matches(
            collection,
            progress=progress,
            **given(labels=labels, column=column, background=background, force=force),
        )
        kept = collection.directory / "relevance"
    emit(json_text(found.to_json()) if as_json else calibration_table(found))
    if not session.quiet:
        for line in unknown_notes(found.unknown, found.first_unknown):
            session.note(line)
    if found.unreadable and not session.quiet:
        session.note(f"{found.unreadable:,} files of the background cannot be read")
    if not session.quiet:
        session.note(f"kept in {kept}; delete that folder to go back to what was before")
