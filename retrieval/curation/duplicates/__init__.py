"""Sets of the same bytes, pixels, picture or scene: find, review, move away and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.finding import duplicates as duplicates
    from retrieval.curation.duplicates.judgements import (
        DECISIONS as DECISIONS,
        Decision as Decision,
        Decisions as Decisions,
        parse_decisions as parse_decisions,
        read_decisions as read_decisions,
        write_decisions as write_decisions,
    )
    from retrieval.curation.duplicates.moving import (
        UNDO as UNDO,
        MoveReport as MoveReport,
        undo_moves as undo_moves,
    )
    from retrieval.curation.duplicates.review import (
        review_html as review_html,
        review_policy as review_policy,
    )
    from retrieval.curation.duplicates.sets import (
        KEEP as KEEP,
        KINDS as KINDS,
        DuplicateImage as DuplicateImage,
        Duplicates as Duplicates,
        DuplicateSet as DuplicateSet,
    )

lazy(__name__)
