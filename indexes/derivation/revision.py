"""Decide how an index follows its changed rows: keep, add recent rows, merge, tune or train again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation.build_plan import Event, OnEvent, Plan, plan
from indexes.derivation.construction import Construction, Writer, needs_turn, rotations
from indexes.derivation.recent_segments import Segments, tail_rows
from indexes.derivation.tuning import MEASURED_ROWS, ExtraQueries, Measured, Rows, width_choice
from indexes.engine import ivf
from indexes.errors import StoreCorrupt
from indexes.files import link_or_copy
from indexes.generation import (
    INDEX,
    KEYS,
    NAMED,
    Exact,
    Funnel,
    IndexInfo,
    Inverted,
    KeyTable,
    Manifest,
    Request,
    check_file,
    check_sizes,
    generation_path,
    published_live,
)
from indexes.layout import TRANSFORMS
from indexes.search import prefixes_of
from indexes.vectors import Space, Transform, transforms

if TYPE_CHECKING:
    from indexes.derivation.construction import SharedTraining

_MORE_BITS = (
    0.98  # recall from which RaBitQ with 2 bits reranks so much less that it is worth twice the bytes
)
_OUTGROWN = 2.5  # times the lists that the base has would suit the rows now: train again
_CHOSEN_FOR = 4  # times the rows that ``auto`` chose a width for: choose again
_CHOICES = 3  # designs built in full until one reaches the target there too


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
        *,
        space: Space,
        renames: int,
        learn: rotations.Learn | None = None,
        training: SharedTraining | None = None,
        waiting: int | None = None,
        known: IndexInfo | None = None,
    ) -> None:
        self._training = training
        self._known = known  # what is published, of these rows or of those of another encoder
        self._waiting = waiting  # most rows that may, if fewer than usual
        self._renames = renames  # of the store, as `keytable.KeyTable` counts them
        self._home, self._now, self._asked, self._before = home, now, asked, before
        self._progress = progress
        self._space = space
        self._measured = Measured(now, asked.recall, extra, progress)
        self._construction = Construction(
            home,
            now,
            space,
            target=asked.recall,
            device=asked.device,
            measured=self._measured,
            learn=learn,
            progress=progress,
            training=training,
        )
        self._segments = Segments(home, now)
        self._designs: list[dict[str, Any]] = []
        self._chosen_for = asked.chosen_for
        self._told = 0  # designs measured

    @property
    def request(self) -> Request:
        """What was asked for, with the rows that ``auto`` chose a width for."""
        return replace(self._asked, chosen_for=self._chosen_for)

    def report(self, info: IndexInfo) -> dict[str, Any]:
        """Return what report.json says: the request, and every setting that was measured."""
        return {
            "requested": self._asked.to_json(),
            "kind": info.kind,
            "factory": info.factory,
            "tried": self._measured.tried,
            "designs": self._designs,
            "chosen_for": self._chosen_for,
        }

    def unchanged(self) -> bool:
        """Say whether the published generation already answers for these rows."""
        before = self._before
        if before is None or (before.count, before.live) != (self._now.count, self._now.live):
            return False
        path = generation_path(self._home, before.generation)
        try:
            check_sizes(self._home, before)
            if KEYS in before.files and KeyTable.renames_of(path / KEYS) != self._renames:
                return False
            live = published_live(self._home, before)
            if self._segments.are_due(before):
                return False
        except OSError:
            return False
        return not self._now.dead.any() if live is None else bool(np.array_equal(live, ~self._now.dead))

    def as_it_is(self) -> tuple[IndexInfo, Writer]:
        """Return the index that is there for all rows, those that it does not hold being its tail."""
        before = self._before
        if before is None or not self._usable(before):
            return self._flat(None), _nothing
        if isinstance(before.index, Exact):
            index = replace(before.index, base_rows=self._now.count, recall_target=self._asked.recall)
            return index, _nothing
        return before.index, self._carry

    def decide(self) -> tuple[IndexInfo | None, Writer]:
        """Return what to publish; no facts for nothing at all."""
        before, usable = self._before, self._before is not None and self._usable(self._before)
        planned = self._planned(before if usable else None)
        if planned is None:
            return self._chosen()
        if before is not None and usable and planned.suits(before.index):
            if isinstance(before.index, Exact):
                same = self.unchanged() and before.index.recall_reason == planned.reason
                return (None if same else self._flat(planned.reason)), _nothing
            if not self._outgrown(before.index, planned) and self._of_training(before):
                return self._kept(before, before.index, planned)
        if planned.factory or planned.reason or not isinstance(self._known, Exact):  # else it is no news
            self._progress(Event(phase="plan", message=str(planned)))
        if planned.factory is None:
            return self._flat(planned.reason), _nothing
        return self._construction.built(planned)

    def _planned(self, before: Manifest | None) -> Plan | None:
        """Return what is to be built, None where ``auto`` must measure first.

        Args:
            before: the published manifest, if its index is of use.
        """
        asked, count = self._asked, self._now.live
        own = None if self._before is None else self._before.index.kind
        bits = 2 if asked.recall >= _MORE_BITS else 1
        kind, dim = asked.kind, asked.dim
        if dim == "auto":
            info = None if before is None else before.index
            recent = asked.chosen_for is not None and count <= _CHOSEN_FOR * max(asked.chosen_for, 64)
            if info is None or info.retired or not recent or info.recall_target != asked.recall:
                return None
            kind, dim = info.wish, info.dim
            if isinstance(info, Exact):
                return Plan.exact(dim, info.recall_reason)
        width = self._space.dim
        if needs_turn(self._space, dim) and count < width:
            reason = f"{count:,} rows are too few for a rotation of {width} dimensions"
            return Plan.exact(width, reason)
        return plan(
            count,
            width,
            kind=kind,
            dim=None if dim == width else int(dim) if dim is not None else None,
            device=asked.device,
            bits=bits,
            previous=own,
            check=False,
        )

    def _chosen(self) -> tuple[IndexInfo | None, Writer]:
        """Measure what there is to choose from, and build the cheapest that reaches the target on all rows too."""
        now, asked = self._now, self._asked
        self._chosen_for = now.live
        if now.live < MEASURED_ROWS:
            reason = f"{now.live:,} rows are too few to choose a width by measuring"
            return self._flat(reason), _nothing
        live = np.flatnonzero(~now.dead)
        picked = np.sort(np.random.default_rng(0).permutation(live)[: width_choice.ROWS])
        widths = prefixes_of(self._space)
        turn = None
        if not self._space.nesting and len(live) >= self._space.dim and widths:
            turn = self._construction.turn(widths)
        self._progress(
            Event(phase="plan", message=f'`truncate_dim="auto"`: measuring on {len(picked):,} rows')
        )
        designs = width_choice.choose(
            now.rows[picked],
            space=self._space,
            kind=asked.kind,
            count=now.live,
            target=asked.recall,
            texts=self._measured.words(),
            turn=turn,
            bits=2 if asked.recall >= _MORE_BITS else 1,
            device=asked.device,
            tell=self._tell,
        )
        self._designs = [design.to_json() for design in designs]
        best: tuple[IndexInfo, Writer] | None = None
        for design in designs[:_CHOICES]:
            self._progress(Event(phase="plan", message=f"chosen: {design}"))
            made = self._as(design)
            if made[0].recall_reason is None:
                return made
            if best is None or (made[0].recall_at_10 or 0) > (best[0].recall_at_10 or 0):
                best = made
        return best or (self._flat(None), _nothing)

    def _tell(self, line: str) -> None:
        self._told += 1
        self._progress(Event(phase="tune", done=self._told, message=line))

    def _as(self, design: width_choice.Design) -> tuple[IndexInfo, Writer]:
        """Build a design, measured on a sample, for all rows."""
        if design.factory is None:
            return self._flat(None), _nothing
        width = self._space.dim
        planned = plan(
            self._now.live,
            width,
            kind=design.wish,
            dim=None if design.dim == width else design.dim,
            device=self._asked.device,
            bits=2 if self._asked.recall >= _MORE_BITS else 1,
            check=False,
        )
        return (
            self._construction.built(planned)
            if planned.factory is not None
            else (self._flat(planned.reason), _nothing)
        )

    def _usable(self, before: Manifest) -> bool:
        try:
            check_sizes(self._home, before)
        except StoreCorrupt:
            return False
        return before.space.dim == self._now.rows.shape[1] and before.count <= self._now.count

    def _of_training(self, before: Manifest) -> bool:
        """Say whether the published index is of the training that this collection shares with others, if it shares one."""
        if self._training is None:
            return True
        try:
            check_file(self._home, before, INDEX)
            return self._training.made(
                ivf.open_mapped(generation_path(self._home, before.generation) / INDEX)
            )
        except StoreCorrupt:
            return False

    @staticmethod
    def _outgrown(info: IndexInfo, planned: Plan) -> bool:
        """Say whether the rows would be given so many more lists today that the base is worth training again."""
        if planned.kind not in NAMED or info.factory is None or planned.factory is None:
            return False
        lists = [
            ivf.lists_of(ivf.make(factory, dim=planned.dim)) for factory in (info.factory, planned.factory)
        ]
        return lists[1] > _OUTGROWN * lists[0]

    def _flat(self, reason: str | None) -> IndexInfo:
        return Exact(
            dim=self._now.rows.shape[1],
            base_rows=self._now.count,
            recall_target=self._asked.recall,
            recall_reason=reason,
        )

    def _carry(self, path: Path) -> None:
        """Take the published index over as it is, with the segments of the rows behind it."""
        before = self._before
        if before is None:
            return
        for name in (INDEX, TRANSFORMS):
            if name in before.files:
                published = generation_path(self._home, before.generation)
                link_or_copy(published / name, path.with_name(name))
        if isinstance(before.index, Inverted):
            self._segments.carry(before, path.parent)

    def _kept(
        self, before: Manifest, info: Funnel | Inverted, planned: Plan
    ) -> tuple[IndexInfo | None, Writer]:
        """Keep what was trained: as it is, with a tail, with the tail merged, or tuned anew."""
        now = self._now
        retarget = info.recall_target != self._asked.recall
        path = generation_path(self._home, before.generation) / INDEX
        try:
            check_file(self._home, before, INDEX)
            waiting = now.count - info.base_rows
            least = tail_rows(info.base_rows)
            if self._waiting is None:
                merge = waiting > least and waiting > self._segments.most(path, info)
            else:
                merge = waiting > min(self._waiting, least)
            merge = merge or self._dilapidated(path, info)
            if not merge and not retarget:
                return (None if self.unchanged() else info), self._carry
            index = ivf.load(path) if merge else ivf.open_mapped(path)
        except StoreCorrupt:
            return self._construction.built(planned)
        if merge:
            self._construction.merge(index, info)
            info = replace(info, base_rows=now.count)
        measured = self._measured.of(
            index, replace(info, recall_target=self._asked.recall), retarget=retarget
        )
        if measured is None:
            return self._construction.built(planned)
        if merge:
            return measured, self._construction.saving(index, self._published_turn(before))
        return measured, self._carry

    def _published_turn(self, before: Manifest) -> Transform | None:
        if before.index.transform is None:
            return None
        path = generation_path(self._home, before.generation) / TRANSFORMS
        check_file(self._home, before, TRANSFORMS)
        return transforms.recorded(transforms.load(path), self._space)

    def _dilapidated(self, path: Path, info: IndexInfo) -> bool:
        """Say whether more than a tenth of the rows in the index have got a tombstone, and can be taken out."""
        dead = int(np.count_nonzero(self._now.dead[: info.base_rows]))
        if dead * 10 <= info.base_rows:
            return False
        index = ivf.open_mapped(path)
        held = int(index.ntotal)
        return ivf.removable(index) and (dead - (info.base_rows - held)) * 10 > held
