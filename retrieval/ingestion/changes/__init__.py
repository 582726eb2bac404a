"""Find what has changed since the last build, and refuse to lose much unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.changes.changes import Changes, find_changes, rows_after
    from retrieval.ingestion.changes.pruning import PROTECTED_ROWS, refuse_losing, refuse_unasked
    from retrieval.ingestion.changes.stored_files import StoredFiles

__all__ = [
    "PROTECTED_ROWS",
    "Changes",
    "StoredFiles",
    "find_changes",
    "refuse_losing",
    "refuse_unasked",
    "rows_after",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "changes": ("Changes", "find_changes", "rows_after"),
            "pruning": ("PROTECTED_ROWS", "refuse_losing", "refuse_unasked"),
            "stored_files": ("StoredFiles",),
        },
    )
