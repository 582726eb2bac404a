"""Index the rows of one shard, in this process or in another one: everything that this takes and returns pickles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.derivation import derive
from indexes.errors import StoreCorrupt
from retrieval.collection.rows import derived_files, learn_rotation, locked, opened, plain, swept

if TYPE_CHECKING:
    from indexes.derivation import SharedTraining

__all__ = ["IndexJob", "index_shard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexJob:
    """Index the rows of one shard by a training that it shares.

    Attributes:
        directory: the shard's.
        kind: ``flat``, or the training's factory string.
        training: that; None for ``flat``.
        recall: the target.
        device: where faiss may use a GPU.
    """

    directory: str
    kind: str
    training: SharedTraining | None
    recall: float | None
    device: str


def index_shard(job: IndexJob) -> None:
    """Do the job.

    Raises:
        StoreCorrupt: the shard is not there.
    """
    directory = Path(job.directory)
    with locked(directory, is_shard=True) as lock:
        before = swept(directory)
        if before is None:
            raise StoreCorrupt(f"{directory} has no manifest.json; build again")
        facts: dict[str, Any] = {
            "space": before.space,
            "encoder": before.encoder,
            "sources": before.sources,
        }
        with opened(directory, lock, before, **facts) as growing:
            lock.check()
            derive(
                directory,
                plain(growing),
                **facts,
                kind=job.kind,
                recall=job.recall,
                training=job.training,
                device=job.device,
                learn=learn_rotation,
                derived=derived_files(before.columns),
            )
