"""A better encoder for an old collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.backfill_run import BackfillReport, backfill
    from retrieval.upgrades.finish import drop_old, finish_upgrade
    from retrieval.upgrades.history import plot_curve, upgrade_report
    from retrieval.upgrades.record import UpgradeReport
    from retrieval.upgrades.rollback_run import RollbackReport, rollback
    from retrieval.upgrades.upgrade_start import upgrade

__all__ = [
    "BackfillReport",
    "RollbackReport",
    "UpgradeReport",
    "backfill",
    "drop_old",
    "finish_upgrade",
    "plot_curve",
    "rollback",
    "upgrade",
    "upgrade_report",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "backfill_run": ("BackfillReport", "backfill"),
            "finish": ("drop_old", "finish_upgrade"),
            "history": ("plot_curve", "upgrade_report"),
            "record": ("UpgradeReport",),
            "rollback_run": ("RollbackReport", "rollback"),
            "upgrade_start": ("upgrade",),
        },
    )
