"""The command ``retrieve demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.cli.frame import (
    FOLDER,
    Command,
    Session,
    columns,
    device_option,
    emit,
    given,
    option,
    session,
    shared_by,
)
from retrieval.cli.reports import shown
from retrieval.render import Form, hits, json_text

if TYPE_CHECKING:
    from retrieval.demo import DemoReport

DEMO = "retrieval.demo:demo"


@click.command("demo", cls=Command, common=("--out", "--device"), example="retrieve demo --out tried")
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
    from retrieval.cli.frame import watching
    from retrieval.demo import demo as run

    session.kept = "what was written is kept; the same command continues"
    with watching(session) as progress:
        report = run(**given(out=out, device=device, index=index), progress=progress)
    emit(json_text(report.to_json()) if as_json else _text(report, columns()))


def _text(report: DemoReport, columns: int) -> str:
    """Show the demo's answers, and where its page lies."""
    text = [f"{report.photos} photographs, each query's best:\n"]
    for answer in report.answers:
        text.append(f"\n{answer.title}\n")
        text.append(hits(answer.hits[:3], Form.TABLE, columns=columns).decode())
    text.append(f"\npage: {shown(str(report.gallery))}\n")
    return "".join(text)
