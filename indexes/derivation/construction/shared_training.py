"""Train one first stage for several collections, so that their codes compare and a query's lists are chosen once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexes.derivation import Event, OnEvent, plan
from indexes.derivation.construction.construction import wide_rows
from indexes.derivation.tuning import Rows
from indexes.engine import factory_strings, gpu, gpu_index, ivf, nearest
from indexes.errors import OptionError, StoreCorrupt
from indexes.files import PARTIAL, move, sha256, sync_directory, sync_file, writing
from indexes.generation import Training
from indexes.search import JOINED_BYTES
from indexes.vectors import Ids, Vectors, spread

TRAINING = "training"
"""The directory of the training, in that of the whole. A file is named by its hash: another training replaces no file."""

ROWS_PER_LIST = 32
"""Rows that a list of a shard holds at least, on average, where lists are too large to be joined: FAISS scans so many at once.

Of 8 shards of 25,000 rows, asked one after the other, a query took 3.3 times the CPU of one collection with 200 rows a list, and 2.2 with 50.
"""

JOINED_ROWS_PER_LIST = 4
"""The same where they can be joined (`indexes.search.UnitedShards`): then as many lists are best as for one collection."""

FIT_ROWS = 1000
"""Rows of a shard by which it is measured how well a training fits."""

_COMPARED = 16  # centroids by which an index is recognised


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTraining:
    """A trained, empty index that several collections fill.

    Attributes:
        path: its file.
        facts: what is recorded of it.
        settings: lists to probe and the shortlist that another of the collections was tuned to; None where none is known. They are
            kept where they reach the target here, too.
    """

    path: Path
    facts: Training
    settings: tuple[int, int] | None = None

    @classmethod
    def of(cls, directory: Path, facts: Training) -> SharedTraining:
        """Return the training of the sharded collection in ``directory``."""
        return cls(path=directory / TRAINING / f"{facts.sha256[:16]}.faiss", facts=facts)

    def check(self) -> None:
        """Make sure that the file is what was trained.

        Raises:
            StoreCorrupt: it is missing, or was changed.
        """
        if not self.path.is_file() or sha256(self.path) != self.facts.sha256:
            raise StoreCorrupt(
                f"{self.path}: the training that all shards share is missing or damaged; copy it from a backup, or train again: "
                "`build_index` with `retrain=True`"
            )

    def load(self) -> Any:
        """Return the index, trained and empty, in memory of its own; raises as `check` does."""
        self.check()
        return ivf.load(self.path)

    def made(self, index: Any) -> bool:
        """Say whether an index is of this training: it has the same first centroids."""
        own = ivf.load(self.path)  # held: what is innermost is a part of it
        mine, others = ivf.innermost(own), ivf.innermost(index)
        if getattr(mine, "nlist", 0) != getattr(others, "nlist", 0) or type(mine) is not type(others):
            return False
        some = min(_COMPARED, mine.nlist)
        return bool(
            np.array_equal(mine.quantizer.reconstruct_n(0, some), others.quantizer.reconstruct_n(0, some))
        )


def sweep_trainings(directory: Path, kept: Training | None) -> None:
    """Remove every training from the directory of the whole but the one that is published."""
    known = None if kept is None else SharedTraining.of(directory, kept).path.name
    with suppress(OSError):
        for path in (directory / TRAINING).iterdir():
            if path.name != known:
                path.unlink()


def shared_factory(
    kind: str, shards: Sequence[int], *, width: int, device: str = "cpu", bits: int = 1
) -> str | None:
    """Return the factory string of the first stage that suits several shards; None where every row is compared.

    Args:
        kind: ``auto``, ``flat``, ``ivfpq``, ``ivfrabitq`` or a FAISS factory string.
        shards: live rows of each.
        width: of the rows.
        device: as `plan` has it.
        bits: bits a dimension of ``ivfrabitq``.
    Raises:
        OptionError: the kind is not one, or has no lists, so that shards could not share its training.
    """
    total = sum(shards)
    planned = plan(total, width, kind=kind, device=device, check=False)
    if planned.factory is None:
        return None
    if planned.kind == "factory":
        if not ivf.lists_of(ivf.make(planned.factory, dim=width)):
            raise OptionError(
                f"index kind {kind!r} has no inverted lists, which the shards of a collection share; "
                'use auto, flat, ivfpq, ivfrabitq or an "IVF…" factory string'
            )
        return planned.factory
    least = JOINED_ROWS_PER_LIST if planned.disk <= JOINED_BYTES else ROWS_PER_LIST
    lists = min(factory_strings.lists_for(total), max(1, max(shards) // least))
    return factory_strings.factory_for(planned.kind, rows=total, dim=width, lists=lists, bits=bits)


def train_together(
    directory: Path, shards: Sequence[Rows], factory: str, *, device: str, progress: OnEvent
) -> SharedTraining:
    """Train a first stage on a sample over all shards and keep it in the directory of the whole.

    Args:
        directory: of the whole.
        shards: the rows of each.
        factory: the FAISS factory string.
        device: where faiss may use a GPU.
        progress: is told of it.
    Raises:
        OptionError: there are too few rows to train on.
        StoreFull, StoreReadOnly: it cannot be written.
    """
    width = shards[0].rows.shape[1]
    planned = plan(sum(one.live for one in shards), width, kind=factory, check=False)
    if planned.factory is None:
        raise OptionError(f"{factory} cannot be trained: {planned.reason}")
    picked = _picked(shards, planned.sample)
    size = sum(map(len, picked))
    progress(Event(phase="train", total=size, message=f"training on {size:,} rows of {len(shards)} shards"))
    sample = np.concatenate([wide_rows(one.rows, ids) for one, ids in zip(shards, picked, strict=True)])
    index = ivf.make(factory, dim=width)
    gpu_index.train(index, sample, device=gpu(device))
    residuals = tuple(round(nearest.list_residual(index, _some(one)), 6) for one in shards)
    progress(Event(phase="train", done=size, total=size))
    partial = directory / TRAINING / f"{PARTIAL}trained.faiss"
    with writing(partial):
        partial.parent.mkdir(exist_ok=True)
        ivf.save(index, partial)
        sync_file(partial)
        facts = Training(factory=factory, sha256=sha256(partial), rows=size, residuals=residuals)
        made = SharedTraining.of(directory, facts)
        move(partial, made.path)
        sync_directory(directory)
    return made


def _some(shard: Rows) -> Vectors:
    """Return some live rows of a shard, spread evenly: ``(m, d)``."""
    live = np.flatnonzero(~shard.dead)
    return wide_rows(shard.rows, live[spread(len(live), FIT_ROWS)])


def _picked(shards: Sequence[Rows], size: int) -> list[Ids]:
    """Draw rows from all shards, as many from each as it has a share of them; ascending ids of each."""
    live = [np.flatnonzero(~one.dead) for one in shards]
    total = sum(map(len, live))
    generator = np.random.default_rng(0)
    places = np.sort(generator.choice(total, size=min(size, total), replace=False))
    ends = np.cumsum([0, *map(len, live)])
    return [
        ids[places[(places >= first) & (places < last)] - first]
        for ids, first, last in zip(live, ends[:-1], ends[1:], strict=True)
    ]
