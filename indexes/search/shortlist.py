"""Rerank shortlists through the stages of a funnel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes.engine import flat, prefixes
from indexes.search.stages import Stage, Stages
from indexes.vectors import Halves, Ids, Neighbors, Vectors, padding

_FIRST = 32  # candidates before the first look at whether to stop


def follow(
    rows: Halves,
    queries: Vectors,
    found: Neighbors,
    stages: Stages,
    *,
    k: int | None,
    rotation: Vectors | None = None,
    turned: Halves | None = None,
) -> Neighbors:
    """Take each query's shortlist of the first stage through the later ones.

    Args:
        rows: ``(n, d)`` float16; only the candidates' are read.
        queries: ``(q, d)`` float32 unit rows.
        found: ``(q, s)`` what the first stage found, best first, padded with -1.
        stages: the plan, the first stage included.
        k: neighbours to rank at full width in the end; None for what the last stage hands on, with its scores.
        rotation: ``(d, d)`` orthogonal, where prefixes are of turned rows.
        turned: ``(n, w)`` the first components of those (`indexes.search.rotated_prefixes`), where they are at hand.
    Returns:
        ids and scores, ``(q, k)`` or ``(q, shortlist)``, best first; ties by smaller id; padded with -1 and -inf.
    """
    steps = [(stage.dim, stage.shortlist) for stage in stages[1:]]
    if k is not None:
        steps.append((rows.shape[1], k))
    if not steps:
        return found
    answers = padding(len(queries), steps[-1][1])
    for number, query in enumerate(queries):
        real = found.ids[number] >= 0
        ids, scores = found.ids[number, real], found.scores[number, real]
        for before, (dim, wanted) in zip(stages, steps, strict=False):
            sight = _Sight(rows, query, dim, rotation, turned)
            ids, scores = _ordered(sight, ids, scores, before, wanted=wanted)
        answers.ids[number, : len(ids)], answers.scores[number, : len(ids)] = ids, scores
    return answers


class _Sight:
    """What a stage sees of a query and of candidates: their prefixes, or at the full width all of them."""

    def __init__(
        self,
        rows: Halves,
        query: Vectors,
        dim: int,
        rotation: Vectors | None,
        turned: Halves | None,
    ) -> None:
        self._dim, self._full = dim, dim == rows.shape[1]
        self._rotation: Vectors | None = None
        if self._full:  # needs no rotation, which keeps every cosine
            self._rows, self._asked = rows, query
            return
        self._asked = prefixes.head(query[np.newaxis], dim, rotation=rotation)[0]  # (dim,)
        if rotation is None:
            self._rows = rows[:, :dim]  # of a candidate no more is read
        elif turned is not None and dim <= turned.shape[1]:
            self._rows = turned[:, :dim]
        else:
            self._rows, self._rotation = rows, rotation

    def scores(self, ids: Ids, out: NDArray[np.float32]) -> None:
        """Write the cosines of candidates ``(m,)`` with the query into ``out`` ``(m,)``."""
        part = self._rows[ids]  # (m, dim), or (m, d) to be turned
        if self._full:
            wide = np.empty(part.shape, dtype=np.float32)
            flat.floats(part, wide)
        else:
            wide = prefixes.head(part, self._dim, rotation=self._rotation)
        np.einsum("md,d->m", wide, self._asked, out=out)


def _ordered(
    sight: _Sight, ids: Ids, before: NDArray[np.float32], stage: Stage, *, wanted: int
) -> tuple[Ids, NDArray[np.float32]]:
    """Score candidates, best of the stage before first, until the rest are out of reach.

    Args:
        sight: scores them.
        ids, before: ``(m,)`` candidates of the stage before and their scores there, best first.
        stage: that stage.
        wanted: how many to keep.
    Returns:
        at most ``wanted`` ids and their scores, best first; ties by smaller id.
    """
    scores = np.empty(len(ids), dtype=np.float32)
    done, size = 0, len(ids) if stage.margin is None else max(_FIRST, 2 * wanted)
    while done < len(ids):
        if stage.margin is not None and done >= wanted:
            least = np.partition(scores[:done], done - wanted)[done - wanted]
            if before[done] + stage.margin < least:
                break
        some = ids[done : done + size]
        sight.scores(some, scores[done : done + len(some)])
        done += len(some)
        size *= 2
    order = np.lexsort((ids[:done], -scores[:done]))[:wanted]
    return ids[order], scores[order]


def until(before: NDArray[np.float32], least: float, stage: Stage) -> int:
    """Return how many candidates are compared before a stage stops, of which ``least`` is the last that is kept.

    Args:
        before: ``(m,)`` their scores in that stage, best first.
        least: the score, in the next, of the last of those kept.
        stage: with a margin.
    """
    if stage.margin is None:
        return len(before)
    reached = int(np.searchsorted(-before, stage.margin - least, side="right"))
    return min(len(before), max(_FIRST, reached))
