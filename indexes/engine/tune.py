"""Find the cheapest nprobe and shortlist that reach a wanted recall, by measuring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from indexes.engine.costs import Costs
from indexes.engine.scan import flat
from indexes.vectors import Bitmap, Halves, Ids, Neighbors, Vectors, recall_of_each

K = 10
SAMPLE = 1000
"""Stored rows that are asked: the standard error of the recall is about 0.003."""

_PART = 250  # questions after which it may be clear what a setting reaches
_FEW = 160  # candidates that serve the short shortlists, which mostly suffice
_CLEAR = 5.0  # standard errors between a recall and the target

SHORTLISTS = (20, 40, 80, 160, 320, 640)


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Queries with known answers.

    Attributes:
        queries: ``(q, d)`` float32 unit rows.
        own: ``(q,)`` the stored row that each query is, left out of its answers; -1 for none.
        true: ``(q, 10)`` ids by exact search.
    """

    queries: Vectors
    own: Ids
    true: Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A setting that was measured: recall@10 by set of questions, and what a query costs on one thread.

    ``microseconds`` are counted, not timed (`indexes.engine.costs`).
    """

    nprobe: int | None
    shortlist: int
    recall: Mapping[str, float]
    standard_error: Mapping[str, float]
    microseconds: float

    def __str__(self) -> str:
        return ("" if self.nprobe is None else f"nprobe {self.nprobe}, ") + f"shortlist {self.shortlist}"


class Stage(Protocol):
    """A first stage over stored rows: what `tune` measures; one with lists is a `ListStage`."""

    index: Any
    nlist: int

    def search(
        self, queries: Vectors, *, k: int, nprobe: int | None, shortlist: int, selector: Any = None
    ) -> Neighbors:
        """Find each query's best ``k`` of its shortlist among the rows selected."""
        ...


class ListStage(Stage, Protocol):
    """A first stage with lists, which says in what order its codes put rows."""

    def candidates(self, queries: Vectors, *, count: int, nprobe: int, selector: Any = None) -> Ids:
        """Return the rows that `search` would rerank, ``(q, count)``, best first by their codes; padded with -1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What tuning chose, whether it reaches the target, and all that it tried."""

    chosen: Trial
    reached: bool
    tried: tuple[Trial, ...]


def stored_questions(rows: Halves, *, live: Bitmap | None, sample: int = SAMPLE) -> Questions:
    """Ask stored rows for their neighbours, each without itself.

    A stored row is drawn from the collection's own distribution, as an image query is, and once it is left out of
    its own answers nothing about it is easier than about a fresh one: its code is never compared, and its list is
    the one that a fresh query in its place would probe first. Rows moved by noise would lie off that distribution.

    Args:
        rows: ``(n, d)`` float16.
        live: ``(n,)`` rows that may be found; None for all.
        sample: how many rows to ask.
    """
    ids = np.arange(len(rows)) if live is None else np.flatnonzero(live)
    own = np.sort(np.random.default_rng(0).choice(ids, size=min(sample, len(ids)), replace=False))
    queries = rows[own].astype(np.float32)
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), np.float32(1e-12))
    found = flat.exact(rows, queries, k=K + 1, keep=live)
    return Questions(queries=queries, own=own, true=without(found.ids, own))


def other_questions(rows: Halves, queries: Vectors, *, live: Bitmap | None) -> Questions:
    """Ask ``queries`` that are no stored rows, such as texts."""
    true = flat.exact(rows, queries, k=K, keep=live).ids
    return Questions(queries=queries, own=np.full(len(queries), -1), true=true)


def without(found: Ids, own: Ids) -> Ids:
    """Drop each query's own row, or else the last of the ``k + 1`` found."""
    same = (found == own[:, np.newaxis]) & (own[:, np.newaxis] >= 0)  # a padded place is nobody's own row
    same[~same.any(axis=1), -1] = True
    rest: Ids = found[~same].reshape(len(found), found.shape[1] - 1)
    return rest


def recall(
    stage: Stage,
    questions: Mapping[str, Questions],
    *,
    nprobe: int | None,
    shortlist: int,
    selector: Any = None,
    costs: Costs | None = None,
) -> Trial:
    """Measure one setting; ``costs`` are those of the stage, counted anew if None."""
    costs = costs or costs_of(stage)
    recalls, errors = {}, {}
    for name, asked in questions.items():
        found = stage.search(
            asked.queries, k=K + 1, nprobe=nprobe, shortlist=shortlist, selector=selector
        ).ids
        each = recall_of_each(without(found, asked.own), asked.true)
        recalls[name] = float(each.mean())
        errors[name] = float(each.std() / np.sqrt(len(each)))
    return Trial(
        nprobe=nprobe,
        shortlist=shortlist,
        recall=recalls,
        standard_error=errors,
        microseconds=costs.microseconds(nprobe=nprobe, shortlist=shortlist),
    )


def costs_of(stage: Stage) -> Costs:
    """Return what searches of a stage cost."""
    return Costs(stage.index, width=int(stage.index.d), shards=getattr(stage, "shards", 1))


def passes(trial: Trial, target: float) -> bool:
    """Say whether every set's recall lies above the target by one standard error."""
    return all(trial.recall[name] - trial.standard_error[name] >= min(target, 0.999) for name in trial.recall)


def tune(
    stage: Stage,
    questions: Mapping[str, Questions],
    *,
    target: float,
    selector: Any = None,
    shortlists: Sequence[int] = SHORTLISTS,
) -> Tuned:
    """Find the cheapest setting whose recall@10 reaches ``target`` on every set of questions.

    Recall grows with nprobe and with the shortlist: for each shortlist the smallest nprobe that suffices is found by
    bisection, and of those the cheapest by counted work is chosen, so that equal rows lead to equal settings. Settings that
    cost more than one that passes are not tried. It must pass the target by one standard error, so that the choice
    of the luckiest setting does not fall below it on other queries.

    Args:
        stage: the index with its rows.
        questions: by name; each with at least one query.
        target: recall@10 wanted, 0 to 1.
        selector: of the rows that are live, for an index that filters.
        shortlists: to try, rising.
    """
    search = _Search(stage, questions, target, selector, shortlists)
    best = search.best()
    if best is not None:
        return Tuned(chosen=best, reached=True, tried=tuple(search.tried.values()))
    found = max(search.tried.values(), key=lambda trial: min(trial.recall.values()))
    best = found if stage.nlist == 0 else search.measured(found)
    return Tuned(chosen=best, reached=False, tried=tuple(search.tried.values()))


class _Search:
    """The settings of one stage, each measured when it is asked for.

    The candidates of a short shortlist are the first ones of a longer: one search by the codes says the recall of several
    shortlists with as many lists. A part of the questions decides where it is clear. What is chosen is measured as it will be searched.
    """

    def __init__(
        self,
        stage: Stage,
        questions: Mapping[str, Questions],
        target: float,
        selector: Any,
        shortlists: Sequence[int],
    ) -> None:
        self._stage, self._questions, self._target, self._selector = stage, questions, target, selector
        self._shortlists = tuple(shortlists)
        self.tried: dict[tuple[int | None, int], Trial] = {}
        self._passes: dict[tuple[int | None, int], bool] = {}
        self._costs = costs_of(stage)
        self._cheapest = float("inf")
        self._shares: dict[tuple[int, int], dict[str, NDArray[np.float64]]] = {}

    def best(self) -> Trial | None:
        """Return the cheapest trial that passes, None if none does."""
        while True:
            self._cheapest = float("inf")
            good = [trial for trial in map(self._smallest, self._shortlists) if trial is not None]
            if not good:
                return None
            best = min(good, key=lambda trial: trial.microseconds)
            if self._stage.nlist == 0:
                return best
            best = self.measured(best)
            if passes(best, self._target):
                return best
            self._passes[best.nprobe, best.shortlist] = False

    def measured(self, trial: Trial) -> Trial:
        """Return a trial's setting as all questions measure it."""
        key = (trial.nprobe, trial.shortlist)
        self.tried[key] = recall(
            self._stage,
            self._questions,
            nprobe=trial.nprobe,
            shortlist=trial.shortlist,
            selector=self._selector,
            costs=self._costs,
        )
        return self.tried[key]

    def _smallest(self, shortlist: int) -> Trial | None:
        """Return the trial with the fewest lists that passes with this shortlist, None if none does."""
        if self._stage.nlist == 0:
            tried = not self._dearer(None, shortlist) and self._try(None, shortlist)
            return self.tried[None, shortlist] if tried else None
        high = 1
        while not self._dearer(high, shortlist) and not self._try(high, shortlist):
            if high == self._stage.nlist or (high > 4 and self._hopeless(high, shortlist)):
                return None
            high = min(2 * high, self._stage.nlist)
        low = high // 2
        while high - low > max(1, high // 8):
            middle = (low + high) // 2
            if self._dearer(middle, shortlist) or self._try(middle, shortlist):
                high = middle
            else:
                low = middle
        return None if self._dearer(high, shortlist) else self.tried[high, shortlist]

    def _dearer(self, nprobe: int | None, shortlist: int) -> bool:
        """Say whether a setting costs more than the cheapest that passes: then nobody needs to know whether it does."""
        return self._costs.microseconds(nprobe=nprobe, shortlist=shortlist) > self._cheapest

    def _hopeless(self, nprobe: int, shortlist: int) -> bool:
        """Say whether twice the lists brought next to nothing: the shortlist is what limits."""
        place, depth = self._shortlists.index(shortlist), self._depth(shortlist)
        for name, shares in self._shares[nprobe, depth].items():
            before = self._shares[nprobe // 2, depth][name]
            asked = min(len(shares), len(before))  # the same questions of both
            now = shares[:asked, place].mean()
            if now - before[:asked, place].mean() >= 0.002 or now >= self._target:
                return False
        return True

    def _try(self, nprobe: int | None, shortlist: int) -> bool:
        key = (nprobe, shortlist)
        if key in self._passes:
            return self._passes[key]
        trial = (
            self._counted(nprobe, shortlist)
            if nprobe is not None
            else recall(
                self._stage,
                self._questions,
                nprobe=None,
                shortlist=shortlist,
                selector=self._selector,
                costs=self._costs,
            )
        )
        passed = passes(trial, self._target)
        self.tried[key] = trial
        self._passes[key] = passed
        if passed:
            self._cheapest = min(self._cheapest, trial.microseconds)
        return passed

    def _counted(self, nprobe: int, shortlist: int) -> Trial:
        """Return what the candidates in so many lists say of a shortlist."""
        place, depth = self._shortlists.index(shortlist), self._depth(shortlist)
        if (nprobe, depth) not in self._shares:
            self._shares[nprobe, depth] = {
                name: self._shares_of(asked, nprobe, depth) for name, asked in self._questions.items()
            }
        each = {name: shares[:, place] for name, shares in self._shares[nprobe, depth].items()}
        return Trial(
            nprobe=nprobe,
            shortlist=shortlist,
            recall={name: float(shares.mean()) for name, shares in each.items()},
            standard_error={
                name: float(shares.std() / np.sqrt(len(shares))) for name, shares in each.items()
            },
            microseconds=self._costs.microseconds(nprobe=nprobe, shortlist=shortlist),
        )

    def _depth(self, shortlist: int) -> int:
        """Return how many candidates are looked at for a shortlist: many of them cost more than the lists."""
        return _FEW if shortlist <= _FEW else self._shortlists[-1]

    def _shares_of(self, asked: Questions, nprobe: int, depth: int) -> NDArray[np.float64]:
        """Return each question's share of true neighbours among the first candidates, by shortlist up to ``depth``: ``(q, s)``.

        Questions are asked part by part, until it is clear for every shortlist whether its recall reaches the target.
        """
        order = np.random.default_rng(0).permutation(len(asked.queries))
        sizes = [size for size in self._shortlists if size <= depth]
        shares = np.empty((0, len(sizes)))
        for start in range(0, len(order), _PART):
            part = order[start : start + _PART]
            found = cast("ListStage", self._stage).candidates(
                np.ascontiguousarray(asked.queries[part]),
                count=depth,
                nprobe=nprobe,
                selector=self._selector,
            )
            true = asked.true[part]
            columns = [recall_of_each(found[:, :size], true) for size in sizes]
            shares = np.concatenate([shares, np.stack(columns, axis=1)])
            away = np.abs(shares.mean(axis=0) - self._target)
            if (away > _CLEAR * shares.std(axis=0) / np.sqrt(len(shares))).all():
                break
        return shares
