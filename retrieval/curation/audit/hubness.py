"""Count how often each image is among the nearest of others: some are always found, some never.

Source: M. Radovanović, A. Nanopoulos, M. Ivanović, "Hubs in Space", 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.vectors import same_facts
from retrieval.curation.audit.issues import IssueImage
from retrieval.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Bitmap
    from retrieval.collection import Collection
    from retrieval.progress import OnProgress

K: Final = 10
_MOST: Final = 100_000
_BLOCK: Final = 1_024
_SEED: Final = 10
_TOP: Final = 0.01
_NAMED: Final = 10
_LEAST: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hubness:
    """How unevenly images are found by images.

    Attributes:
        k: each image names so many nearest others.
        rows: images that were compared with each other.
        total: images that were looked at; where there are more than 100,000, so many by chance are compared.
        skew: of how often images are named: 0 if all are named alike; above 1.4 a few are named much more than others.
        never: how many are never named.
        top_share: share of all names that the 1 % most often named have.
        most: the ten most often named; `value` is how often.
        ids: ``(rows,)`` the rows.
        counts: ``(rows,)`` how often each is named.
    """

    k: int
    rows: int
    total: int
    skew: float
    never: int
    top_share: float
    most: tuple[IssueImage, ...]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]

    __hash__ = None  # type: ignore[assignment]  # it holds arrays

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hubness) and same_facts(self, other)

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {
            "k": self.k,
            "rows": self.rows,
            "total": self.total,
            "skew": round(self.skew, 4),
            "never": self.never,
            "top_share": round(self.top_share, 4),
            "most": [one.to_json() for one in self.most],
        }


def hubness(collection: Collection, mask: Bitmap, *, progress: OnProgress | None = None) -> Hubness | None:
    """Count how often rows are among the ten nearest of others; None for fewer than 50 rows.

    Args:
        collection: an open one.
        mask: ``(count,)`` flags of the rows to look at.
        progress: is told how far it has come.
    """
    ids = collection.row_ids(mask)
    total = len(ids)
    if total < 5 * K:
        return None
    if total > _MOST:
        ids = np.sort(np.random.default_rng(_SEED).permutation(ids)[:_MOST])
        mask = collection.mask(ids=ids)
    counts = np.zeros(len(ids), dtype=np.int64)
    for start in range(0, len(ids), _BLOCK):
        some = ids[start : start + _BLOCK]
        found = collection.search_vectors(collection.vectors(some), k=K + 1, mask=mask).ids  # (b, k + 1)
        others = (found >= 0) & (found != some[:, np.newaxis])
        others &= np.cumsum(others, axis=1) <= K  # a row that did not find itself names one too many
        counts += np.bincount(np.searchsorted(ids, found[others]), minlength=len(ids))
        if progress is not None:
            progress(Progress(phase="hubs", done=start + len(some), total=len(ids)))
    apart = counts - counts.mean()
    spread = max(float(np.sqrt((apart**2).mean())), _LEAST)
    top = np.sort(counts)[::-1][: max(round(_TOP * len(ids)), 1)]
    return Hubness(
        k=K,
        rows=len(ids),
        total=total,
        skew=float((apart**3).mean()) / spread**3,
        never=int((counts == 0).sum()),
        top_share=float(top.sum() / max(counts.sum(), 1)),
        most=tuple(
            IssueImage(
                path=collection.key_of(int(ids[at])),
                id=int(ids[at]),
                value=float(counts[at]),
                note=f"among the nearest of {counts[at]:,}",
            )
            for at in np.argsort(-counts, kind="stable")[:_NAMED].tolist()
        ),
        ids=ids,
        counts=counts,
    )
