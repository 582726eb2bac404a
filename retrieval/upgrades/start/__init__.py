"""Start an upgrade: choose encoders and a plan, take the place of an unfinished one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.start.plan import REENCODE, Plan
    from retrieval.upgrades.start.upgrade_start import upgrade, upgrade_one

__all__ = ["REENCODE", "Plan", "upgrade", "upgrade_one"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "plan": ("Plan", "REENCODE"),
            "upgrade_start": ("upgrade", "upgrade_one"),
        },
    )
