"""A better encoder for an old collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.backfill import BackfillReport, backfill
    from retrieval.upgrades.finish import drop_old, finish_upgrade
    from retrieval.upgrades.history import plot_curve, upgrade_report
    from retrieval.upgrades.record import UpgradeReport, entry_of, reencoding_entry, rounded
    from retrieval.upgrades.rollback import RollbackReport, rollback
    from retrieval.upgrades.rows_without_images import count_by_hand, refuse_rows_without_images
    from retrieval.upgrades.start import upgrade

__all__ = [
    "BackfillReport",
    "RollbackReport",
    "UpgradeReport",
    "backfill",
    "count_by_hand",
    "drop_old",
    "entry_of",
    "finish_upgrade",
    "plot_curve",
    "reencoding_entry",
    "refuse_rows_without_images",
    "rollback",
    "rounded",
    "upgrade",
    "upgrade_report",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "backfill": ("BackfillReport", "backfill"),
            "finish": ("drop_old", "finish_upgrade"),
            "history": ("plot_curve", "upgrade_report"),
            "record": ("UpgradeReport", "entry_of", "reencoding_entry", "rounded"),
            "rollback": ("RollbackReport", "rollback"),
            "rows_without_images": ("count_by_hand", "refuse_rows_without_images"),
            "start": ("upgrade",),
        },
    )
