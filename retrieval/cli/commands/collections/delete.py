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

DELETE = "retrieval.collection.collection:Collection.delete"


@click.command(
    "delete",
    cls=Command,
    common=("--keys", "--ids", "--where", "--timeout"),
    example="retrieve delete --keys old.txt",
)
@click.option(
    "--keys", type=FILE, metavar="FILE", help="Delete the rows with these keys, one UTF-8 line each."
)
@click.option("--ids", type=WIDTHS, metavar="N,N,…", help="Delete the rows with these ids.")
@option("--where", of=DELETE, metavar="SQL", help="Delete the rows whose columns fulfil this condition.")
@option("--timeout", of=DELETE, type=float, metavar="SECONDS", help="Wait so long for another writer.")
@shared
@session
def delete(
    session: Session,
    /,
    *,
    keys: Path | None,
    ids: tuple[int, ...] | None,
    where: str | None,
    timeout: float | None,
    index: Path | None,
    as_json: bool,
) -> None:
    """Delete rows that were added by hand.

    A key or id that no row has is an error, and nothing is deleted. Rows of a folder's images go with their files: delete
    the file and run `retrieve build-index`.
    """
    from retrieval.collection import open_collection

    if sum(given is not None for given in (keys, ids, where)) != 1:
        raise click.UsageError("give either --keys, --ids or --where: which rows are to be deleted")
    interrupts.raise_from_now_on()
    with open_collection(index) as collection:
        chosen = given(where=where, timeout=timeout)
        deleted = collection.delete(keys, None if ids is None else list(ids), **chosen)
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
