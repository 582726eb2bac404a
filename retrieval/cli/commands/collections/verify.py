"""The command ``retrieve verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.frame import Command, emit, in_options, shared
from retrieval.display import path_json
from retrieval.render import fields, json_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from indexes.generation import FileCheck


@click.command("verify", cls=Command, example="retrieve verify --index photos")
@shared
def verify(*, index: Path | None, as_json: bool) -> int:
    """Check every file of a collection; exit 1 if one is damaged.

    Each damaged file is listed with what mends it.
    """
    from indexes.generation import SHARDS, verify as check_files
    from retrieval.collection.relevance import check_calibration
    from retrieval.collection.sharded import verify_shards
    from retrieval.location import find_collection

    directory = find_collection(index)  # not opened: what is damaged may not open
    checks = verify_shards(directory) if (directory / SHARDS).is_file() else check_files(directory)
    checks += check_calibration(directory)
    emit(json_text(_json(checks)) if as_json else _listed(checks))
    return 0 if all(check.ok for check in checks) else 1


def _json(found: Sequence[FileCheck]) -> dict[str, Any]:
    """Give the checks of a collection's files the contract's keys."""
    files = [
        {**path_json(str(check.path)), "ok": check.ok, "cure": in_options(check.cure) or None}
        for check in found
    ]
    return {"ok": all(check.ok for check in found), "files": files}


def _listed(found: Sequence[FileCheck]) -> str:
    """List the files of a collection, each damaged one with what mends it."""
    return fields(
        [
            (
                "ok" if check.ok else "damaged",
                f"{check.path}{'' if check.ok else f': {in_options(check.cure)}'}",
            )
            for check in found
        ]
    )
