"""Train, fill, measure and write the index that a plan names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation import BLOCK, Event, OnEvent, Plan, plan, require_disk, require_memory
from indexes.derivation.construction import parts, rotations
from indexes.derivation.tuning import Measured, Rows
from indexes.engine import gpu, gpu_index as on_gpu, ivf
from indexes.errors import StoreCorrupt
from indexes.generation import Funnel, IndexInfo, Inverted
from indexes.layout import TRANSFORMS
from indexes.vectors import Halves, Ids, Space, Transform, Vectors, floats, transforms

if TYPE_CHECKING:
    from indexes.derivation.construction.shared_training import SharedTraining

Writer = Callable[[Path], None]
"""Writes index.faiss to a path, and what belongs to it beside it; for exact search it writes nothing."""


class Construction:
    """Rows, where they lie, and what indexes over them are made with.

    Args:
        home: the collection's directory, where shards wait.
        now: the rows.
        space: theirs.
        target: recall@10 to reach.
        device: where faiss may use a GPU to train and to encode.
        measured: measures what was made.
        learn: improves on a PCA rotation, where one is fitted.
        progress: is told of each step.
        training: that this collection shares with others; its own rows are not trained on then.
    """

    def __init__(
        self,
        home: Path,
        now: Rows,
        space: Space,
        *,
        target: float,
        device: str,
        measured: Measured,
        learn: rotations.Learn | None,
        progress: OnEvent,
        training: SharedTraining | None = None,
    ) -> None:
        self._training = training
        self._home, self._now, self._space = home, now, space
        self._target, self._device = target, device
        self._measured, self._learn, self._progress = measured, learn, progress
        self._turned: dict[tuple[int, ...], Transform] = {}

    def turn(self, widths: tuple[int, ...]) -> Transform:
        """Fit the rotation for these prefixes, once."""
        if widths not in self._turned:
            self._progress(
                Event(phase="train", message="fitting a rotation: this encoder was not trained to be cut")
            )
            live = np.flatnonzero(~self._now.dead)
            turn = rotations.fit(self._space, self._now.rows, live, widths=widths, learn=self._learn)
            self._turned[widths] = turn
            self._progress(Event(phase="train", message=_of_turn(turn, widths)))
        return self._turned[widths]

    def built(self, planned: Plan) -> tuple[IndexInfo, Writer]:
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
                bits=2,
            )
            info, index, turn = self._trained(again)
        return info, self.saving(index, turn)

    def merge(self, index: Any, info: IndexInfo) -> None:
        """Take tombstoned rows out of an index in memory, and add those that it does not hold."""
        now = self._now
        self._progress(
            Event(phase="add", total=now.count - info.base_rows, message="merging new rows into the index")
        )
        if ivf.removable(index):
            ivf.remove(index, np.flatnonzero(now.dead[: info.base_rows]))
        ivf.add(index, self._blocks(index, info.base_rows))

    def saving(self, index: Any, turn: Transform | None) -> Writer:
        """Return what writes an index, and beside it the rotation that it contains."""

        def write(path: Path) -> None:
            ivf.save(index, path)
            if turn is not None:
                transforms.save(path.with_name(TRANSFORMS), [turn])

        return write

    def _trained(self, planned: Plan) -> tuple[IndexInfo, Any, Transform | None]:
        now = self._now
        turn = self.turn(self._widths(planned.dim)) if needs_turn(self._space, planned.dim) else None
        shared = self._training
        index = (
            shared.load()
            if shared is not None
            else ivf.make(
                planned.factory or "",
                dim=now.rows.shape[1],
                prefix=planned.dim,
                rotation=None if turn is None else turn.matrix,
            )
        )
        device = gpu(self._device)
        self._say_what_differs(index, planned, device)
        if now.count > parts.SHARD_ROWS and ivf.removable(index):
            index, trained = self._in_shards(index, planned, device, turn)
        else:
            trained = shared.facts.rows if shared is not None else self._train(index, planned, device)
            on_gpu.add(index, self._blocks(index, 0), device=device)
        facts: dict[str, Any] = {
            "factory": planned.factory,
            "dim": planned.dim,
            "base_rows": now.count,
            "recall_target": self._target,
            "trained_rows": trained,
            "transform": None if turn is None else turn.method,
        }
        info: Funnel | Inverted = (
            Funnel(**facts) if planned.type is Funnel else Inverted(kind=planned.kind, **facts)
        )
        known = None if shared is None else shared.settings
        return self._measured.of(index, info, known=known) or info, index, turn

    def _say_what_differs(self, index: Any, planned: Plan, device: int | None) -> None:
        """Tell of what is made otherwise than asked: another metric, or no GPU where one was named."""
        notes = [ivf.metric_note(index, str(planned.factory))]
        if self._device.startswith("cuda"):
            if device is None:
                notes.append(f"{self._device}: faiss can use no such GPU, so the index is built on the CPU")
            elif not on_gpu.holds(index):
                rest = (
                    "it finds the lists, and the CPU does the rest"
                    if ivf.lists_of(index)
                    else "the CPU builds it"
                )
                notes.append(
                    f"{self._device}: a GPU cannot hold {planned.factory}; {rest}; "
                    '`kind="ivfpq"` is one that it can hold'
                )
        for note in filter(None, notes):
            self._progress(Event(phase="plan", message=note))

    def _train(self, index: Any, planned: Plan, device: int | None) -> int:
        """Train in place on a sample of the live rows; return how many those are."""
        picked = self._picked(planned)
        self._progress(Event(phase="train", total=len(picked), message=f"training on {len(picked):,} rows"))
        on_gpu.train(index, wide_rows(self._now.rows, picked), device=device)
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
        building = self._home / parts.BUILDING
        rows = self._now.rows
        # Everything that decides what codes mean: shards of another rotation are of another index.
        shared = self._training
        mark = shared.facts.sha256 if shared is not None else "" if turn is None else turn.target.fingerprint
        factory = f"{planned.factory} {mark}"
        made = parts.started(building, rows, factory=factory, dim=planned.dim)
        if made is not None:
            try:
                index = parts.load_trained(building)
                self._progress(Event(phase="add", message="going on with the index that was interrupted"))
            except StoreCorrupt:
                made = None
        if made is None:
            picked = self._picked(planned)
            made = parts.recipe(factory, rows, picked, dim=planned.dim, shard_rows=parts.SHARD_ROWS)
            if shared is None:
                self._train(index, planned, device)
            parts.keep_trained(building, index, made)
        whole = index
        index = parts.filled(
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
                yield ids, wide_rows(now.rows, ids)
            self._progress(
                Event(
                    phase="add",
                    done=min(first + BLOCK, end) - (0 if stop else start),
                    total=now.count - (0 if stop else start),
                )
            )


def needs_turn(space: Space, dim: int | str | None) -> bool:
    """Say whether rows must be turned before a prefix of this width is cut."""
    return isinstance(dim, int) and dim < space.dim and not space.nesting


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


def wide_rows(rows: Halves, ids: Ids) -> Vectors:
    """Return some rows ``(n, d)`` as float32: ``(m, d)``."""
    wide = np.empty((len(ids), rows.shape[1]), dtype=np.float32)
    for start in range(0, len(ids), BLOCK):
        part = rows[ids[start : start + BLOCK]]
        floats(part, wide[start : start + BLOCK])
    return wide
