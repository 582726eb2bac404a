"""Define a block of the pairs that a self-join finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.vectors import Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Some pairs of rows whose cosine reaches a threshold: ``ids_a, ids_b, scores = pairs``.

    Attributes:
        ids_a: ``(m,)`` int64, the smaller id of each pair, ascending.
        ids_b: ``(m,)`` int64, the larger one.
        scores: ``(m,)`` float32 cosines.
        block: which block of rows they belong to, from 0.
        blocks: how many blocks there are.
        rows: how many rows were asked in this block.
        cut: every partner of these rows that reaches the threshold beyond the likest ones, which a row names. A pair may count
            twice, or be given all the same because its other row names it.
    """

    ids_a: Ids
    ids_b: Ids
    scores: NDArray[np.float32]
    block: int
    blocks: int
    rows: int
    cut: int

    def __iter__(self) -> Iterator[Any]:
        return iter((self.ids_a, self.ids_b, self.scores))

    def __len__(self) -> int:
        return len(self.ids_a)
