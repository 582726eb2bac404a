"""Measure how well copies are told from other images, on queries whose originals are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval.errors import OptionError
from retrieval.evaluation.copy_detection.candidates import Candidates, candidates, in_background
from retrieval.evaluation.copy_detection.checks import Checks, checked, require_check
from retrieval.evaluation.copy_detection.curves import Interval, Ranked, intervals, threshold_at
from retrieval.evaluation.copy_detection.pairs_file import read_pairs
from retrieval.evaluation.copy_detection.query_files import Encoded, encoded, files_below
from retrieval.evaluation.copy_detection.report import CopyDetection, PairRanking, WorstPair

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from retrieval.collection import Collection
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress

DEPTH = 50
"""First hits of each query that are looked at, as many as a search with the check compares."""

WORST = 20
"""Pairs of each sort that are listed."""

_PRECISIONS = (0.9, 0.99)


def measure(
    collection: Collection,
    pairs: str | os.PathLike[str],
    *,
    distractors: str | os.PathLike[str] | None = None,
    background: str | os.PathLike[str] | None = None,
    verify: bool | int = False,
    device: str = "auto",
    progress: OnProgress | None = None,
) -> CopyDetection:
    """Search for the original of each query.

    Args:
        collection: an open one.
        pairs: CSV with the header ``query,original`` (`read_pairs`).
        distractors: a folder of queries without an original.
        background: a folder of images that are no copies of anything here: scores are normalised with them.
        verify: compare the first `DEPTH` hits, or so many, pixel by pixel, too.
        device: where images are encoded.
        progress: called now and then.
    Raises:
        OptionError: the CSV file or a folder cannot be read, or no query can.
        MissingExtra: OpenCV is not installed, and `verify` needs it.
    """
    if verify is not False:
        require_check()
    depth = DEPTH if isinstance(verify, bool) else max(1, int(verify))
    known = read_pairs(collection, pairs)
    others = [] if distractors is None else files_below(distractors)
    beside = [] if background is None else files_below(background)
    encoder = collection.encoder_on(device)
    asked = _Asked.of(collection, encoder, known.originals, others, progress)
    backed = encoded(beside, encoder, phase="background", progress=progress)
    ground = [
        place for place, content in enumerate(backed.contents) if not len(collection.ids_of_content(content))
    ]
    if beside and not ground:
        raise OptionError(f"{background}: all its images are in the collection; name a folder of others")
    found = candidates(collection, asked.files.vectors, asked.files.contents, asked.originals, depth=depth)
    lowered = in_background(asked.files.vectors, backed.vectors[ground]) if ground else None
    checks = None if verify is False else checked(collection, asked.files.files, found, progress=progress)
    scored = _scored(found, lowered, checks)
    orders = rankings(found, scored)
    missed, mistaken = _worst(collection, asked, found, scored[-1].scores, checks)
    shown = {pair.row for pair in (*missed, *mistaken)}
    has_original = found.positives > 0
    return CopyDetection(
        queries=int(has_original.sum()),
        pairs=int(found.positives.sum()),
        distractors=int((~has_original).sum()),
        background=len(ground),
        depth=depth,
        recall_at_depth=round(float(found.correct.sum() / found.positives.sum()), 4),
        checked=0 if checks is None else int((~np.isnan(checks.probability)).sum()),
        rankings=orders,
        missed=missed,
        mistaken=mistaken,
        unreadable=[*asked.files.failed, *backed.failed],
        unknown=known.unknown,
        repeated=known.repeated,
        in_the_collection=asked.in_the_collection + len(backed.contents) - len(ground),
        pictures={key: collection[key].origin or collection[key].link for key in shown},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Queries, with and without an original, and the rows of their originals.

    Attributes:
        files: their files.
        originals: the rows of each.
        in_the_collection: distractors that were left out because the collection has them.
    """

    files: Encoded
    originals: list[frozenset[int]]
    in_the_collection: int

    @classmethod
    def of(
        cls,
        collection: Collection,
        encoder: Encoder,
        known: dict[str, frozenset[int]],
        others: Sequence[str],
        progress: OnProgress | None,
    ) -> _Asked:
        names = list(dict.fromkeys((*known, *others)))
        made = encoded(names, encoder, phase="queries", progress=progress)
        if not any(known.get(file) for file in made.files):
            path, reason = made.failed[0]
            raise OptionError(f"no query with an original can be read; {path}: {reason}")
        kept = [
            place
            for place, (file, content) in enumerate(zip(made.files, made.contents, strict=True))
            if file in known or not len(collection.ids_of_content(content))
        ]
        return cls(
            files=Encoded(
                files=[made.files[place] for place in kept],
                contents=[made.contents[place] for place in kept],
                vectors=made.vectors[kept],
                failed=made.failed,
            ),
            originals=[known.get(made.files[place], frozenset()) for place in kept],
            in_the_collection=len(made.files) - len(kept),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One order of the pairs."""

    by: str
    normalised: bool
    scores: NDArray[np.float64]


def _scored(found: Candidates, lowered: NDArray[np.float64] | None, checks: Checks | None) -> list[Scored]:
    """Return the orders of the pairs: by cosine, normalised, and each with the check."""
    plain = [(False, found.cosines)]
    if lowered is not None:
        plain.append((True, found.cosines - lowered[found.query]))
    orders = [Scored(by="cosine", normalised=normalised, scores=scores) for normalised, scores in plain]
    if checks is not None:
        orders += [
            Scored(by="verified", normalised=normalised, scores=verified_scores(scores, checks))
            for normalised, scores in plain
        ]
    return orders


def verified_scores(scores: NDArray[np.float64], checks: Checks) -> NDArray[np.float64]:
    """Return scores that put pairs first that are likely one picture, by their probability, and leave the others in their order."""
    is_likely = np.array(checks.relations) == "picture"
    return np.where(is_likely, 2 + np.nan_to_num(checks.probability) + scores / 1000, scores)


def rankings(found: Candidates, orders: Sequence[Scored]) -> list[PairRanking]:
    """Measure each order."""
    return [_ranking(found, order) for order in orders]


def _ranking(found: Candidates, order: Scored) -> PairRanking:
    ranked = Ranked(query=found.query, scores=order.scores, correct=found.correct, positives=found.positives)
    micro_ap, recall = intervals(ranked, precisions=_PRECISIONS)
    return PairRanking(
        by=order.by,
        normalised=order.normalised,
        micro_ap=micro_ap,
        recall_at_precision_90=recall[0.9],
        recall_at_precision_99=recall[0.99],
        threshold_90=threshold_at(ranked, 0.9),
        threshold_99=threshold_at(ranked, 0.99),
        recall_at_1=_recall_at_1(found, order.scores),
    )


def _recall_at_1(found: Candidates, scores: NDArray[np.float64]) -> Interval:
    """Return the share of the queries with an original whose best row is one."""
    order = np.lexsort((-scores, found.query))
    firsts = order[np.unique(found.query[order], return_index=True)[1]]
    right = np.zeros(len(found.positives))
    right[found.query[firsts]] = found.correct[firsts]
    has = (found.positives > 0).astype(np.int64)
    ones = Ranked(
        query=np.flatnonzero(has), scores=np.ones(int(has.sum())), correct=right[has > 0] > 0, positives=has
    )
    return intervals(ones, precisions=(0.0,))[1][0.0]


def _worst(
    collection: Collection,
    asked: _Asked,
    found: Candidates,
    scores: NDArray[np.float64],
    checks: Checks | None,
) -> tuple[list[WorstPair], list[WorstPair]]:
    """Return true pairs that were missed, and wrong ones that come first, the worst of each first."""
    order = np.lexsort((-scores, found.query))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) - np.searchsorted(found.query, found.query) + 1

    def pair(number: int) -> WorstPair:
        return WorstPair(
            query=asked.files.files[found.query[number]],
            row=collection.key_of(int(found.rows[number])),
            score=round(float(scores[number]), 4),
            place=int(places[number]),
            probability=None if checks is None else _number(checks.probability[number]),
            relation="" if checks is None else checks.relations[number],
        )

    there = {
        (int(found.query[n]), collection[int(found.rows[n])].content) for n in np.flatnonzero(found.correct)
    }
    met = np.bincount(found.query[found.correct], minlength=len(found.positives))
    absent = [
        WorstPair(query=asked.files.files[query], row=collection.key_of(row), score=None, place=None)
        for query in np.flatnonzero(met < found.positives)
        for row in sorted(asked.originals[query])
        if (int(query), collection[row].content) not in there
    ]
    best_wrong = scores[~found.correct].max(initial=-np.inf)
    least_right = -np.inf if absent else scores[found.correct].min(initial=np.inf)
    low = np.flatnonzero(found.correct & (scores <= best_wrong))
    high = np.flatnonzero(~found.correct & (scores >= least_right))
    lowest = low[np.argsort(scores[low], kind="stable")][:WORST]
    highest = high[np.argsort(-scores[high], kind="stable")][:WORST]
    missed = [*absent, *(pair(int(n)) for n in lowest)][:WORST]
    return missed, [pair(int(n)) for n in highest]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
