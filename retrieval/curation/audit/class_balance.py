"""Say how evenly images have labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

FEW: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassBalance:
    """How many images have each label.

    Attributes:
        counts: by label, the most frequent first.
        balance: how many equally frequent labels would be as even, over the number of labels: 1 is even, near 0 is one for all.
        ratio: images of the most frequent label for each of the least frequent one.
        few: labels with fewer than ten images.
        without: images that have no label.
    """

    counts: dict[str, int]
    balance: float
    ratio: float
    few: tuple[str, ...]
    without: int

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {
            "counts": self.counts,
            "balance": round(self.balance, 4),
            "ratio": round(self.ratio, 2),
            "few": list(self.few),
            "without": self.without,
        }


def class_balance(counts: Mapping[str, int], *, without: int) -> ClassBalance:
    """Say how even some counts are, one label at least, each of one image at least."""
    ordered = dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
    shares = np.array(list(ordered.values())) / sum(ordered.values())
    return ClassBalance(
        counts=ordered,
        balance=float(np.exp(-(shares * np.log(shares)).sum()) / len(shares)),
        ratio=float(shares[0] / shares[-1]),
        few=tuple(name for name, count in ordered.items() if count < FEW),
        without=without,
    )
