"""A better encoder for an old collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.backfilling import (
        BackfillReport as BackfillReport,
        backfill as backfill,
        backfill_one as backfill_one,
        complete_before as complete_before,
    )
    from retrieval.upgrades.finish import (
        drop_old as drop_old,
        finish_one as finish_one,
        finish_upgrade as finish_upgrade,
        nothing_kept as nothing_kept,
    )
    from retrieval.upgrades.history import plot_curve as plot_curve, upgrade_report as upgrade_report
    from retrieval.upgrades.record import (
        UpgradeReport as UpgradeReport,
        entry_of as entry_of,
        reencoding_entry as reencoding_entry,
        rounded as rounded,
    )
    from retrieval.upgrades.rolling_back import (
        RollbackReport as RollbackReport,
        rollback as rollback,
        rollback_one as rollback_one,
    )
    from retrieval.upgrades.rows_without_images import (
        count_by_hand as count_by_hand,
        refuse_rows_without_images as refuse_rows_without_images,
    )
    from retrieval.upgrades.start import upgrade as upgrade, upgrade_one as upgrade_one

lazy(__name__)
