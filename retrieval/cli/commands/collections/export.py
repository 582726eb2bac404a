"""The command ``retrieve export``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from retrieval.cli.frame import FILE, Command, Session, emit, interrupts, session, shared
from retrieval.errors import OptionError
from retrieval.render import json_text


@click.command(
    "export",
    cls=Command,
    common=("--vectors", "--keys"),
    example="retrieve export --vectors v.npy --keys keys.txt",
)
@click.option(
    "--vectors",
    type=FILE,
    required=True,
    metavar="FILE.npy|FILE.parquet",
    help="Write the vectors here: (n, d) float16, or a table with keys and columns.",
)
@click.option(
    "--keys",
    type=FILE,
    metavar="FILE",
    help="Write their relative paths here, one a line; needed beside FILE.npy.",
)
@shared
@session
def export(
    session: Session, /, *, vectors: Path, keys: Path | None, index: Path | None, as_json: bool
) -> None:
    """Write a collection's vectors and keys to files.

    Both are in the order of ids, and `build-index --vectors --keys` reads them. A Parquet table holds the columns, too.
    """
    from retrieval.collection import open_collection
    from retrieval.render import is_table, write_export, write_table

    if is_table(vectors) and keys is None:
        interrupts.raise_from_now_on()
        with open_collection(index) as collection:
            count, width = write_table(vectors, collection)
        if as_json:
            emit(json_text({"vectors": str(vectors), "keys": None, "rows": count, "width": width}))
        session.note(f"wrote {count:,} rows of {width} with keys and columns to {vectors}")
        return
    if keys is None:
        raise click.UsageError("--vectors FILE.npy needs --keys FILE for the paths; FILE.parquet holds both")
    if is_table(vectors):
        raise click.UsageError("--vectors FILE.parquet holds the keys, too; leave --keys out")
    if os.path.realpath(vectors) == os.path.realpath(keys):
        raise OptionError(f"--vectors and --keys are both {vectors}; give two files")
    interrupts.raise_from_now_on()
    with open_collection(index) as collection:
        rows, names = collection.export()
        write_export(vectors, rows, keys, map(os.fsencode, names))
    count, width = rows.shape
    if as_json:
        emit(json_text({"vectors": str(vectors), "keys": str(keys), "rows": count, "width": width}))
    session.note(f"wrote {count:,} rows of {width} to {vectors} and their keys to {keys}")
