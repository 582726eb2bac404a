"""The command ``retrieve compare``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from retrieval.cli.frame import (
    FILE,
    NEW_FILE,
    Command,
    Session,
    device_option,
    emit,
    given,
    interrupts,
    option,
    session,
    shared_by,
    watching,
)
from retrieval.cli.reports import comparison_notes, comparison_table
from retrieval.render import json_text

COMPARE = "retrieval.curation.compare.comparing:compare"


@click.command(
    "compare",
    cls=Command,
    common=("--labels", "--sample", "--html"),
    example="retrieve compare photos/ onnx:better --labels labels.csv --html page.html",
)
@click.argument("sides", nargs=-1, required=True, metavar="[A] B")
@option("--labels", of=COMPARE, type=FILE, metavar="CSV", help="file,label: measure by labels, too.")
@option("--column", of=COMPARE, metavar="NAME", help="Take the labels from this column.")
@option(
    "--words",
    of=COMPARE,
    type=FILE,
    metavar="FILE",
    help="Words to ask both, one a line; else names of labels, or everyday nouns.",
)
@option("-k", of=COMPARE, type=int, metavar="K", help="Neighbours that are compared.")
@option("--sample", of=COMPARE, type=int, metavar="N", help="Images that ask, and that an encoder B encodes.")
@click.option("--html", type=NEW_FILE, metavar="FILE", help="Write a page with examples side by side, too.")
@device_option(COMPARE, "where the encoder runs.")
@shared_by("A, where only B is named; else looked for from here upwards.")
@session
def compare(
    session: Session,
    /,
    *,
    sides: tuple[str, ...],
    html: Path | None,
    index: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare two encoders over the same images, before you choose one.

    A is a collection, else the one of this folder. B is another collection of the same images, or an encoder, which encodes a
    sample for it. Nothing is changed.
    """
    if len(sides) > 2:
        raise click.UsageError("name two at most: the collection A, and B")
    if len(sides) == 2 and index is not None:
        raise click.UsageError("name A once: as the first argument, or by --index")
    interrupts.raise_from_now_on()
    from retrieval.collection import open_collection
    from retrieval.curation.compare import compare as measured

    if len(sides) == 1 and index is None and _is_first(sides[0]):
        raise click.UsageError(
            f"{sides[0]} is a collection, A; name B behind it: another one of the same images, or an encoder such as nano@1"
        )
    if len(sides) == 2 and _is_encoder(sides[0]):
        raise click.UsageError(
            f"A is a collection, and {sides[0]} is an encoder: two encoders are compared over the images of a collection. "
            f"Build one with `--encoder {sides[0]}`, and name it as A"
        )
    first = sides[0] if len(sides) == 2 else index
    with open_collection(first) as collection, watching(session) as progress:
        found = measured(collection, sides[-1], progress=progress, **given(**options))
    emit(json_text(found.to_json()) if as_json else comparison_table(found))
    for line in comparison_notes(found):
        session.note(line)
    if html is not None:
        found.write_page(html)
        session.note(f"wrote {html}")


def _is_encoder(side: str) -> bool:
    """Say whether what was named is an encoder, and no folder."""
    from retrieval.encoders import canonical_spec
    from retrieval.errors import EncoderError

    if os.path.exists(side):
        return False
    try:
        return bool(canonical_spec(side))
    except EncoderError:
        return False


def _is_first(side: str) -> bool:
    """Say whether what was named alone is a collection, and nothing else could be compared with it."""
    from retrieval.errors import CollectionNotFound
    from retrieval.location import find_collection, lies_in

    if not lies_in(side):
        return False
    try:
        return find_collection() == find_collection(side)
    except CollectionNotFound:
        return True
