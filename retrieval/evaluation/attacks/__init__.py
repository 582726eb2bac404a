"""Alter images as copies are altered, seeded: named attacks, in lists that have a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.evaluation.attacks.lists import (
        CURRENT as CURRENT,
        LISTS as LISTS,
        LONGEST as LONGEST,
        attack as attack,
        chosen as chosen,
    )
    from retrieval.evaluation.attacks.pixels import reencoded as reencoded

lazy(__name__)
