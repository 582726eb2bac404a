"""The smaller commands: demo, info, evaluate, export, verify, encoders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from retrieval.cli import interrupts, reports
from retrieval.cli.activate import activate
from retrieval.cli.build import build_index
from retrieval.cli.options import (
    FILE,
    FOLDER,
    WIDTHS,
    Session,
    columns,
    device_option,
    emit,
    given,
    installed_version,
    option,
    session,
    shared,
    shared_by,
)
from retrieval.cli.pages import Command, Group
from retrieval.cli.query import query
from retrieval.cli.upgrade import rollback, upgrade
from retrieval.errors import OptionError
from retrieval.render import json_text, path_json

EVALUATE = "retrieval.evaluation.evaluation:evaluate"
DEMO = "retrieval.demo:demo"


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.option("--version", is_flag=True, help="Print the version.")
@click.pass_context
def retrieve(ctx: click.Context, *, version: bool) -> None:
    """Find images by words and by example, in a folder of any size.

    \b
    retrieve demo                        the first minute, on sample photographs
    retrieve build-index photos/         index a folder; again: only what changed
    retrieve query "a red bus in snow"   search by words
    retrieve query holiday.jpg           search by image
    """
    if version:
        emit(f"retrieve {installed_version()}\n")
        ctx.exit()
    if ctx.invoked_subcommand is None:
        emit(f"{ctx.get_help()}\n")


@retrieve.command("demo", cls=Command, common=("--out", "--device"), example="retrieve demo --out tried")
@option(
    "--out", of=DEMO, type=FOLDER, metavar="DIR", help="Where the photographs, the index and the page go."
)
@device_option(DEMO, "where the photographs are encoded.")
@shared_by("Where the collection goes; otherwise inside the photographs' folder.", environment=False)
@session
def demo(
    session: Session, /, *, out: Path | None, device: str | None, index: Path | None, as_json: bool
) -> None:
    """Index sample photographs, answer queries, write a page.

    The photographs are those that scikit-image carries (the extra `demo`); nothing is downloaded.
    """
    from retrieval.cli.progress import watching
    from retrieval.demo import demo as run

    session.kept = "what was written is kept; the same command continues"
    with watching(session) as progress:
        report = run(**given(out=out, device=device, index=index), progress=progress)
    emit(json_text(report.to_json()) if as_json else reports.demo(report, columns()))


retrieve.add_command(build_index)


@retrieve.command(
    "export",
    cls=Command,
    common=("--vectors", "--keys"),
    example="retrieve export --vectors v.npy --keys keys.txt",
)
@click.option(
    "--vectors", type=FILE, required=True, metavar="FILE.npy", help="Write the vectors here: (n, d) float16."
)
@click.option(
    "--keys", type=FILE, required=True, metavar="FILE", help="Write their relative paths here, one a line."
)
@shared
@session
def export(session: Session, /, *, vectors: Path, keys: Path, index: Path | None, as_json: bool) -> None:
    """Write a collection's vectors and keys to files.

    Both are in the order of ids, and `build-index --vectors --keys` reads them.
    """
    from retrieval.collection import open_collection
    from retrieval.render import write_export

    if os.path.realpath(vectors) == os.path.realpath(keys):
        raise OptionError(f"--vectors and --keys are both {vectors}; give two files")
    interrupts.raise_from_now_on()
    with open_collection(index) as collection:
        rows, names = collection.export()
        write_export(vectors, rows, keys, names)
    count, width = rows.shape
    if as_json:
        emit(json_text({"vectors": str(vectors), "keys": str(keys), "rows": count, "width": width}))
    session.note(f"wrote {count:,} rows of {width} to {vectors} and their keys to {keys}")


retrieve.add_command(query)


@retrieve.command("info", cls=Command, example="retrieve info --index photos")
@shared
def info(*, index: Path | None, as_json: bool) -> None:
    """Say what a collection holds and how well it searches."""
    from retrieval.collection import open_collection

    with open_collection(index) as collection:
        facts = collection.info()
    emit(json_text(facts | path_json(facts["root"], "root")) if as_json else reports.info(facts))


@retrieve.command("verify", cls=Command, example="retrieve verify --index photos")
@shared
def verify(*, index: Path | None, as_json: bool) -> int:
    """Check every file of a collection; exit 1 if one is damaged.

    Each damaged file is listed with what mends it.
    """
    from indexes.generation import verify as check_files
    from retrieval.location import find_collection

    checks = check_files(find_collection(index))  # not opened: what is damaged may not open
    emit(json_text(reports.checks_json(checks)) if as_json else reports.checks(checks))
    return 0 if all(check.ok for check in checks) else 1


@retrieve.command(
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
    is_flag=True,
    help="Measure whether altered copies are found, of activated images where there are any.",
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
    from retrieval.cli.progress import watching
    from retrieval.collection import open_collection
    from retrieval.evaluation import evaluate as measure

    with open_collection(index, **given(device=device)) as collection, watching(session) as progress:
        report = measure(collection, **given(**options), progress=progress)
    emit(json_text(report.to_json()) if as_json else reports.evaluation(report.to_json()))


retrieve.add_command(upgrade)
retrieve.add_command(rollback)
retrieve.add_command(activate)


@retrieve.command("encoders", cls=Command, example="retrieve encoders")
@shared_by("Of no effect: the encoders are the same for every collection.")
def encoders(*, index: Path | None, as_json: bool) -> None:
    """List the encoders that are or could be installed."""
    del index  # every command takes it; the encoders are the same everywhere
    from retrieval.encoders import installed_families

    known = installed_families()
    emit(json_text(known) if as_json else reports.encoders(known, columns()))
