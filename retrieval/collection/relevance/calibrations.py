"""Find what was calibrated for a collection: by its owner, or with the package."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from zipfile import BadZipFile

from retrieval.collection.relevance.background import Background
from retrieval.collection.relevance.calibration import Calibration
from retrieval.collection.relevance.match_signals import VERSION
from retrieval.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexes.generation import FileCheck
    from indexes.vectors import Space

Kind: TypeAlias = Literal["words", "images"]
"""What a query is made of."""

FOLDER: Final = "relevance"
"""Where a collection keeps what was calibrated for it; it may be deleted at any time."""

GREATEST_ERROR: Final = 0.1
"""Calibration error above which nothing is said of a match."""

_FACTS, _VECTORS = "calibration.json", "background.npz"
_CURE = (
    "the calibration of matches is damaged, so hits have no `match`; `calibrate_matches` makes it anew, "
    "and without this folder what the encoder comes with counts"
)
_DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile)
"""What reading a damaged file raises."""

_SHIPPED, _HOME = ("nano-1", "nano-2"), Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevance:
    """What tells how probable a match is, in one space.

    Attributes:
        background: photographs that are not in the collection.
        kinds: how probable a match is, for each kind of queries that was calibrated well enough.
    """

    background: Background
    kinds: Mapping[str, Calibration]


def calibrated(directory: Path, space: Space) -> Relevance | None:
    """Return what was calibrated for the vectors of a collection; None if nothing was.

    Raises:
        StoreCorrupt: the collection's own calibration is damaged.
    """
    path = f"{directory}/{FOLDER}/{_FACTS}"
    if not os.access(path, os.F_OK):  # asked for each query: an exception would cost more than all else here
        return _shipped(space.fingerprint)
    own = _read_own(Path(path), os.stat(path).st_mtime_ns, space.fingerprint)
    return own or _shipped(space.fingerprint)


def is_shipped(space: Space) -> bool:
    """Say whether the package has a calibration for the vectors of an encoder."""
    return _shipped(space.fingerprint) is not None


def write_calibrations(
    directory: Path, space: Space, background: Background, kinds: Mapping[Kind, Calibration]
) -> None:
    """Keep what was calibrated beside a collection, in place of what was before."""
    from indexes import files as durable

    folder = directory / FOLDER
    folder.mkdir(exist_ok=True)
    background.write(folder / _VECTORS)
    facts = {
        "space": space.name,
        "fingerprint": space.fingerprint,
        "signals": VERSION,
        "kinds": {kind: one.to_json() for kind, one in kinds.items()},
    }
    with durable.replacing(folder / _FACTS) as file:
        file.write(json.dumps(facts, indent=1).encode())


def check_calibration(directory: Path) -> list[FileCheck]:
    """Check what was calibrated for a collection; nothing where there is none."""
    from indexes.generation import FileCheck

    path = directory / FOLDER / _FACTS
    if not path.exists():
        return []
    try:
        facts = json.loads(path.read_bytes())
        if facts["signals"] == VERSION:
            Background.read(path.with_name(_VECTORS))
            _kinds(facts)
    except _DAMAGES:
        return [FileCheck(path=FOLDER, ok=False, cure=_CURE)]
    return [FileCheck(path=FOLDER, ok=True)]


@lru_cache(maxsize=8)
def _read_own(path: Path, _changed: int, fingerprint: str) -> Relevance | None:
    try:
        facts = json.loads(path.read_bytes())
        if facts["fingerprint"] != fingerprint or facts.get("signals") != VERSION:
            return None
        return Relevance(background=Background.read(path.with_name(_VECTORS)), kinds=_kinds(facts))
    except _DAMAGES as error:
        raise StoreCorrupt(f"{path.parent}: {_CURE}") from error


@lru_cache(maxsize=8)
def _shipped(fingerprint: str) -> Relevance | None:
    for name in _SHIPPED:
        facts = json.loads((_HOME / f"{name}.json").read_bytes())
        if facts["fingerprint"] == fingerprint:
            with (_HOME / f"{name}.npz").open("rb") as file:
                return Relevance(background=Background.read(file), kinds=_kinds(facts))
    return None


def _kinds(facts: Any) -> dict[str, Calibration]:
    found = {kind: Calibration.from_json(one) for kind, one in facts["kinds"].items()}
    return {kind: one for kind, one in found.items() if one.error <= GREATEST_ERROR}
