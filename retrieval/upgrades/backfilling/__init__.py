"""Encode the gallery again with the new encoder, and switch when all is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.backfilling.backfill_run import (
        BackfillReport as BackfillReport,
        backfill as backfill,
        backfill_one as backfill_one,
        complete_before as complete_before,
    )

lazy(__name__)
