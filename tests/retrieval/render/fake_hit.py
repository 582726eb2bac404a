"""A hit as reports and pages read it, without a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeHit:
    rank: int
    score: float
    path: str
    id: int = 7
    n_duplicates: int = 0
    duplicates: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    origin: None = None
    ranked_by: float | None = None
    space: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    region: tuple[float, ...] | None = None
    match: float | None = None
    verified: bool | None = None
    relation: str | None = None
    verified_probability: float | None = None
    outline: list[list[float]] | None = None
