"""The command ``retrieve delete``."""

from __future__ import annotations

from pathlib import Path

import click

from retrieval.cli.frame import (
    FILE,
    WIDTHS,
    Command,
    Session,
    emit,
    given,
    interrupts,
    option,
    session,
    shared,
)
from retrieval.cli.reports import shown
from retrieval.render import fields, json_text

__all__ = ["delete"]

DELETE = "retrieval.collection.collection:Collection.delete"


@click.command(
    "delete",
    cls=Command,
    common=("--keys", "--ids", "--timeout"),
    example="retrieve delete --keys old.txt",
)
@click.option(
    "--keys", type=FILE, metavar="FILE", help="Delete the rows with these keys, one UTF-8 line each."
)
@click.option("--ids", type=WIDTHS, metavar="N,N,…", help="Delete the rows with these ids.")
@option("--timeout", of=DELETE, type=float, metavar="SECONDS", help="Wait so long for another writer.")
@shared
@session
def delete(
    session: Session,
    /,
    *,
    keys: Path | None,
    ids: tuple[int, ...] | None,
    timeout: float | None,
    index: Path | None,
    as_json: bool,
) -> None:
    """Delete rows that were added by hand.

    A key or id that no row has is an error, and nothing is deleted. Rows of a folder's images go with their files: delete
    the file and run `retrieve build-index`.
    """
    from retrieval.collection import open_collection

    if (keys is None) == (ids is None):
        raise click.UsageError("give either --keys or --ids: which rows are to be deleted")
    interrupts.raise_from_now_on()
    with open_collection(index) as collection:
        deleted = collection.delete(keys, None if ids is None else list(ids), **given(timeout=timeout))
        facts = {"index": str(collection.directory), "rows": len(collection), "deleted": deleted}
    if as_json:
        emit(json_text(facts))
    elif not session.quiet:
        emit(
            fields(
                [
                    ("rows", f"{facts['rows']:,} in {shown(str(facts['index']))}"),
                    ("changes", f"{deleted:,} deleted"),
                ]
            )
        )
