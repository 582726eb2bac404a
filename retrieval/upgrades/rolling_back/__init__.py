"""Roll a collection back to its previous encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.rolling_back.rollback_run import (
        RollbackReport as RollbackReport,
        rollback as rollback,
        rollback_one as rollback_one,
    )

lazy(__name__)
