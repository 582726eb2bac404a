"""Choose a prefix width for ``--dim auto`` by measured recall, cheapest first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from indexes.derivation import FLAT_ROWS, Plan, plan
from indexes.derivation.tuning import funnel_plan
from indexes.engine import Questions, Refined, costs, gpu, ivf, tune
from indexes.errors import OptionError
from indexes.generation import NAMED, Exact
from indexes.search import Funnel, prefixes_of
from indexes.vectors import Halves, Space, Transform, Vectors

ROWS = 100_000
"""Rows that designs are compared on, at most."""

_ASKED = 500
_ALIKE = 1.15  # times as long takes no longer: then fewer bytes decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A first stage that was built on the sample and tuned.

    Attributes:
        kind, factory, dim: as in `indexes.derivation.build_plan.Plan`, of the sample.
        method: ``exact``, ``full``, ``prefix``, ``pca`` or ``learned``: what the first stage sees of a row.
        trial: the cheapest setting that reaches the target, or else the best one.
        reached: whether it does.
        microseconds: of one query on one thread, counted (`indexes.engine.costs`) and estimated for all rows.
        bytes_per_vector: of the index.
    """

    kind: str
    factory: str | None
    dim: int
    method: str
    trial: tune.Trial | None
    reached: bool
    microseconds: float
    bytes_per_vector: float

    @property
    def wish(self) -> str:
        """What a build is asked for to make it: a kind that has a name, or a factory string."""
        return self.kind if self.kind in (Exact.kind, *NAMED) else str(self.factory)

    def to_json(self) -> dict[str, Any]:
        """Return what report.json keeps."""
        return asdict(self)

    def __str__(self) -> str:
        name = self.kind if self.kind == Exact.kind else str(self.factory)
        seen = {"exact": "exact search", "full": f"all {self.dim}"}.get(
            self.method, f"first {self.dim} ({self.method})"
        )
        found = ""
        if self.trial is not None:
            parts = ", ".join(f"{value:.3f} {asked}" for asked, value in self.trial.recall.items())
            found = f": recall@10 {parts}" + ("" if self.reached else ", short of the target")
            found += f"; {self.trial}"
        return f"{name}, {seen}{found}; {self.microseconds:,.0f} us a query, {self.bytes_per_vector:,.0f} bytes a vector"


def choose(
    rows: Halves,
    *,
    space: Space,
    kind: str,
    count: int,
    target: float,
    texts: Mapping[str, Vectors],
    turn: Transform | None,
    bits: int = 1,
    device: str = "cpu",
    tell: Callable[[str], None],
) -> list[Design]:
    """Build and tune first stages on a sample of the rows, and order them.

    Args:
        rows: ``(n, d)`` the sample; at most `ROWS`.
        space: theirs.
        kind: ``auto``, ``flat``, ``ivfpq``, ``ivfrabitq`` or a factory string: what may be chosen from.
        count: rows of the whole collection, for which times are estimated.
        target: recall@10 to reach.
        texts: further queries by name.
        turn: the rotation for a space without prefixes; None if it has prefixes, or too few rows for a rotation.
        bits: as in `indexes.derivation.build_plan.plan`.
        device: where faiss can use its GPU, kind ``auto`` is ``ivfpq``.
        tell: is told of each design as it has been measured.
    Returns:
        designs that reach the target, cheapest first, then the others, best first. Cost is the time of one query;
        designs within 15 % of the fastest are ordered by their bytes.
    """
    questions = {"image": tune.stored_questions(rows, live=None, sample=_ASKED)}
    questions |= {
        name: tune.other_questions(rows, queries, live=None)
        for name, queries in texts.items()
        if len(queries)
    }
    bench = _Bench(rows, space, questions, target, turn, count)
    found: list[Design] = []

    def add(designs: Iterable[Design]) -> None:
        for design in designs:
            tell(f"tried {design}")
            found.append(design)

    widths = prefixes_of(space) if space.nesting or turn is not None else ()
    if kind in ("auto", "flat"):
        add(bench.scans(widths))
    lists = "ivfpq" if gpu(device) is not None else "ivfrabitq"
    if kind != "flat" and not (kind == "auto" and count <= FLAT_ROWS):
        named = lists if kind == "auto" else kind
        add(bench.lists(named, widths, bits=bits))
    return ranked(found)


def ranked(designs: Iterable[Design]) -> list[Design]:
    """Order designs: those that reach the target by cost, then the others by recall."""
    good = [design for design in designs if design.reached]
    fastest = min((design.microseconds for design in good), default=0.0)
    good.sort(
        key=lambda design: (
            (0, design.bytes_per_vector, design.dim)
            if design.microseconds <= _ALIKE * fastest
            else (1, design.microseconds, design.dim)
        )
    )
    rest = [design for design in designs if not design.reached]
    rest.sort(key=lambda design: -min(design.trial.recall.values()) if design.trial else 0.0)
    return good + rest


class _Bench:
    """The sample, and what is measured on it."""

    def __init__(
        self,
        rows: Halves,
        space: Space,
        questions: Mapping[str, Questions],
        target: float,
        turn: Transform | None,
        count: int,
    ) -> None:
        self._rows, self._space, self._questions, self._target = rows, space, questions, target
        self._turn = turn
        self._method = "prefix" if turn is None else turn.method
        self._growth = max(1.0, count / max(len(rows), 1))
        self._wide = rows.astype(np.float32)

    def scans(self, widths: Iterable[int]) -> Iterator[Design]:
        """Measure exact search, and a funnel from each width."""
        yield Design(
            kind=Exact.kind,
            factory=None,
            dim=self._space.dim,
            method="exact",
            trial=None,
            reached=True,
            microseconds=self._growth * costs.of_exact_search(len(self._rows), self._space.dim),
            bytes_per_vector=0.0,
        )
        for width in widths:
            planned = plan(len(self._rows), self._space.dim, kind="flat", dim=width)
            if planned.factory is None:  # too few rows
                return
            index = self._built(planned)
            funnel = Funnel(index, self._rows)
            tuned = funnel_plan.tune_funnel(funnel, self._questions, target=self._target)
            yield self._design(planned, tuned, self._growth * tuned.chosen.microseconds, bytes_=width / 2)

    def lists(self, kind: str, widths: Iterable[int], *, bits: int) -> Iterator[Design]:
        """Measure inverted lists at the full width and at each prefix."""
        for width in (self._space.dim, *widths):
            yield from self._list(kind, width, bits)

    def _list(self, kind: str, width: int, bits: int) -> Iterator[Design]:
        dim = None if width == self._space.dim else width
        try:
            planned = plan(len(self._rows), self._space.dim, kind=kind, dim=dim, bits=bits, check=False)
            if planned.factory is None:
                return
            index = self._built(planned)
        except OptionError:
            if dim is None:  # nonsense, or too large
                raise
            return  # a factory string that this width cannot have
        stage = Refined(index, self._rows)
        tuned = tune.tune(stage, self._questions, target=self._target)
        bytes_ = float(getattr(ivf.innermost(index), "code_size", 4 * width)) + 8
        microseconds = math.sqrt(self._growth) * tuned.chosen.microseconds
        yield self._design(planned, tuned, microseconds, bytes_=bytes_)

    def _built(self, planned: Plan) -> Any:
        index = ivf.make(
            planned.factory or "",
            dim=self._space.dim,
            prefix=planned.dim,
            rotation=self._rotation,
        )
        picked = np.random.default_rng(0).permutation(len(self._wide))[: planned.sample]
        ivf.train(index, self._wide[np.sort(picked)])
        ivf.add(index, [(np.arange(len(self._wide)), self._wide)])
        return index

    @property
    def _rotation(self) -> Vectors | None:
        return None if self._turn is None else self._turn.matrix

    def _design(self, planned: Plan, tuned: tune.Tuned, microseconds: float, *, bytes_: float) -> Design:
        return Design(
            kind=planned.kind,
            factory=planned.factory,
            dim=planned.dim,
            method="full" if planned.dim == self._space.dim else self._method,
            trial=tuned.chosen,
            reached=tuned.reached,
            microseconds=round(microseconds, 1),
            bytes_per_vector=bytes_,
        )
