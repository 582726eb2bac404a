"""The truth, in LMDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.store.commit_pace import CommitPace as CommitPace
    from indexes.store.lock import WriterLock as WriterLock
    from indexes.store.mirror import RERANK as RERANK, RerankRows as RerankRows
    from indexes.store.row_maps import map_together as map_together
    from indexes.store.store import VectorStore as VectorStore
    from indexes.store.tables import (
        SOURCES as SOURCES,
        NewRow as NewRow,
        Record as Record,
        content_of as content_of,
        key_and_stamp as key_and_stamp,
        keys_and_stamps as keys_and_stamps,
        pack_id as pack_id,
        seals as seals,
        source_of as source_of,
        unpack_id as unpack_id,
    )

lazy(__name__)
