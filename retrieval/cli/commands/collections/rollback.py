"""The command ``retrieve rollback``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrieval.cli.frame import Command, Session, device_option, emit, given, option, session, shared
from retrieval.render import fields, json_text

ROLLBACK = "retrieval.upgrades.rolling_back.rollback_run:rollback"


@click.command("rollback", cls=Command, common=("--without-new", "--device"), example="retrieve rollback")
@option("--without-new", of=ROLLBACK, is_flag=True, help="Leave images added since to the next build-index.")
@device_option(ROLLBACK, "where images that were added since are encoded.")
@shared
@session
def rollback(
    session: Session, /, *, index: Path | None, device: str | None, as_json: bool, **options: Any
) -> None:
    """Return to the encoder before the last upgrade.

    Finished or not. Images that were added since are encoded by the old encoder first; interrupted, the same command
    continues.
    """
    from retrieval.cli.frame import watching
    from retrieval.upgrades import rollback as back

    session.kept = "nothing is lost; the same command continues, unless `retrieve info` says that it is done"
    with watching(session) as progress:
        report = back(index, **given(device=device, **options), progress=progress)
    if as_json:
        emit(json_text(report.to_json()))
    else:
        pairs = [
            ("encoder", f"{report.encoder}, no longer {report.given_up}"),
            ("images", f"{report.images:,}"),
            ("encoded", f"{report.encoded:,} added since"),
        ]
        if report.pending:
            pairs.append(("pending", f"{report.pending:,}; `retrieve build-index` encodes them"))
        emit(fields(pairs))
