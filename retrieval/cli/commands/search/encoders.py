"""The command ``retrieve encoders``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.frame import Command, columns, emit, shared_by
from retrieval.render import json_text, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@click.command("encoders", cls=Command, example="retrieve encoders")
@shared_by("Of no effect: the encoders are the same for every collection.")
def encoders(*, index: Path | None, as_json: bool) -> None:
    """List the encoders that are or could be installed."""
    del index  # every command takes it; the encoders are the same everywhere
    from retrieval.encoders import installed_families

    known = installed_families()
    emit(json_text(known) if as_json else _table(known, columns()))


def _table(known: Iterable[Mapping[str, Any]], columns: int) -> str:
    """Tabulate the encoders: what each reads, and what is missing for it."""
    rows = [
        [
            family["spec"],
            _mark(family["image"]),
            _mark(family["text"]),
            _mark(family["differentiable"]),
            "installed" if family["available"] else str(family["install"] or "not available"),
        ]
        for family in known
    ]
    return table(["encoder", "images", "words", "gradients", "status"], rows, columns=columns)


def _mark(value: object) -> str:
    return "?" if value is None else "yes" if value else "-"
