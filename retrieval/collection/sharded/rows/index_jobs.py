"""Index the rows of one shard, in this process or in another one: everything that this takes and returns pickles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from indexes.errors import StoreCorrupt
from indexes.generation import Inverted
from retrieval.collection.rows import index_again, locked, swept

if TYPE_CHECKING:
    from indexes.derivation import SharedTraining


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
        made = index_again(
            directory,
            before,
            lock,
            kind=job.kind,
            recall=job.recall,
            training=_with_settings(job.training),
            device=job.device,
        )
    index = made.index
    reached = isinstance(index, Inverted) and index.recall_reason is None
    if job.training is not None and reached and index.nprobe and index.shortlist:
        _settings[job.training.facts.sha256] = index.nprobe, index.shortlist


_settings: dict[str, tuple[int, int]] = {}
"""What the last shard of a training that this process has indexed was tuned to: the next one is alike, and tuning takes longer than to see that."""


def _with_settings(training: SharedTraining | None) -> SharedTraining | None:
    """Return a training with the settings that this process knows of it."""
    return training and replace(training, settings=_settings.get(training.facts.sha256))
