"""What a collection's rows call for: nothing, a tail, a merge, tuning or training; and the index that results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexes import choose, flat, ivf, rotate, shards, transforms
from indexes import gpu as on_gpu
from indexes.arrays import Ids, Vectors
from indexes.backend import gpu
from indexes.errors import StoreCorrupt
from indexes.flat import Halves
from indexes.generation import TOMBSTONES, TRANSFORMS
from indexes.manifest import INDEX, IndexInfo, Manifest, check_sizes, generation_path, link_or_copy
from indexes.measured import MEASURED_ROWS, ExtraQueries, Measured, Rows
from indexes.plan import BLOCK, Event, OnEvent, Plan, plan, require_disk, require_memory
from indexes.space import Space
from indexes.transforms import Transform

TAIL_ROWS = 20_000
"""Rows that may wait outside the base, searched exactly, before they are merged into it; or a tenth of it, if less."""

_MORE_BITS = (
    0.98  # recall from which RaBitQ with 2 bits reranks so much less that it is worth twice the bytes
)
_OUTGROWN = 2.5  # times the lists that the base has would suit the rows now: train again
_CHOSEN_FOR = 4  # times the rows that ``auto`` chose a width for: choose again
_CHOICES = 3  # designs built in full until one reaches the target there too

Writer = Callable[[Path], None]
"""Writes index.faiss to a path, and what belongs to it beside it; for exact search it writes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, with the collection's own choices filled in."""

    kind: str  # auto, flat, ivfpq, ivfrabitq or a factory string
    dim: int | str | None  # a width, or auto
    recall: float
    device: str
    chosen_for: int | None = None  # live rows when auto last chose a width for this very request

    def to_json(self) -> dict[str, Any]:
        """Return what report.json keeps of it for the next build."""
        return {"kind": self.kind, "dim": self.dim, "recall": self.recall}


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
        learn: rotate.Learn | None = None,
    ) -> None:
        self._home, self._now, self._asked, self._before = home, now, asked, before
        self._progress = progress
        self._space, self._learn = space, learn
        self._measured = Measured(now, space, asked.recall, extra, progress)
        self._designs: list[dict[str, Any]] = []
        self._chosen_for = asked.chosen_for
        self._told = 0  # designs measured
        self._turned: dict[tuple[int, ...], Transform] = {}

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
            packed = np.load(path / TOMBSTONES, allow_pickle=False)
        except (OSError, ValueError):
            return False
        return bool(np.array_equal(packed, np.packbits(self._now.dead, bitorder="little")))

    def as_it_is(self) -> tuple[IndexInfo, Writer]:
        """Return the index that is there for all rows, those that it does not hold being its tail."""
        before = self._before
        if before is None or not self._usable(before):
            return self._flat(None), _nothing
        if before.index.exact:
            return replace(before.index, base_rows=self._now.count), _nothing
        return before.index, self._carry

    def decide(self) -> tuple[IndexInfo | None, Writer]:
        """Return what to publish; no facts for nothing at all."""
        before, usable = self._before, self._before is not None and self._usable(self._before)
        planned = self._planned(before if usable else None)
        if planned is None:
            return self._chosen()
        if before is not None and usable and self._matches(before.index, planned):
            if planned.factory is None:
                same = self.unchanged() and before.index.recall_reason == planned.reason
                return (None if same else self._flat(planned.reason)), _nothing
            if not self._outgrown(before.index, planned):
                return self._kept(before, planned)
        self._progress(Event(phase="plan", message=str(planned)))
        if planned.factory is None:
            return self._flat(planned.reason), _nothing
        return self._built(planned)

    def _planned(self, before: Manifest | None) -> Plan | None:
        """Return what is to be built, None where ``auto`` must measure first.

        Args:
            before: the published manifest, if its index is of use.
        """
        asked, count = self._asked, self._now.live
        own = None if self._before is None else self._before.index.kind
        bits = 2 if asked.recall >= _MORE_BITS else 1
        kind, dim, coarse = asked.kind, asked.dim, None
        if dim == "auto":
            info = None if before is None else before.index
            recent = asked.chosen_for is not None and count <= _CHOSEN_FOR * max(asked.chosen_for, 64)
            if info is None or not recent or info.recall_target != asked.recall:
                return None
            kind = info.factory if info.kind == "factory" and info.factory else info.kind
            dim, coarse = info.dim, info.coarse
            if info.exact:
                return Plan(kind="flat", factory=None, dim=dim, reason=info.recall_reason)
        width = self._space.dim
        if self._needs_turn(dim) and count < width:
            reason = f"{count:,} rows are too few for a rotation of {width} dimensions"
            return Plan(kind="flat", factory=None, dim=width, reason=reason)
        return plan(
            count,
            width,
            kind=kind,
            dim=None if dim == width else int(dim) if dim is not None else None,
            coarse=coarse,
            device=asked.device,
            bits=bits,
            previous=own,
            check=False,
        )

    def _needs_turn(self, dim: int | str | None) -> bool:
        """Say whether rows must be turned before a prefix of this width is cut."""
        return isinstance(dim, int) and dim < self._space.dim and not self._space.nesting

    def _chosen(self) -> tuple[IndexInfo | None, Writer]:
        """Measure what there is to choose from, and build the cheapest that reaches the target on all rows too."""
        now, asked = self._now, self._asked
        self._chosen_for = now.live
        if now.live < MEASURED_ROWS:
            reason = f"{now.live:,} rows are too few to choose a width by measuring"
            return self._flat(reason), _nothing
        live = np.flatnonzero(~now.dead)
        picked = np.sort(np.random.default_rng(0).permutation(live)[: choose.ROWS])
        widths = choose.widths_of(self._space)
        turn = None
        if not self._space.nesting and len(live) >= self._space.dim and widths:
            turn = self._turn(widths)
        self._progress(Event(phase="plan", message=f"--dim auto: measuring on {len(picked):,} rows"))
        designs = choose.choose(
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

    def _as(self, design: choose.Design) -> tuple[IndexInfo, Writer]:
        """Build a design, measured on a sample, for all rows."""
        if design.factory is None:
            return self._flat(None), _nothing
        width = self._space.dim
        planned = plan(
            self._now.live,
            width,
            kind=design.factory if design.kind == "factory" else design.kind,
            dim=None if design.dim == width else design.dim,
            coarse=design.coarse,
            device=self._asked.device,
            bits=2 if self._asked.recall >= _MORE_BITS else 1,
            check=False,
        )
        return self._built(planned) if planned.factory is not None else (self._flat(planned.reason), _nothing)

    def _turn(self, widths: tuple[int, ...]) -> Transform:
        """Fit the rotation for these prefixes, once."""
        if widths not in self._turned:
            self._progress(
                Event(phase="train", message="fitting a rotation: this encoder was not trained to be cut")
            )
            live = np.flatnonzero(~self._now.dead)
            turn = rotate.fit(self._space, self._now.rows, live, widths=widths, learn=self._learn)
            self._turned[widths] = turn
            self._progress(Event(phase="train", message=_of_turn(turn, widths)))
        return self._turned[widths]

    def _usable(self, before: Manifest) -> bool:
        try:
            check_sizes(self._home, before)
        except StoreCorrupt:
            return False
        return before.space.dim == self._now.rows.shape[1] and before.count <= self._now.count

    @staticmethod
    def _matches(info: IndexInfo, planned: Plan) -> bool:
        if (info.kind, info.dim, info.coarse, info.exact) != (
            planned.kind,
            planned.dim,
            planned.coarse,
            planned.factory is None,
        ):
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
            published = generation_path(self._home, self._before.generation)
            link_or_copy(published / INDEX, path)
            if TRANSFORMS in self._before.files:
                link_or_copy(published / TRANSFORMS, path.with_name(TRANSFORMS))

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
        turn = self._published_turn(before)
        measured = self._measured.of(
            index, replace(info, recall_target=self._asked.recall), turn, retarget=retarget
        )
        if measured is None:
            return self._built(planned)
        return measured, _saving(index, turn) if merge else self._carry

    def _published_turn(self, before: Manifest) -> Transform | None:
        if before.index.transform is None:
            return None
        path = generation_path(self._home, before.generation) / TRANSFORMS
        return rotate.recorded(transforms.load(path), self._space)

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
        info, index, turn = self._trained(planned)
        short = info.recall_at_10 is not None and info.recall_reason is not None
        if short and planned.kind == "ivfrabitq" and info.factory is not None and info.factory.endswith("fs"):
            self._progress(
                Event(phase="plan", message=f"{info.factory}: {info.recall_reason}; trying 2 bits")
            )
            width = self._now.rows.shape[1]
            again = plan(
                self._now.live,
                width,
                kind="ivfrabitq",
                dim=None if planned.dim == width else planned.dim,
                coarse=planned.coarse,
                bits=2,
            )
            info, index, turn = self._trained(again)
        return info, _saving(index, turn)

    def _trained(self, planned: Plan) -> tuple[IndexInfo, Any, Transform | None]:
        now = self._now
        turn = self._turn(self._widths(planned.dim)) if self._needs_turn(planned.dim) else None
        index = ivf.make(
            planned.factory or "",
            dim=now.rows.shape[1],
            prefix=planned.dim,
            rotation=None if turn is None else turn.matrix,
            coarse=planned.coarse,
        )
        device = gpu(self._asked.device)
        if now.count > shards.SHARD_ROWS and ivf.removable(index):
            index, trained = self._in_shards(index, planned, device, turn)
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
            transform=None if turn is None else turn.method,
            coarse=planned.coarse,
        )
        return self._measured.of(index, info, turn) or info, index, turn

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

    def _in_shards(
        self, index: Any, planned: Plan, device: int | None, turn: Transform | None
    ) -> tuple[Any, int]:
        """Train and fill a large index so that a build that is killed goes on where it was; return it and its sample."""
        building = self._home / shards.BUILDING
        rows = self._now.rows
        # Everything that decides what codes mean: shards of another rotation or coarse prefix are of another index.
        factory = (
            f"{planned.factory} coarse {planned.coarse} {'' if turn is None else turn.target.fingerprint}"
        )
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

    def _widths(self, dim: int) -> tuple[int, ...]:
        """Return the prefixes to fit a rotation for: those that ``auto`` has fitted it for already, or just this one."""
        return next((widths for widths in self._turned if dim in widths), (dim,))


def _saving(index: Any, turn: Transform | None) -> Writer:
    """Return what writes an index, and beside it the rotation that it contains."""

    def write(path: Path) -> None:
        ivf.save(index, path)
        if turn is not None:
            transforms.save(path.with_name(TRANSFORMS), [turn])

    return write


def _of_turn(turn: Transform, widths: tuple[int, ...]) -> str:
    """Say what a rotation keeps, and what it was compared with."""
    energy = ", ".join(f"{turn.facts['energy'][width - 1]:.3f} in the first {width}" for width in widths)
    compared = turn.facts.get("compared")
    against = (
        ""
        if compared is None
        else f"; a shortlist of {compared['shortlist']} at {compared['dim']} holds {compared['learned']:.3f} of the true ten "
        f"with the learned rotation, {compared['pca']:.3f} with PCA"
    )
    return f"rotation by {turn.method}: share of the energy {energy}{against}"


def _wide(rows: Halves, ids: Ids) -> Vectors:
    wide = np.empty((len(ids), rows.shape[1]), dtype=np.float32)
    for start in range(0, len(ids), BLOCK):
        part = rows[ids[start : start + BLOCK]]
        flat.floats(part, wide[start : start + BLOCK])
    return wide
