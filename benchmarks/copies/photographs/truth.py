"""Know which photographs of the data are one picture under two names: pairs that were looked at by eye."""

from __future__ import annotations

from functools import cache
from pathlib import Path

LOOKED_AT = Path(__file__).with_name("looked_at.tsv")
"""Pairs that this benchmark verified and somebody looked at: relation, the one photograph, the other; a tab between."""

JUDGED = Path(__file__).parents[2] / "copies_judged.tsv"


def relation_of(one: str, other: str) -> str:
    """Return what a person said of a pair: ``picture``, ``scene``, ``object`` or ``none``; empty where nobody looked at it."""
    return _known().get(frozenset((one, other)), "")


@cache
def _known() -> dict[frozenset[str], str]:
    known: dict[frozenset[str], str] = {}
    for path in (JUDGED, LOOKED_AT):
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            relation, one, other = line.split("\t")[:3]
            known[frozenset((one, other))] = relation
    return known
