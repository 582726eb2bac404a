"""Say what two images are to each other: what a comparison found, and what people decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.curation.duplicates.judgements.decisions import (
        DECISIONS as DECISIONS,
        Decision as Decision,
        Decisions as Decisions,
        Judged as Judged,
        parse_decisions as parse_decisions,
        read_decisions as read_decisions,
        write_decisions as write_decisions,
    )
    from retrieval.curation.duplicates.judgements.judgements import (
        NOTHING as NOTHING,
        Judgement as Judgement,
        Overlay as Overlay,
        common_share as common_share,
        outside as outside,
    )

lazy(__name__)
