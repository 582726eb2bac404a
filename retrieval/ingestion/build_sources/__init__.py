"""Choose the sources of a build, and remember what each looked like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.build_sources.build_sources import (
        BuildSource as BuildSource,
        BuildSources as BuildSources,
    )
    from retrieval.ingestion.build_sources.source_choice import (
        choose_sources as choose_sources,
        only_rows_by_hand as only_rows_by_hand,
    )
    from retrieval.ingestion.build_sources.source_keys import (
        refuse_dropping as refuse_dropping,
        refuse_taken_keys as refuse_taken_keys,
        taken_by_hand as taken_by_hand,
    )
    from retrieval.ingestion.build_sources.source_memories import (
        read_memory as read_memory,
        write_memories as write_memories,
    )

lazy(__name__)
