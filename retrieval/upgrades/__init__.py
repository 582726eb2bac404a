"""A better encoder for an old collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.backfilling import BackfillReport, backfill, backfill_one
    from retrieval.upgrades.finish import drop_old, finish_one, finish_upgrade
    from retrieval.upgrades.history import plot_curve, upgrade_report
    from retrieval.upgrades.record import UpgradeReport, entry_of, reencoding_entry, rounded
    from retrieval.upgrades.rolling_back import RollbackReport, rollback, rollback_one
    from retrieval.upgrades.rows_without_images import count_by_hand, refuse_rows_without_images
    from retrieval.upgrades.start import upgrade, upgrade_one

__all__ = [
    "BackfillReport",
    "RollbackReport",
    "UpgradeReport",
    "backfill",
    "backfill_one",
    "count_by_hand",
    "drop_old",
    "entry_of",
    "finish_one",
    "finish_upgrade",
    "plot_curve",
    "reencoding_entry",
    "refuse_rows_without_images",
    "rollback",
    "rollback_one",
    "rounded",
    "upgrade",
    "upgrade_one",
    "upgrade_report",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "backfilling": ("BackfillReport", "backfill", "backfill_one"),
            "finish": ("drop_old", "finish_one", "finish_upgrade"),
            "history": ("plot_curve", "upgrade_report"),
            "record": ("UpgradeReport", "entry_of", "reencoding_entry", "rounded"),
            "rolling_back": ("RollbackReport", "rollback", "rollback_one"),
            "rows_without_images": ("count_by_hand", "refuse_rows_without_images"),
            "start": ("upgrade", "upgrade_one"),
        },
    )
