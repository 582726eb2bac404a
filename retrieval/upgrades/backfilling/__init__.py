"""Encode the gallery again with the new encoder, and switch when all is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.upgrades.backfilling.backfill_run import BackfillReport, backfill, backfill_one

__all__ = ["BackfillReport", "backfill", "backfill_one"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "backfill_run": ("BackfillReport", "backfill", "backfill_one"),
        },
    )
