"""Start an upgrade: choose encoders and a plan, take the place of an unfinished one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.start.plan import REENCODE as REENCODE, UNMEASURED as UNMEASURED, Plan as Plan
    from retrieval.upgrades.start.upgrade_start import upgrade as upgrade, upgrade_one as upgrade_one

lazy(__name__)
