"""Bring the images of one shard in, in this process or in another one: everything that this takes and returns pickles."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.ingestion import build_one
from retrieval.ingestion.sharded.sibling_rows import SiblingRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexes.derivation import SharedTraining
    from retrieval.collection.rows import BuildReport
    from retrieval.ingestion import WholeListing
    from retrieval.ingestion.sharded.units import Ranges
    from retrieval.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardJob:
    """Bring the images of one shard in.

    Attributes:
        directory: the shard's.
        source: the text that names the source, or an open one where it stays in this process; None for the shard's own.
        ranges: which keys are whose.
        number: the shard's.
        whole: what the listing says of the rows of all shards.
        training: that it shares; None where there is none yet.
        options: of the build.
    """

    directory: str
    source: str | Source | None
    ranges: Ranges
    number: int
    whole: WholeListing
    training: SharedTraining | None
    options: Mapping[str, Any]

    def takes(self, key: bytes) -> bool:
        """Say whether a key is this shard's."""
        return self.ranges.shard_of(key) == self.number

    def enters(self, prefix: bytes) -> bool:
        """Say whether keys that begin so may be this shard's; of what is nobody's yet the first shard tells."""
        shards = self.ranges.below(prefix)
        return self.number in shards if shards else self.number == 0


def build_shard(job: ShardJob) -> BuildReport:
    """Do the job; raises as `retrieval.build_index` does."""
    directory = Path(job.directory)
    with closing(SiblingRows(directory.parent, job.number)) as siblings:
        return build_one(
            [] if job.source is None else [job.source],
            directory,
            part=job,
            whole=job.whole,
            elsewhere=siblings.vector,
            training=job.training,
            kind="flat" if job.training is None else job.training.facts.factory,
            **job.options,
        )
