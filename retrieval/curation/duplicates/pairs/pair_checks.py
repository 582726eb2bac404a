"""Compare pairs of pictures: by laying one on the other, or without OpenCV by perceptual hashes."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Protocol

from indexes.engine import ThreadPool, allowed_cores
from retrieval.curation.duplicates.images import distance
from retrieval.curation.duplicates.judgements import NOTHING, Judgement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.curation.duplicates.images import Pictures, Results
    from retrieval.curation.duplicates.judgements import Decisions

_KEEP_EVERY: Final = 1_000
FITTED: Final = 0.99
"""Precision for which `retrieval.matching` was fitted."""


class PairCheck(Protocol):
    """Compares pairs of images by number."""

    def compare(self, pairs: Sequence[tuple[int, int]]) -> list[Judgement]:
        """Say what the first of each pair is to the second, as far as it can tell."""


class HashCheck:
    """Compare perceptual hashes.

    Args:
        pictures: the images.
        most: the share of bits in which two hashes of one picture differ at most.
        probability: that pairs within it are one picture.
    """

    def __init__(self, pictures: Pictures, *, most: float, probability: float) -> None:
        self._pictures, self._most, self._probability = pictures, most, probability

    def compare(self, pairs: Sequence[tuple[int, int]]) -> list[Judgement]:
        """Compare pairs."""
        return [self._judged(first, second) for first, second in pairs]

    def _judged(self, first: int, second: int) -> Judgement:
        one, other = self._pictures.facts(first), self._pictures.facts(second)
        if one is None or other is None:
            return NOTHING
        share, mirrored = distance(one.looks, other.looks)
        if share > self._most:
            return NOTHING
        return Judgement(relation="picture", probability=self._probability, mirrored=mirrored)


class GeometryCheck(AbstractContextManager["GeometryCheck"]):
    """Lay pictures on each other by `retrieval.matching`, with threads; a context manager.

    Args:
        pictures: the images.
        precision: the share of pairs called one picture that should be it. For `FITTED` the check's own limits are right: pairs are
            verified, or likely. For another value two are one picture if the check's probability is at least that.
    """

    def __init__(self, pictures: Pictures, *, precision: float) -> None:
        self._pictures, self._precision = pictures, precision
        self._pool = ThreadPool(max_workers=allowed_cores())

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown()

    def compare(self, pairs: Sequence[tuple[int, int]]) -> list[Judgement]:
        """Compare pairs."""
        from retrieval.matching import compare

        features = [
            (None, None)
            if self._pictures.facts(first) is None or self._pictures.facts(second) is None
            else tuple(self._pictures.features((first, second)))
            for first, second in pairs
        ]
        made = self._pool.map(lambda two: None if two[0] is None else compare(*two), features)
        return [NOTHING if verdict is None else self._judged(verdict) for verdict in made]

    def _judged(self, verdict: Any) -> Judgement:
        relation = verdict.relation
        likely = verdict.probability >= self._precision
        if relation == "picture" and self._precision > FITTED and not likely:
            relation = "scene"
        elif relation != "none" and self._precision < FITTED and likely:
            relation = "picture"
        return Judgement(
            relation=relation,
            probability=float(verdict.probability),
            outline=verdict.outline,
            mirrored=bool(verdict.mirrored),
        )


class PairChecks:
    """Compare pairs, each once: what people said and what was found before is not asked again.

    Args:
        check: compares.
        pictures: the images.
        results: what is known already.
        decisions: what people said.
    """

    def __init__(self, check: PairCheck, pictures: Pictures, results: Results, decisions: Decisions) -> None:
        self._check, self._pictures, self._results, self._decisions = check, pictures, results, decisions
        self._known: dict[tuple[int, int], Judgement] = {}
        self.compared = 0
        self._unsaved = 0

    @property
    def judged(self) -> dict[tuple[int, int], Judgement]:
        """Every pair that was asked for, and what its first image is to its second."""
        return self._known

    def __call__(self, rows: list[int], stays: int) -> list[Judgement]:
        """Say what each of some images is to another one."""
        found: dict[int, Judgement] = {}
        fresh: list[int] = []
        for row in rows:
            known = self._recall(row, stays)
            if known is None:
                fresh.append(row)
            else:
                found[row] = known
        made = self._check.compare([(row, stays) for row in fresh])
        self.compared += len(fresh)
        for row, judgement in zip(fresh, made, strict=True):
            found[row] = self._keep(row, stays, judgement)
        self._results.put_verdicts(
            (self._pictures.name(row), self._pictures.name(stays), _packed(judgement))
            for row, judgement in zip(fresh, made, strict=True)
        )
        self._unsaved += len(fresh)
        if self._unsaved >= _KEEP_EVERY:
            self._results.commit()
            self._unsaved = 0
        return [found[row] for row in rows]

    def _recall(self, first: int, second: int) -> Judgement | None:
        held = self._known.get((first, second))
        if held is not None:
            return held
        turned = self._known.get((second, first))
        if turned is not None:
            return turned.reversed()
        one, other = self._pictures.name(first), self._pictures.name(second)
        if not one or not other:
            return self._keep(first, second, NOTHING)
        if self._decisions.are_apart(self._pictures.judged(first), self._pictures.judged(second)):
            return self._keep(first, second, NOTHING)
        data = self._results.verdict(one, other)
        if data is not None:
            return self._keep(first, second, _unpacked(data))
        data = self._results.verdict(other, one)
        return None if data is None else self._keep(first, second, _unpacked(data).reversed())

    def _keep(self, first: int, second: int, judgement: Judgement) -> Judgement:
        self._known[first, second] = judgement
        return judgement


def _packed(judgement: Judgement) -> bytes:
    return json.dumps(
        [judgement.relation, round(judgement.probability, 6), judgement.outline, judgement.mirrored]
    ).encode()


def _unpacked(data: bytes) -> Judgement:
    relation, probability, outline, mirrored = json.loads(data)
    corners = None if outline is None else tuple((float(x), float(y)) for x, y in outline)
    return Judgement(relation=relation, probability=probability, outline=corners, mirrored=mirrored)
