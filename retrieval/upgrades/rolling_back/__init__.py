"""Roll a collection back to its previous encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.rolling_back.rollback_run import RollbackReport, rollback, rollback_one

__all__ = ["RollbackReport", "rollback", "rollback_one"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "rollback_run": ("RollbackReport", "rollback", "rollback_one"),
        },
    )
