"""Find what has changed since the last build, and refuse to lose much unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.changes.changes import (
        Changes as Changes,
        find_changes as find_changes,
        rows_after as rows_after,
    )
    from retrieval.ingestion.changes.pruning import (
        PROTECTED_ROWS as PROTECTED_ROWS,
        WholeListing as WholeListing,
        refuse_losing as refuse_losing,
        refuse_unasked as refuse_unasked,
    )
    from retrieval.ingestion.changes.stored_files import StoredFiles as StoredFiles

lazy(__name__)
