"""The truth, in LMDB."""

from __future__ import annotations

from indexes.store import seals
from indexes.store.commit_pace import CommitPace
from indexes.store.lock import WriterLock
from indexes.store.mirror import RERANK, RerankRows
from indexes.store.records import SOURCES, NewRow, Record, key_and_stamp, pack_id, source_of, unpack_id
from indexes.store.store import VectorStore

__all__ = [
    "RERANK",
    "SOURCES",
    "CommitPace",
    "NewRow",
    "Record",
    "RerankRows",
    "VectorStore",
    "WriterLock",
    "key_and_stamp",
    "pack_id",
    "seals",
    "source_of",
    "unpack_id",
]
