"""The command ``retrieve evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrieval.cli.frame import (
    FILE,
    FOLDER,
    WIDTHS,
    Command,
    Session,
    device_option,
    emit,
    given,
    option,
    session,
    shared,
)
from retrieval.cli.reports import evaluation_tables
from retrieval.render import json_text

EVALUATE = "retrieval.evaluation.evaluation:evaluate"


@click.command(
    "evaluate",
    cls=Command,
    common=("--labels", "--column", "--captions", "--attacks", "--dims", "--plot"),
    sections={"Copies": ("--pairs", "--distractors", "--background", "--verify", "--html")},
    example="retrieve evaluate --labels labels.csv",
)
@option("--labels", of=EVALUATE, type=FILE, metavar="CSV", help="file,label: measure labelled quality, too.")
@option("--column", of=EVALUATE, metavar="NAME", help="Take the labels from this column.")
@option(
    "--captions", of=EVALUATE, type=FILE, metavar="CSV", help="file,caption: measure search by words, too."
)
@option(
    "--attacks",
    of=EVALUATE,
    is_flag=False,
    flag_value="attacks-2",
    metavar="[NAME,...]",
    help="Measure whether altered copies are found: of all attacks, or of those named.",
)
@option(
    "--pairs",
    of=EVALUATE,
    type=FILE,
    metavar="CSV",
    help="query,original: measure whether copies are told from others.",
)
@option("--distractors", of=EVALUATE, type=FOLDER, metavar="DIR", help="Queries that have no original here.")
@option(
    "--background", of=EVALUATE, type=FOLDER, metavar="DIR", help="Normalise scores with these images, too."
)
@option("--verify", of=EVALUATE, is_flag=True, help="Check the pixels of the first hits, too.")
@click.option("--html", type=FILE, metavar="FILE", help="Write a page of the worst pairs.")
@option(
    "--dims",
    of=EVALUATE,
    type=WIDTHS,
    metavar="N,N,...",
    help="Measure search by prefixes of these widths, too.",
)
@option(
    "--plot",
    of=EVALUATE,
    type=FILE,
    metavar="FILE.svg",
    help="Draw recall against bytes and against time for each width.",
)
@device_option(EVALUATE, "where captions and altered copies are encoded, and where searches run.")
@shared
@session
def evaluate(
    session: Session,
    /,
    *,
    index: Path | None,
    device: str | None,
    as_json: bool,
    html: Path | None,
    **options: Any,
) -> None:
    """Measure recall, latency and labelled quality.

    Recall is against exact search; quality is measured where --labels or --captions tell what is right.
    """
    from retrieval.cli.frame import watching
    from retrieval.cli.reports import pair_notes, unknown_notes
    from retrieval.collection import open_collection
    from retrieval.evaluation import evaluate as measure

    if html is not None and options["pairs"] is None:
        raise click.UsageError("--html shows pairs of images; give --pairs, too")
    with open_collection(index, **given(device=device)) as collection, watching(session) as progress:
        report = measure(collection, **given(**options), progress=progress)
        if html is not None and report.pairs is not None:
            report.pairs.write_page(html)
            session.note(f"wrote {html}")
    if report.pairs is not None and not session.quiet:
        for line in pair_notes(report.pairs.to_json()):
            session.note(line)
    if not session.quiet:
        for line in unknown_notes(report.unknown, report.first_unknown):
            session.note(line)
    emit(json_text(report.to_json()) if as_json else evaluation_tables(report.to_json()))
