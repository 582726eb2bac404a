"""Measure an index: its recall against exact search, and the settings that reach a wanted recall."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from indexes.derivation import Event, OnEvent
from indexes.derivation.tuning import funnel_plan
from indexes.engine import Refined, ivf, tune
from indexes.generation import Funnel as FunnelInfo, Inverted
from indexes.search import Funnel
from indexes.vectors import Bitmap, Halves, Vectors

MEASURED_ROWS = 100
"""Live rows below which recall says nothing."""

_MUCH = 0.5  # of what the target leaves, by which settings of another index may exceed it: more costs queries too much

ExtraQueries = Mapping[str, Vectors] | Callable[[], Mapping[str, Vectors]]


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


class Measured:
    """The settings and the recall of indexes over some rows.

    Attributes:
        tried: every setting that was measured, as report.json keeps it.
    """

    def __init__(self, now: Rows, target: float, extra: ExtraQueries | None, progress: OnEvent) -> None:
        self._now, self._target = now, target
        self._extra, self._progress = extra, progress
        self._questions: dict[str, tune.Questions] | None = None
        self._texts: Mapping[str, Vectors] | None = None
        self.tried: list[dict[str, Any]] = []

    def of(
        self,
        index: Any,
        info: FunnelInfo | Inverted,
        *,
        retarget: bool = False,
        known: tuple[int, int] | None = None,
    ) -> FunnelInfo | Inverted | None:
        """Return the facts with settings that were measured.

        Settings that ``info`` has are kept if they still reach the target and it is the one that they were tuned for;
        else the index is tuned. None if that does not help an index that reached its target before: train it again.
        So are ``known`` settings, lists to probe and a shortlist, of a like index, unless they reach much more than the target.
        """
        base = Rows(self._now.rows[: info.base_rows], self._now.dead[: info.base_rows])
        if base.live < MEASURED_ROWS:
            lists = ivf.lists_of(index) or None
            reason = f"fewer than {MEASURED_ROWS} rows"
            every = max(base.count, 1)
            return replace(
                _probing(info, lists),
                shortlist=every,
                recall_at_10=None,
                recall_sample=0,
                recall_reason=reason,
            )
        funnel = isinstance(info, FunnelInfo)
        what = "the funnel's recall" if funnel else "recall"
        # Before the questions are asked: on many rows their true answers cost more than all trials.
        self._progress(Event(phase="tune", message=f"measuring {what} against exact search"))
        questions = self._asks(base)
        stage = Funnel(index, base.rows) if funnel else Refined(index, base.rows)
        keep = base.alive if isinstance(stage, Funnel) else _selector(base, stage)
        if info.shortlist is not None and not retarget:
            settings = tune.recall(
                stage, questions, nprobe=info.nprobe, shortlist=info.shortlist, selector=keep
            )
            if min(settings.recall.values()) >= self._target:
                return self._with(info, settings, questions, reached=True)
        if known is not None and isinstance(stage, Refined):
            settings = tune.recall(stage, questions, nprobe=known[0], shortlist=known[1], selector=keep)
            least = min(settings.recall.values())
            if tune.passes(settings, self._target) and least <= self._target + _MUCH * (1 - self._target):
                return self._with(info, settings, questions, reached=True)
        if isinstance(stage, Funnel):
            result = funnel_plan.tune_funnel(stage, questions, target=self._target, keep=keep)
        else:
            result = tune.tune(stage, questions, target=self._target, selector=keep)
        self.tried += [asdict(trial) for trial in result.tried]
        before = info.shortlist is not None and (retarget or info.recall_reason is None)
        if not result.reached and before and not funnel:
            return None
        return self._with(info, result.chosen, questions, reached=result.reached)

    def _with(
        self,
        info: FunnelInfo | Inverted,
        trial: tune.Trial,
        questions: Mapping[str, tune.Questions],
        *,
        reached: bool,
    ) -> FunnelInfo | Inverted:
        reason = None if reached else f"no setting reached {self._target}; this is the best that was found"
        text = trial.recall.get("text")
        message = f"recall@10 {trial.recall['image']:.3f} with {trial}"
        self._progress(Event(phase="tune", done=1, total=1, message=message))
        return replace(
            _probing(info, trial.nprobe),
            shortlist=trial.shortlist,
            recall_at_10=round(trial.recall["image"], 4),
            recall_sample=len(questions["image"].queries),
            recall_reason=reason,
            recall_at_10_text=None if text is None else round(text, 4),
        )

    def _asks(self, base: Rows) -> dict[str, tune.Questions]:
        if self._questions is None:
            self._questions = {"image": tune.stored_questions(base.rows, live=base.alive)}
            for name, queries in self.words().items():
                if len(queries):
                    self._questions[name] = tune.other_questions(base.rows, queries, live=base.alive)
        return self._questions

    def words(self) -> Mapping[str, Vectors]:
        """Return the further sets of queries, made once."""
        if self._texts is None:
            self._texts = self._extra() if callable(self._extra) else self._extra or {}
        return self._texts


def _probing(info: FunnelInfo | Inverted, nprobe: int | None) -> FunnelInfo | Inverted:
    """Return the facts with the lists to probe, where their kind has some."""
    return info if isinstance(info, FunnelInfo) else replace(info, nprobe=nprobe)


def _selector(base: Rows, stage: Refined) -> Any:
    return ivf.selector(base.alive) if base.alive is not None and stage.filters else None
