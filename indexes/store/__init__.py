"""The truth, in LMDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.store.commit_pace import CommitPace
    from indexes.store.lock import WriterLock
    from indexes.store.mirror import RERANK, RerankRows
    from indexes.store.row_maps import map_together
    from indexes.store.store import VectorStore
    from indexes.store.tables import (
        SOURCES,
        NewRow,
        Record,
        content_of,
        key_and_stamp,
        pack_id,
        seals,
        source_of,
        unpack_id,
    )
else:
    __getattr__ = lazy(
        __name__,
        {
            "commit_pace": ("CommitPace",),
            "lock": ("WriterLock",),
            "mirror": ("RERANK", "RerankRows"),
            "row_maps": ("map_together",),
            "store": ("VectorStore",),
            "tables": (
                "NewRow",
                "Record",
                "SOURCES",
                "content_of",
                "key_and_stamp",
                "pack_id",
                "seals",
                "source_of",
                "unpack_id",
            ),
        },
    )

__all__ = [
    "RERANK",
    "SOURCES",
    "CommitPace",
    "NewRow",
    "Record",
    "RerankRows",
    "VectorStore",
    "WriterLock",
    "content_of",
    "key_and_stamp",
    "map_together",
    "pack_id",
    "seals",
    "source_of",
    "unpack_id",
]
