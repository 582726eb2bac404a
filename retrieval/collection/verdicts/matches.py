"""Give each hit of an answer the probability that it is what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval.collection.answers import set_match
from retrieval.collection.relevance import FEWEST, LOOKED_AT, calibrated, signals
from retrieval.display import first_words
from retrieval.errors import OptionError, StoreCorrupt

if TYPE_CHECKING:
    from indexes.migration import Blend
    from retrieval.collection.answers import Hits
    from retrieval.collection.queries import Query, QueryVector
    from retrieval.collection.relevance import Background, Calibration
    from retrieval.collection.snapshots import Opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What tells of one query's hits how probable they are.

    Attributes:
        calibration: for queries of its kind; None where the probability is not known.
        background: of the same space; None as well.
        reason: why it is not known.
    """

    calibration: Calibration | None = None
    background: Background | None = None
    reason: str = ""

    def judge(
        self,
        hits: Hits,
        asked: QueryVector,
        first: Blend,
        opened: Opened,
        *,
        hidden: frozenset[int],
        searched: int,
    ) -> None:
        """Give hits that nobody has seen yet their `match`.

        Args:
            hits: of the query.
            asked: the query.
            first: the best rows that it found, `LOOKED_AT` at least if there are as many.
            opened: what was searched.
            hidden: rows that are no hits.
            searched: how many rows could have been found.
        """
        found = [number for number in first.ids[0].tolist() if number >= 0 and number not in hidden]
        if self.calibration is None or self.background is None or not found or not hits:
            return
        best = found[:LOOKED_AT]
        ids = list(dict.fromkeys([*best, *(hit["id"] for hit in hits)]))
        rows = opened.generation.vectors(np.array(ids, dtype=np.int64))  # (m, d)
        told = signals(asked.vector[0], rows, self.background, looked_at=len(best), searched=searched)
        matches = dict(zip(ids, self.calibration.probabilities(told).round(4).tolist(), strict=True))
        for hit in hits:
            set_match(hit, matches[hit["id"]])


def judge_of(
    query: Query,
    asked: QueryVector,
    opened: Opened,
    *,
    searched: int,
    by_names: bool = False,
    needed: bool = False,
) -> Judge:
    """Return what judges the hits of a query, or why nothing does.

    Args:
        query: what was asked.
        asked: its vector.
        opened: what is searched.
        searched: how many rows can be found.
        by_names: only names answer.
        needed: without it there is no answer.
    Raises:
        OptionError: it is needed, and nothing does.
    """
    judge = Judge(reason="only names answer") if by_names else _judge(query, asked, opened, searched)
    if needed and judge.calibration is None:
        raise OptionError(f"{opened.directory}: `sure` needs to know how probable a match is; {judge.reason}")
    return judge


def _judge(query: Query, asked: QueryVector, opened: Opened, searched: int) -> Judge:
    if opened.pair is not None:
        return Judge(reason="the encoder is being changed")
    if len(query.terms) != 1 or query.terms[0].weight <= 0 or query.terms[0].kind == "vector":
        return Judge(reason="that is known of queries by words alone or by one picture")
    if asked.unknown_words:
        return Judge(reason=f"the encoder has never learned: {first_words(asked.unknown_words)}")
    kind = "words" if asked.words else "images"
    space = opened.manifest.space
    try:
        relevance = calibrated(opened.directory, space)
    except StoreCorrupt as error:  # the answer itself needs no calibration
        return Judge(reason=str(error))
    calibration = None if relevance is None else relevance.kinds.get(kind)
    if relevance is None or calibration is None:
        return Judge(
            reason=f"for {kind} and the encoder {space.name} that was not calibrated, which `calibrate_matches` does"
        )
    if 0 < searched < FEWEST:
        return Judge(
            reason=f"that was never measured among fewer than {FEWEST} images, and {searched} are searched"
        )
    return Judge(calibration=calibration, background=relevance.background)
