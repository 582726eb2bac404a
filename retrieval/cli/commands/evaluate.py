"""The command ``retrieve evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrieval.cli.frame import (
    FILE,
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

__all__ = ["evaluate"]

EVALUATE = "retrieval.evaluation.evaluation:evaluate"


@click.command(
    "evaluate",
    cls=Command,
    common=("--labels", "--captions", "--attacks", "--dims", "--plot"),
    example="retrieve evaluate --labels labels.csv",
)
@option("--labels", of=EVALUATE, type=FILE, metavar="CSV", help="file,label: measure labelled quality, too.")
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
    session: Session, /, *, index: Path | None, device: str | None, as_json: bool, **options: Any
) -> None:
    """Measure recall, latency and labelled quality.

    Recall is against exact search; quality is measured where --labels or --captions tell what is right.
    """
    from retrieval.cli.frame import watching
    from retrieval.collection import open_collection
    from retrieval.evaluation import evaluate as measure

    with open_collection(index, **given(device=device)) as collection, watching(session) as progress:
        report = measure(collection, **given(**options), progress=progress)
    emit(json_text(report.to_json()) if as_json else evaluation_tables(report.to_json()))
