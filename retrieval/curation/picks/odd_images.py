"""Find the images of a collection that are least like their nearest neighbours."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.vectors import integer
from retrieval.collection import open_collection
from retrieval.collection.queries import passing_rows
from retrieval.curation.picks.picked import Picked
from retrieval.curation.picks.picked_image import picked_images
from retrieval.display import progress_shown
from retrieval.hints import named_arguments
from retrieval.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Bitmap
    from retrieval.collection import Collection
    from retrieval.progress import ShowProgress

_BLOCK: Final = 1_024
_MOST: Final = 10_000
_MOST_NEIGHBOURS: Final = 100
_CHECKED: Final = 4
"""Times as many images as are listed get exact neighbours: an index that misses a neighbour makes an image look odder."""


@named_arguments
def outliers(
    collection: Collection | str | os.PathLike[str],
    n: int = 20,
    *,
    neighbors: int = 10,
    under: str | os.PathLike[str] | None = None,
    glob: str | None = None,
    where: Any = None,
    progress: ShowProgress = None,
) -> Picked:
    """Find the images that are least like their nearest neighbours. Nothing is encoded again, and nothing is changed.

    Each image's `score` is the mean cosine with its nearest neighbours among the images looked at: the lowest comes first. A few
    copies of an odd image do not hide it, as long as there are fewer than `neighbors`.

    Args:
        collection: a collection, or its path.
        n: how many images to list, at most 10,000; all where there are fewer.
        neighbors: how many neighbours of each image count, at most 100.
        under, glob, where: only images that pass these filters of `Collection.search`.
        progress: True for a bar where somebody sees one, or a function.
    Returns:
        the oddest first, with the median of all images' scores and the fence below which a score is far from usual.
    Raises:
        OptionError: `n` or `neighbors` is no such number.
        CollectionNotFound: there is none.
    """
    number = integer(n, "`n`", most=_MOST)
    wanted = integer(neighbors, "`neighbors`", most=_MOST_NEIGHBOURS)
    with ExitStack() as stack:
        if isinstance(collection, str | os.PathLike):
            collection = stack.enter_context(open_collection(collection))
        show = stack.enter_context(progress_shown(progress))
        mask = passing_rows(collection, under=under, glob=glob, where=where)
        ids = collection.row_ids(mask)
        if len(ids) < 2:
            return Picked(images=(), method="outliers", total=len(ids), sampled=len(ids))
        scores = np.empty(len(ids))
        for start in range(0, len(ids), _BLOCK):
            some = ids[start : start + _BLOCK]
            scores[start : start + _BLOCK] = _likeness(collection, some, mask, wanted)
            if show is not None:
                show(Progress(phase="odd", done=start + len(some), total=len(ids)))
        odd = np.sort(np.argsort(scores, kind="stable")[: _CHECKED * number])
        for start in range(0, len(odd), _BLOCK):
            some = odd[start : start + _BLOCK]
            scores[some] = _likeness(collection, ids[some], mask, wanted, exact=True)
        first = odd[np.argsort(scores[odd], kind="stable")[:number]]
        lower, middle, upper = np.quantile(scores, (0.25, 0.5, 0.75))
        return Picked(
            images=picked_images(collection, ids[first].tolist(), scores[first].tolist()),
            method="outliers",
            total=len(ids),
            sampled=len(ids),
            typical=float(middle),
            fence=float(lower - 1.5 * (upper - lower)),
        )


def _likeness(
    collection: Collection, ids: NDArray[np.int64], mask: Bitmap, wanted: int, *, exact: bool = False
) -> NDArray[np.float64]:
    """Return the mean cosine of rows with their nearest others, ``(m,)``; -1 for a row of which the index found no other."""
    found = collection.search_vectors(collection.vectors(ids), k=wanted + 1, mask=mask, exact=exact)
    others = (found.ids >= 0) & (found.ids != ids[:, None])  # (m, wanted + 1)
    others &= np.cumsum(others, axis=1) <= wanted  # a row that did not find itself has one too many
    counts = others.sum(axis=1)
    sums = np.where(others, found.scores, 0).sum(axis=1, dtype=np.float64)
    return np.where(counts > 0, np.clip(sums / np.maximum(counts, 1), -1, 1), -1.0)
