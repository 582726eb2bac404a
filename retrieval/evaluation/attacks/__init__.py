"""Alter images as copies are altered, seeded: named attacks, in lists that have a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.evaluation.attacks.lists import CURRENT, LISTS, LONGEST, attack, chosen
    from retrieval.evaluation.attacks.pixels import reencoded

__all__ = ["CURRENT", "LISTS", "LONGEST", "attack", "chosen", "reencoded"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {"lists": ("CURRENT", "LISTS", "LONGEST", "attack", "chosen"), "pixels": ("reencoded",)},
    )
