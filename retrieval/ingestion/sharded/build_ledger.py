"""Keep what a sharded build has begun, before any shard is built: one that was killed goes on by it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from indexes.files import replace_file, writing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LEDGER: Final = "building.json"
"""The file, beside `shards.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What a build has begun.

    Attributes:
        units: of each shard by its number.
        encoder: that was named; None for the default one, or for an object.
        options: how the source is to be walked, as they were given.
    """

    units: Mapping[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    encoder: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def write_ledger(directory: Path, begun: Begun) -> None:
    """Write it beside `shards.json`."""
    path = directory / LEDGER
    units = {str(number): own for number, own in begun.units.items()}
    facts = {"encoder": begun.encoder, "options": begun.options, "units": units}
    with writing(path):
        replace_file(path, json.dumps(facts, indent=1).encode())


def read_ledger(directory: Path) -> Begun:
    """Return what a build that was killed has begun; nothing where there was none."""
    try:
        facts = json.loads((directory / LEDGER).read_bytes())
        named = facts.get("units", facts)  # units alone, as versions before wrote them
        units = {int(number): tuple((name, first) for name, first in own) for number, own in named.items()}
        return Begun(units=units, encoder=facts.get("encoder"), options=dict(facts.get("options", {})))
    except (OSError, ValueError, TypeError, AttributeError):
        return Begun()
