"""Combine what a build is asked for with what the collection recorded."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from indexes.errors import StoreCorrupt
from indexes.generation.description.description import Manifest, Request, generation_path
from indexes.layout import REPORT

RECALL = 0.95


def is_new(asked: Request, home: Path, manifest: Manifest) -> bool:
    """Say whether a published generation was asked for something else."""
    own = _recorded(home, manifest)
    known = ("auto", None) if own is None else (own.kind, own.dim)
    return known != (asked.kind, asked.dim) or manifest.index.recall_target != asked.recall


def request(
    home: Path,
    before: Manifest | None,
    *,
    kind: str | None,
    dim: int | str | None,
    recall: float | None,
    device: str,
) -> Request:
    """Fill in what the published generation was asked for where nothing else is said."""
    own = None if before is None else _recorded(home, before)
    if kind is None and dim is None and own is not None:
        dim = own.dim
    if recall is None:
        recall = RECALL if before is None else before.index.recall_target
    if kind is None:
        kind = "auto" if own is None else own.kind
    same = own is not None and (kind, dim) == (own.kind, own.dim)
    chosen_for = own.chosen_for if own is not None and same else None
    return Request(kind=kind, dim=dim, recall=float(recall), device=device, chosen_for=chosen_for)


def _recorded(home: Path, manifest: Manifest) -> Request | None:
    """Return what a published generation was asked for; older versions say it in their report only."""
    if manifest.request is not None:
        return manifest.request
    path = generation_path(home, manifest.generation) / REPORT
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, StoreCorrupt):
        report = json.loads(path.read_bytes())
        asked = {"kind": "auto", "dim": None, "recall": manifest.index.recall_target} | report["requested"]
        return Request.from_json(asked | {"chosen_for": report.get("chosen_for")}, path=path)
    return None
