"""What a collection's rows call for: nothing, a tail, a merge, tuning or training; and the index that results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexes import flat, ivf, shards, tune
from indexes import gpu as on_gpu
from indexes.arrays import Bitmap, Ids, Vectors
from indexes.backend import gpu
from indexes.errors import StoreCorrupt
from indexes.flat import Halves
from indexes.generation import TOMBSTONES
from indexes.manifest import INDEX, IndexInfo, Manifest, check_sizes, generation_path, link_or_copy
from indexes.plan import BLOCK, Event, OnEvent, Plan, plan, require_disk, require_memory

TAIL_ROWS = 20_000
"""Rows that may wait outside the base, searched exactly, before they are merged into it; or a tenth of it, if less."""

MEASURED_ROWS = 100
"""Live rows below which recall says nothing."""

_MORE_BITS = (
    0.98  # recall from which RaBitQ with 2 bits reranks so much less that it is worth twice the bytes
)
_OUTGROWN = 2.5  # times the lists that the base has would suit the rows now: train again

ExtraQueries = Mapping[str, Vectors] | Callable[[], Mapping[str, Vectors]]

Writer = Callable[[Path], None]
"""Writes index.faiss to a path; for a flat index it writes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, with the collection's own choices filled in."""

    kind: str  # auto, flat, ivfpq, ivfrabitq or a factory string
    dim: int | None
    recall: float
    device: str

    def to_json(self) -> dict[str, Any]:
        """Return what report.json keeps of it for the next build."""
        return {"kind": self.kind, "dim": self.dim, "recall": self.recall}


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows to publish, tombstoned ones included."""

    rows: Halves  # (count, d)
    dead: Bitmap  # (count,)

    @property
    def count(self) -> int:
        """Rows, tombstoned ones included."""
        return len(self.dead)

    @property
    def live(self) -> int:
        """Rows without a tombstone."""
        return self.count - int(np.count_nonzero(self.dead))

    @property
    def alive(self) -> Bitmap | None:
        """Return ``(count,)`` flags of the live rows, None if that is all of them."""
        return ~self.dead if self.dead.any() else None


def _nothing(path: Path) -> None:
    """Write no index: a flat generation has none."""


class Revision:
    """One decision about one collection, and the index that it leads to."""

    def __init__(
        self,
        home: Path,
        now: Rows,
        asked: Request,
        before: Manifest | None,
        extra: ExtraQueries | None,
        progress: OnEvent,
    ) -> None:
        self._home, self._now, self._asked, self._before = home, now, asked, before
        self._extra, self._progress = extra, progress
        self._questions: dict[str, tune.Questions] | None = None
        self._tried: list[dict[str, Any]] = []

    def report(self, info: IndexInfo) -> dict[str, Any]:
        """Return what report.json says: the request, and every setting that was measured."""
        return {
            "requested": self._asked.to_json(),
            "kind": info.kind,
            "factory": info.factory,
            "tried": self._tried,
        }

    def unchanged(self) -> bool:
        """Say whether the published generation already answers for these rows."""
        before = self._before
        if before is None or (before.count, before.live) != (self._now.count, self._now.live):
            return False
        path = generation_path(self._home, before.generation)
        try:
            check_sizes(self._home, before)
            packed = np.load(path / TOMBSTONES, allow_pickle=False)
        except (OSError, ValueError):
            return False
        return bool(np.array_equal(packed, np.packbits(self._now.dead, bitorder="little")))

    def as_it_is(self) -> tuple[IndexInfo, Writer]:
        """Return the index that is there for all rows, those that it does not hold being its tail."""
        before = self._before
        if before is None or not self._usable(before):
            return self._flat(None), _nothing
        if before.index.kind == "flat":
            return replace(before.index, base_rows=self._now.count), _nothing
        return before.index, self._carry

    def decide(self) -> tuple[IndexInfo | None, Writer]:
        """Return what to publish; no facts for nothing at all."""
        now, before, asked = self._now, self._before, self._asked
        bits = 2 if asked.recall >= _MORE_BITS else 1
        own = None if before is None else before.index.kind
        planned = plan(
            now.live,
            now.rows.shape[1],
            kind=asked.kind,
            dim=asked.dim,
            device=asked.device,
            bits=bits,
            previous=own,
            check=False,
        )
        if before is not None and self._usable(before) and self._matches(before.index, planned):
            if planned.kind == "flat":
                same = self.unchanged() and before.index.recall_reason == planned.reason
                return (None if same else self._flat(planned.reason)), _nothing
            if not self._outgrown(before.index, planned):
                return self._kept(before, planned)
        self._progress(Event(phase="plan", message=str(planned)))
        if planned.kind == "flat":
            return self._flat(planned.reason), _nothing
        return self._built(planned)

    def _usable(self, before: Manifest) -> bool:
        try:
            check_sizes(self._home, before)
        except StoreCorrupt:
            return False
        return before.space.dim == self._now.rows.shape[1] and before.count <= self._now.count

    @staticmethod
    def _matches(info: IndexInfo, planned: Plan) -> bool:
        if (info.kind, info.dim) != (planned.kind, planned.dim):
            return False
        return planned.kind != "factory" or info.factory == planned.factory

    @staticmethod
    def _outgrown(info: IndexInfo, planned: Plan) -> bool:
        """Say whether the rows would be given so many more lists today that the base is worth training again."""
        if planned.kind == "factory" or info.factory is None or planned.factory is None:
            return False
        lists = [
            ivf.lists_of(ivf.make(factory, dim=planned.dim)) for factory in (info.factory, planned.factory)
        ]
        return lists[1] > _OUTGROWN * lists[0]

    def _flat(self, reason: str | None) -> IndexInfo:
        return IndexInfo(
            kind="flat",
            dim=self._now.rows.shape[1],
            base_rows=self._now.count,
            recall_target=self._asked.recall,
            recall_reason=reason,
        )

    def _carry(self, path: Path) -> None:
        if self._before is not None:
            link_or_copy(generation_path(self._home, self._before.generation) / INDEX, path)

    def _kept(self, before: Manifest, planned: Plan) -> tuple[IndexInfo | None, Writer]:
        """Keep what was trained: as it is, with a tail, with the tail merged, or tuned anew."""
        info, now = before.index, self._now
        retarget = info.recall_target != self._asked.recall
        path = generation_path(self._home, before.generation) / INDEX
        try:
            merge = now.count - info.base_rows > min(info.base_rows // 10, TAIL_ROWS) or self._dilapidated(
                path, info
            )
            if not merge and not retarget:
                return (None if self.unchanged() else info), self._carry
            index = ivf.load(path) if merge else ivf.open_mapped(path)
        except StoreCorrupt:
            return self._built(planned)
        if merge:
            self._merge(index, info)
            info = replace(info, base_rows=now.count)
        measured = self._measured(index, replace(info, recall_target=self._asked.recall), retarget=retarget)
        if measured is None:
            return self._built(planned)
        return measured, (lambda target: ivf.save(index, target)) if merge else self._carry

    def _dilapidated(self, path: Path, info: IndexInfo) -> bool:
        """Say whether more than a tenth of the rows in the index have got a tombstone, and can be taken out."""
        dead = int(np.count_nonzero(self._now.dead[: info.base_rows]))
        if dead * 10 <= info.base_rows:
            return False
        index = ivf.open_mapped(path)
        held = int(index.ntotal)
        return ivf.removable(index) and (dead - (info.base_rows - held)) * 10 > held

    def _merge(self, index: Any, info: IndexInfo) -> None:
        now = self._now
        self._progress(
            Event(phase="add", total=now.count - info.base_rows, message="merging new rows into the index")
        )
        if ivf.removable(index):
            ivf.remove(index, np.flatnonzero(now.dead[: info.base_rows]))
        ivf.add(index, self._blocks(index, info.base_rows))

    def _blocks(self, index: Any, start: int, stop: int | None = None) -> Iterator[tuple[Ids, Vectors]]:
        """Yield the ids and rows to add: the live ones, or all where an id must be a position."""
        now = self._now
        live_only = ivf.removable(index)
        end = now.count if stop is None else stop
        for first in range(start, end, BLOCK):
            ids = np.arange(first, min(first + BLOCK, end))
            if live_only:
                ids = ids[~now.dead[ids]]
            if len(ids):
                yield ids, _wide(now.rows, ids)
            self._progress(
                Event(
                    phase="add",
                    done=min(first + BLOCK, end) - (0 if stop else start),
                    total=now.count - (0 if stop else start),
                )
            )

    def _built(self, planned: Plan) -> tuple[IndexInfo, Writer]:
        """Train, add, tune; once more with 2 bits a dimension if 1 does not reach the target."""
        require_memory(planned)
        require_disk(planned, self._home)
        info, index = self._trained(planned)
        short = info.recall_at_10 is not None and info.recall_reason is not None
        if short and planned.kind == "ivfrabitq" and info.factory is not None and info.factory.endswith("fs"):
            self._progress(
                Event(phase="plan", message=f"{info.factory}: {info.recall_reason}; trying 2 bits")
            )
            again = plan(
                self._now.live, self._now.rows.shape[1], kind="ivfrabitq", dim=self._asked.dim, bits=2
            )
            info, index = self._trained(again)
        return info, lambda path: ivf.save(index, path)

    def _trained(self, planned: Plan) -> tuple[IndexInfo, Any]:
        now = self._now
        index = ivf.make(planned.factory or "", dim=now.rows.shape[1], prefix=planned.dim)
        device = gpu(self._asked.device)
        if now.count > shards.SHARD_ROWS and ivf.removable(index):
            index, trained = self._in_shards(index, planned, device)
        else:
            trained = self._train(index, planned, device)
            on_gpu.add(index, self._blocks(index, 0), device=device)
        info = IndexInfo(
            kind=planned.kind,
            factory=planned.factory,
            dim=planned.dim,
            base_rows=now.count,
            recall_target=self._asked.recall,
            trained_rows=trained,
        )
        return self._measured(index, info) or info, index

    def _train(self, index: Any, planned: Plan, device: int | None) -> int:
        """Train in place on a sample of the live rows; return how many those are."""
        picked = self._picked(planned)
        self._progress(Event(phase="train", total=len(picked), message=f"training on {len(picked):,} rows"))
        on_gpu.train(index, _wide(self._now.rows, picked), device=device)
        self._progress(Event(phase="train", done=len(picked), total=len(picked)))
        return len(picked)

    def _picked(self, planned: Plan) -> Ids:
        live = np.flatnonzero(~self._now.dead)
        size = min(planned.sample, len(live))
        return np.sort(np.random.default_rng(0).choice(live, size=size, replace=False))

    def _in_shards(self, index: Any, planned: Plan, device: int | None) -> tuple[Any, int]:
        """Train and fill a large index so that a build that is killed goes on where it was; return it and its sample."""
        building = self._home / shards.BUILDING
        rows, factory = self._now.rows, planned.factory or ""
        made = shards.started(building, rows, factory=factory, dim=planned.dim)
        if made is not None:
            try:
                index = shards.load_trained(building)
                self._progress(Event(phase="add", message="going on with the index that was interrupted"))
            except StoreCorrupt:
                made = None
        if made is None:
            picked = self._picked(planned)
            made = shards.recipe(factory, rows, picked, dim=planned.dim, shard_rows=shards.SHARD_ROWS)
            self._train(index, planned, device)
            shards.keep_trained(building, index, made)
        whole = index
        index = shards.filled(
            index,
            building,
            made,
            lambda first, last: self._blocks(whole, first, last),
            count=self._now.count,
            device=device,
            done=lambda done: self._progress(Event(phase="add", done=done, total=self._now.count)),
        )
        return index, made.trained

    def _measured(self, index: Any, info: IndexInfo, *, retarget: bool = False) -> IndexInfo | None:
        """Return the facts with settings that were measured.

        Settings that ``info`` has are kept if they still reach the target and it is the one that they were tuned for;
        else the index is tuned. None if that does not help an index that reached its target before: train it again.
        """
        now = self._now
        base = Rows(now.rows[: info.base_rows], now.dead[: info.base_rows])
        if base.live < MEASURED_ROWS:
            lists = ivf.lists_of(index) or None
            reason = f"fewer than {MEASURED_ROWS} rows"
            return replace(
                info,
                nprobe=lists,
                shortlist=max(base.count, 1),
                recall_at_10=None,
                recall_sample=0,
                recall_reason=reason,
            )
        questions = self._asks(base)
        stage = ivf.Refined(index, base.rows)
        selector = _selector(base, stage)
        self._progress(Event(phase="tune", message="measuring recall against exact search"))
        if info.shortlist is not None and not retarget:
            settings = tune.recall(
                stage, questions, nprobe=info.nprobe, shortlist=info.shortlist, selector=selector
            )
            if min(settings.recall.values()) >= self._asked.recall:
                return self._with(info, settings, questions, reached=True)
        result = tune.tune(stage, questions, target=self._asked.recall, selector=selector)
        self._tried += [asdict(trial) for trial in result.tried]
        if not result.reached and info.shortlist is not None and (retarget or info.recall_reason is None):
            return None
        return self._with(info, result.chosen, questions, reached=result.reached)

    def _with(
        self, info: IndexInfo, trial: tune.Trial, questions: Mapping[str, tune.Questions], *, reached: bool
    ) -> IndexInfo:
        reason = (
            None if reached else f"no setting reached {self._asked.recall}; this is the best that was found"
        )
        text = trial.recall.get("text")
        message = (
            f"recall@10 {trial.recall['image']:.3f} with nprobe {trial.nprobe}, shortlist {trial.shortlist}"
        )
        self._progress(Event(phase="tune", done=1, total=1, message=message))
        return replace(
            info,
            nprobe=trial.nprobe,
            shortlist=trial.shortlist,
            recall_at_10=round(trial.recall["image"], 4),
            recall_sample=len(questions["image"].queries),
            recall_reason=reason,
            recall_at_10_text=None if text is None else round(text, 4),
        )

    def _asks(self, base: Rows) -> dict[str, tune.Questions]:
        if self._questions is None:
            extra = self._extra() if callable(self._extra) else self._extra or {}
            self._questions = {"image": tune.stored_questions(base.rows, live=base.alive)}
            for name, queries in extra.items():
                if len(queries):
                    self._questions[name] = tune.other_questions(base.rows, queries, live=base.alive)
        return self._questions


def _selector(base: Rows, stage: ivf.Refined) -> Any:
    return ivf.selector(base.alive) if base.alive is not None and stage.filters else None


def _wide(rows: Halves, ids: Ids) -> Vectors:
    wide = np.empty((len(ids), rows.shape[1]), dtype=np.float32)
    for start in range(0, len(ids), BLOCK):
        part = rows[ids[start : start + BLOCK]]
        flat.floats(part, wide[start : start + BLOCK])
    return wide
