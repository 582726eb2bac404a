"""Find the rows that may be a query's original, say which are right, and score them: by cosine, or normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from indexes.vectors import Bitmap, Ids, Vectors
    from retrieval.collection import Collection

NEAREST = 3
"""Images of the background whose mean cosine a query's scores are compared with, as SSCD does."""

_BLOCK = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Pairs of a query and a row that is among its first hits.

    Attributes:
        query: ``(m,)`` numbers of queries, ascending; each query's rows best first.
        rows: ``(m,)`` row ids; of rows with the same bytes only one.
        cosines: ``(m,)``.
        correct: ``(m,)`` whether the row is an original of the query.
        positives: ``(q,)`` how many originals each query has; those of the same bytes are one.
    """

    query: Ids
    rows: Ids
    cosines: NDArray[np.float64]
    correct: Bitmap
    positives: Ids


def candidates(
    collection: Collection,
    vectors: Vectors,
    contents: Sequence[bytes],
    originals: Sequence[frozenset[int]],
    *,
    depth: int,
) -> Candidates:
    """Search for each query as the collection is served.

    A row of a query's own bytes that is none of its originals is left out: it is the query itself.

    Args:
        collection: an open one.
        vectors: ``(q, d)`` queries.
        contents: the content hashes of their files.
        originals: the rows of each query's originals.
        depth: rows a query.
    """
    same = _SameBytes(collection)
    query, rows, cosines, correct = [], [], [], []
    positives = np.zeros(len(originals), np.int64)
    for start in range(0, len(vectors), _BLOCK):
        near = collection.search_vectors(vectors[start : start + _BLOCK], k=depth)
        for place, (ids, scores) in enumerate(zip(near.ids, near.scores, strict=True), start=start):
            right = {same.first(row) for row in originals[place]}
            positives[place] = len(right)
            left_out = set(collection.ids_of_content(contents[place]).tolist())
            used = {same.first(row) for row in left_out} - right
            for row, score in zip(ids.tolist(), scores.tolist(), strict=True):
                if row < 0 or (first := same.first(row)) in used:
                    continue
                used.add(first)
                query.append(place)
                rows.append(row)
                cosines.append(score)
                correct.append(first in right)
    return Candidates(
        query=np.array(query, np.int64),
        rows=np.array(rows, np.int64),
        cosines=np.array(cosines, np.float64),
        correct=np.array(correct, np.bool_),
        positives=positives,
    )


def in_background(vectors: Vectors, background: Vectors) -> NDArray[np.float64]:
    """Return how near each query is to images that are none of its originals: the mean cosine of the `NEAREST` ones, ``(q,)``.

    A query that is near to everything is near to wrong rows, too. Its scores are lowered by this (score normalisation; Pizzi et
    al. 2022, arXiv 2202.10261).
    """
    count = min(NEAREST, len(background))
    means = []
    for start in range(0, len(vectors), _BLOCK):
        cosines = vectors[start : start + _BLOCK] @ background.T  # (b, n)
        means.append(np.sort(cosines, axis=1)[:, -count:].mean(axis=1))
    return np.concatenate(means or [np.empty(0)]).astype(np.float64)


class _SameBytes:
    """Find the first of the rows with a row's bytes."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._first: dict[int, int] = {}

    def first(self, row: int) -> int:
        """Return the least id of the rows with the same bytes."""
        if row not in self._first:
            content = self._collection[row].content
            same = self._collection.ids_of_content(content).tolist() if content else [row]
            self._first |= dict.fromkeys([row, *same], min([row, *same]))
        return self._first[row]
