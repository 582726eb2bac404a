"""The command ``retrieve duplicates``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.commands import asked
from retrieval.cli.frame import (
    FILE,
    FOLDER,
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
from retrieval.cli.reports import duplicate_notes, duplicate_sets, moved
from retrieval.render import json_text

if TYPE_CHECKING:
    from retrieval.curation.duplicates import Duplicates, MoveReport

DUPLICATES = "retrieval.curation.duplicates.finding:duplicates"


@click.command(
    "duplicates",
    cls=Command,
    common=("--kind", "--keep", "--html", "--move-to", "--undo"),
    sections={
        "What to look for": ("--precision", "--against", "--splits", "--reference", "--ignore"),
        "Which images": ("--under", "--glob", "--where"),
        "Output": ("--link-to", "--csv", "-f", "-0"),
    },
    example="retrieve duplicates --html review.html",
)
@option("--kind", "kinds", of=DUPLICATES, metavar="KIND,…", help="Degrees of likeness to look for.")
@option(
    "--precision",
    of=DUPLICATES,
    type=float,
    metavar="P",
    help="Share of the pictures listed that should be the same.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="OTHER",
    help="Only what another collection holds, too.",
)
@option("--splits", of=DUPLICATES, metavar="COLUMN", help="Only sets with several values of this column.")
@click.option(
    "--reference", multiple=True, type=FOLDER, metavar="DIR", help="Images of this folder never go."
)
@option("--keep", of=DUPLICATES, metavar="RULE", help="Who stays: best, largest, oldest, newest or first.")
@click.option("--ignore", type=FILE, metavar="FILE", help="Follow decisions that the review page saved.")
@filters(DUPLICATES)
@click.option("--html", type=NEW_FILE, metavar="FILE", help="Write a page to review the sets, too.")
@click.option(
    "--link-to", type=FOLDER, metavar="DIR", help="Put links to each set into a folder, for looking."
)
@click.option("--move-to", type=FOLDER, metavar="DIR", help="Move what could go into a folder.")
@click.option(
    "--undo",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="Move everything back; nothing else is done.",
)
@click.option("--csv", is_flag=True, help="Print CSV, a line for each image.")
@click.option("-f", "--files", is_flag=True, help="Print the paths of what could go.")
@click.option("-0", "--null", is_flag=True, help="Print them as raw bytes, each ended by NUL.")
@shared
@session
def duplicates(
    session: Session,
    /,
    *,
    html: Path | None,
    link_to: Path | None,
    move_to: Path | None,
    undo: Path | None,
    csv: bool,
    files: bool,
    null: bool,
    index: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find images that are there twice, and move doubles away.

    Degrees are bytes (equal files), pixels, picture (one exposure, altered) and scene (another exposure). Nothing is changed
    without --move-to, and nothing is ever deleted. Photographs of one scene stay, unless --kind scene asks for them alone.
    """
    one_form({"--json": as_json, "--csv": csv, "-f": files, "-0": null})
    if link_to is not None and move_to is not None:
        raise click.UsageError("--link-to and --move-to exclude each other; choose one")
    interrupts.raise_from_now_on()
    if undo is not None:
        from retrieval.curation.duplicates import undo_moves

        session.kept = "what was moved back stays there; the same command continues"
        _tell(session, undo_moves(undo), as_json=as_json, back=True)
        return
    from retrieval.curation.duplicates import duplicates as find

    target = move_to or link_to
    if target is not None and target.exists() and not target.is_dir():
        raise click.UsageError(f"{target} is no folder; choose another name")
    with asked(session, index) as (collection, progress):
        found = find(collection, progress=progress, **given(**options))
    report = None
    if move_to is not None:
        session.kept = f"what was moved can be moved back: --undo {move_to}"
        report = found.move_to(move_to)
    _print(found, report, as_json=as_json, csv=csv, files=files, null=null)
    if not session.quiet:
        for line in duplicate_notes(found, moving=move_to is not None):
            session.note(line)
    if html is not None:
        shown = found.write_page(html)
        some = f" (the first {shown:,} sets)" if shown < len(found) else ""
        then = "; then: retrieve duplicates --ignore decisions.json --move-to DIR" if shown else ""
        session.note(f"wrote {html}{some}{then}")
    if link_to is not None:
        session.note(f"{len(found.link_to(link_to)):,} links in {link_to}")
    if report is not None and not as_json:
        _tell(session, report, as_json=False, back=False)


def _print(
    found: Duplicates, report: MoveReport | None, *, as_json: bool, csv: bool, files: bool, null: bool
) -> None:
    import os

    from retrieval.display import escape

    if as_json:
        facts = found.to_json()
        emit(json_text(facts if report is None else facts | report.to_json()))
    elif csv:
        emit(found.to_csv(terminal=on_terminal()))
    elif null:
        emit(b"".join(os.fsencode(image.path) + b"\0" for image in found.going))
    elif files:
        emit("".join(f"{escape(image.path)}\n" for image in found.going))
    else:
        emit(duplicate_sets(found, columns=columns() if on_terminal() else 0))


def _tell(session: Session, report: MoveReport, *, as_json: bool, back: bool) -> None:
    if as_json:
        emit(json_text(report.to_json()))
        return
    for line in moved(report, back=back):
        session.note(line)
