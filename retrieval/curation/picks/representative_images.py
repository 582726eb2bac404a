"""Choose the images of a collection that stand for the others: for labelling, for thumbnails, for a first look."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.vectors import integer
from retrieval.collection import open_collection
from retrieval.collection.queries import passing_rows
from retrieval.curation.picks.choosing import most_diverse, most_telling
from retrieval.curation.picks.picked import Picked
from retrieval.curation.picks.picked_image import picked_images
from retrieval.display import progress_shown
from retrieval.errors import OptionError
from retrieval.hints import named_arguments
from retrieval.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.collection import Collection
    from retrieval.progress import ShowProgress

METHODS: Final = ("facility-location", "k-center")

_SAMPLES: Final = {"facility-location": 5_000, "k-center": 50_000}
"""Images among which it is chosen: facility location keeps the cosines of all pairs."""

_SEED: Final = 0
_BLOCK: Final = 16_384


@named_arguments
def representatives(
    collection: Collection | str | os.PathLike[str],
    n: int = 20,
    *,
    method: str = "facility-location",
    under: str | os.PathLike[str] | None = None,
    glob: str | None = None,
    where: Any = None,
    progress: ShowProgress = None,
) -> Picked:
    """Choose images that stand for all others. Nothing is encoded again, and nothing is changed.

    The first ones of a longer list are those of a shorter one. Each image's `score` is the mean cosine with the images that it
    stands for, and `stands_for` counts these.

    Args:
        collection: a collection, or its path.
        n: how many, at most 5,000; all where there are fewer.
        method: ``facility-location`` chooses the most telling: each image has a chosen one near it. ``k-center`` chooses the
            most diverse, each as far as possible from those before, so odd images come early.
        under, glob, where: only images that pass these filters of `Collection.search`.
        progress: True for a bar where somebody sees one, or a function.
    Raises:
        OptionError: `n` is no number from 1 to 5,000, or there is no such method.
        CollectionNotFound: there is none.
    """
    number = integer(n, "`n`", most=min(_SAMPLES.values()))
    if method not in METHODS:
        raise OptionError(f"`method` is {method!r}; give one of {', '.join(METHODS)}")
    with ExitStack() as stack:
        if isinstance(collection, str | os.PathLike):
            collection = stack.enter_context(open_collection(collection))
        show = stack.enter_context(progress_shown(progress))
        ids = collection.row_ids(passing_rows(collection, under=under, glob=glob, where=where))
        sample = np.sort(np.random.default_rng(_SEED).permutation(ids)[: _SAMPLES[method]])
        if not len(ids):
            return Picked(images=(), method=method, total=0, sampled=0)
        choose = most_telling if method == "facility-location" else most_diverse
        chosen = sample[choose(collection.vectors(sample), number)]
        picked = collection.vectors(chosen)
        counts = np.zeros(len(chosen), dtype=np.int64)
        sums = np.zeros(len(chosen))
        for start in range(0, len(ids), _BLOCK):
            some = ids[start : start + _BLOCK]
            _count(collection.vectors(some), picked, counts, sums)
            if show is not None:
                show(Progress(phase="choose", done=start + len(some), total=len(ids)))
        scores = np.clip(sums / np.maximum(counts, 1), -1, 1)
        return Picked(
            images=picked_images(collection, chosen.tolist(), scores.tolist(), counts.tolist()),
            method=method,
            total=len(ids),
            sampled=len(sample),
        )


def _count(rows: Vectors, picked: Vectors, counts: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
    """Add to each picked row how many rows are nearest to it, and their cosines; of equal ones the first counts."""
    cosines = rows @ picked.T  # (m, p)
    nearest = cosines.argmax(axis=1)
    np.add.at(counts, nearest, 1)
    np.add.at(sums, nearest, np.take_along_axis(cosines, nearest[:, None], axis=1)[:, 0])
