"""What a build is asked for, with the collection's own choices filled in."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.generation import REPORT
from indexes.manifest import Manifest, generation_path

RECALL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, with the collection's own choices filled in."""

    kind: str  # auto, flat, ivfpq, ivfrabitq or a factory string
    dim: int | str | None  # a width, or auto
    recall: float
    device: str
    chosen_for: int | None = None  # live rows when auto last chose a width for this very request

    def is_new_to(self, home: Path, manifest: Manifest) -> bool:
        """Say whether a published generation was asked for something else."""
        own, _ = _recorded(home, manifest)
        known = (own.get("kind", "auto"), own.get("dim"), manifest.index.recall_target)
        return known != (self.kind, self.dim, self.recall)

    def to_json(self) -> dict[str, Any]:
        """Return what report.json keeps of it for the next build."""
        return {"kind": self.kind, "dim": self.dim, "recall": self.recall}


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
    own, chosen_for = ({}, None) if before is None else _recorded(home, before)
    if kind is None and dim is None:
        dim = own.get("dim")
    if recall is None:
        recall = own.get("recall", RECALL) if before is None else before.index.recall_target
    kind = own.get("kind", "auto") if kind is None else kind
    same = (kind, dim) == (own.get("kind"), own.get("dim"))
    return Request(
        kind=kind, dim=dim, recall=float(recall), device=device, chosen_for=chosen_for if same else None
    )


def _recorded(home: Path, manifest: Manifest) -> tuple[dict[str, Any], int | None]:
    """Return what a published generation was asked for, and for how many live rows a width was chosen."""
    with suppress(OSError, ValueError):
        report = json.loads((generation_path(home, manifest.generation) / REPORT).read_bytes())
        return report.get("requested", {}), report.get("chosen_for")
    return {}, None
