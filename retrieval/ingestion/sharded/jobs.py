"""Do the work of one shard, in this process or in another one: everything that it takes and returns pickles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.derivation import derive
from indexes.errors import StoreCorrupt
from retrieval.collection.rows import derived_files, learn_rotation, locked, opened, plain, swept
from retrieval.ingestion import build_one

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexes.derivation import SharedTraining
    from retrieval.collection.rows import BuildReport
    from retrieval.ingestion.sharded.units import Ranges
    from retrieval.sources import Source

__all__ = ["IndexJob", "ShardJob", "build_shard", "index_shard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardJob:
    """Bring the images of one shard in.

    Attributes:
        directory: the shard's.
        source: the text that names the source, or an open one where it stays in this process; None for the shard's own.
        ranges: which keys are whose.
        number: the shard's.
        training: that it shares; None where there is none yet.
        options: of the build.
    """

    directory: str
    source: str | Source | None
    ranges: Ranges
    number: int
    training: SharedTraining | None
    options: Mapping[str, Any]

    def takes(self, key: bytes) -> bool:
        """Say whether a key is this shard's."""
        return self.ranges.shard_of(key) == self.number


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


def build_shard(job: ShardJob) -> BuildReport:
    """Do the first job; raises as `retrieval.build_index` does."""
    return build_one(
        [] if job.source is None else [job.source],
        Path(job.directory),
        takes=job.takes,
        training=job.training,
        kind="flat" if job.training is None else job.training.facts.factory,
        **job.options,
    )


def index_shard(job: IndexJob) -> None:
    """Do the second job.

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
