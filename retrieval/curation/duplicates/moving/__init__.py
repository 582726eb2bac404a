"""Move files away and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.moving.moves import (
        UNDO as UNDO,
        MoveReport as MoveReport,
        move_files as move_files,
        undo_moves as undo_moves,
    )
    from retrieval.curation.duplicates.moving.undo_file import Move as Move

lazy(__name__)
