"""Move files away and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.moving.moves import UNDO, MoveReport, move_files, undo_moves
    from retrieval.curation.duplicates.moving.undo_file import Move

__all__ = ["UNDO", "Move", "MoveReport", "move_files", "undo_moves"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "moves": ("UNDO", "MoveReport", "move_files", "undo_moves"),
            "undo_file": ("Move",),
        },
    )
