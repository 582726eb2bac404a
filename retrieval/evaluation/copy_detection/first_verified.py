"""Search for altered copies and put the first hit first whose pixels agree: a search with the check, for attacks."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.engine import ThreadPool, allowed_cores
from indexes.vectors import Neighbors
from retrieval.errors import ImageError
from retrieval.evaluation.attacks import attack
from retrieval.evaluation.copy_detection.checks import require_check
from retrieval.sources.decoding import decode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from indexes.vectors import Vectors
    from retrieval.collection import Collection
    from retrieval.matching import Features

_HELD = 1024
"""Features of rows that are held, a quarter of a megabyte each."""


class FirstVerified:
    """Compares altered files with their hits, best first, until one is verified.

    Args:
        collection: searched as it is served.
        depth: hits that are compared at most.
    Raises:
        MissingExtra: OpenCV is not installed.
    """

    def __init__(self, collection: Collection, *, depth: int) -> None:
        require_check()
        self._collection, self._depth = collection, depth
        self._held: OrderedDict[int, Features | None] = OrderedDict()

    def __call__(self, files: Sequence[Path], vectors: Vectors, *, name: str, of: str) -> Neighbors:
        """Return the first hit of each query: a verified one with two and its probability as score, or else the likest one.

        Args:
            files: what was altered.
            vectors: ``(n, d)`` of the altered files.
            name: the attack; the n-th file gets the same random choices as its vector got.
            of: the list that it is of.
        Returns:
            ids ``(n, 1)`` and scores ``(n, 1)``.
        """
        near = self._collection.search_vectors(vectors, k=self._depth)

        def first(place: int) -> tuple[int, float]:
            from retrieval.matching import compare, features

            likely: tuple[int, float] | None = None
            asked = features(attack(name, decode(files[place]), seed=place, of=of))
            for row in near.ids[place].tolist():
                shown = self._features(row) if row >= 0 else None
                verdict = None if shown is None else compare(asked, shown)
                if verdict is None or verdict.relation != "picture":
                    continue
                if verdict.verified:
                    return row, 2 + verdict.probability
                likely = likely or (row, 2 + verdict.probability)
            if likely:
                return likely
            return int(near.ids[place, 0]), float(near.scores[place, 0])

        with ThreadPool(max_workers=allowed_cores()) as pool:
            found = list(pool.map(first, range(len(files))))
        return Neighbors(
            ids=np.array([[row] for row, _ in found], np.int64),
            scores=np.array([[score] for _, score in found], np.float32),
        )

    def _features(self, row: int) -> Any:
        from retrieval.matching import features

        if row in self._held:
            return self._held[row]
        try:
            made = features(self._collection[row].open())
        except ImageError:  # deleted since the last build, or damaged
            made = None
        self._held[row] = made
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return made
