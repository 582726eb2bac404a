"""The command ``retrieve add``."""

from __future__ import annotations

from pathlib import Path

import click

from retrieval.cli.frame import FILE, Command, Session, emit, given, interrupts, option, session, shared
from retrieval.cli.reports import shown
from retrieval.render import fields, json_text

ADD = "retrieval.collection.collection:Collection.add"


@click.command(
    "add",
    cls=Command,
    common=("--vectors", "--keys", "--upsert", "--timeout"),
    example="retrieve add --vectors new.npy --keys new.txt",
)
@click.option(
    "--vectors", type=FILE, required=True, metavar="FILE.npy", help="Add these vectors: (n, d) numbers."
)
@click.option("--keys", type=FILE, metavar="FILE", help="Their keys, one UTF-8 line a row.  [default: ids]")
@click.option("--upsert", is_flag=True, help="Replace rows that have these keys already.")
@option("--timeout", of=ADD, type=float, metavar="SECONDS", help="Wait so long for another writer.")
@shared
@session
def add(
    session: Session,
    /,
    *,
    vectors: Path,
    keys: Path | None,
    upsert: bool,
    timeout: float | None,
    index: Path | None,
    as_json: bool,
) -> None:
    """Add vectors to a collection, row by row.

    A key that a row has already is an error, and nothing is added; --upsert replaces that row. Builds of a folder leave
    these rows alone; `retrieve delete` deletes them. To make a new collection: `retrieve build-index FOLDER --vectors`.
    """
    from retrieval.collection import open_collection

    if upsert and keys is None:
        raise click.UsageError("--upsert replaces rows by their keys; give --keys too")
    session.kept = "what was committed is kept; --upsert continues"
    interrupts.raise_from_now_on()
    with open_collection(index) as collection:
        with collection.writer(**given(timeout=timeout)) as rows:
            if upsert and keys is not None:
                rows.upsert(vectors, keys)
            else:
                rows.add(vectors, keys)
        facts = {
            "index": str(collection.directory),
            "rows": len(collection),
            "added": rows.added,
            "updated": rows.updated,
            "unchanged": rows.unchanged,
        }
    if as_json:
        emit(json_text(facts))
    elif not session.quiet:
        changes = [f"{facts[name]:,} {name}" for name in ("added", "updated", "unchanged") if facts[name]]
        emit(
            fields(
                [
                    ("rows", f"{facts['rows']:,} in {shown(str(facts['index']))}"),
                    ("changes", ", ".join(changes) or "none"),
                ]
            )
        )
