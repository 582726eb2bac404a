"""Compare queries with rows pixel by pixel, each row read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from indexes.engine import ThreadPool, allowed_cores
from retrieval.errors import ImageError
from retrieval.progress import Progress
from retrieval.sources.decoding import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

    from indexes.vectors import Bitmap
    from retrieval.collection import Collection
    from retrieval.evaluation.copy_detection.candidates import Candidates
    from retrieval.matching import Features, Verdict
    from retrieval.progress import OnProgress

_QUERIES = 2048
"""Queries whose features are held together, a quarter of a megabyte each."""

_AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What the check says of pairs.

    Attributes:
        verified: ``(m,)`` whether both show the same picture.
        probability: ``(m,)`` that they do; NaN where one could not be read.
        relations: ``(m,)`` ``picture``, ``scene``, ``object`` or ``none``; empty where one could not be read.
    """

    verified: Bitmap
    probability: NDArray[np.float64]
    relations: list[str]


def require_check() -> None:
    """Raise, before anything is encoded, where pictures cannot be compared.

    Raises:
        MissingExtra: OpenCV is not installed.
    """
    from retrieval.matching import features

    features(Image.new("L", (16, 16)))


def checked(
    collection: Collection, files: Sequence[str], found: Candidates, *, progress: OnProgress | None = None
) -> Checks:
    """Compare each query with its candidates.

    Args:
        collection: reads the images of rows.
        files: the queries' paths.
        found: the pairs.
        progress: called now and then.
    Raises:
        MissingExtra: OpenCV is not installed.
    """
    count = len(found.query)
    verified = np.zeros(count, np.bool_)
    probability = np.full(count, np.nan)
    relations = [""] * count
    done = 0
    with ThreadPool(max_workers=allowed_cores()) as pool:
        for start in range(0, len(files), _QUERIES):
            some = range(start, min(start + _QUERIES, len(files)))
            asked = dict(
                zip(some, pool.map(lambda place: _features(lambda: decode(files[place])), some), strict=True)
            )
            first, last = np.searchsorted(found.query, [some.start, some.stop])
            by_row: dict[int, list[int]] = {}
            for pair in range(int(first), int(last)):
                by_row.setdefault(int(found.rows[pair]), []).append(pair)
            work = iter(by_row.items())
            while batch := list(islice(work, _AT_ONCE)):
                judged = pool.map(partial(_judged, collection, found, asked), batch)
                for (_, pairs), verdicts in zip(batch, judged, strict=True):
                    for pair, verdict in zip(pairs, verdicts, strict=True):
                        if verdict is not None:
                            verified[pair], probability[pair] = verdict.verified, verdict.probability
                            relations[pair] = verdict.relation
                    done += len(pairs)
                if progress is not None:
                    progress(Progress(phase="check", done=done, total=count))
    return Checks(verified=verified, probability=probability, relations=relations)


def _judged(
    collection: Collection,
    found: Candidates,
    asked: dict[int, Features | None],
    of_row: tuple[int, Sequence[int]],
) -> list[Verdict | None]:
    """Compare a row with the queries of some pairs."""
    row, pairs = of_row
    from retrieval.matching import compare

    queries = [asked[int(found.query[pair])] for pair in pairs]
    shown = _features(collection[row].open) if any(one is not None for one in queries) else None
    return [None if one is None or shown is None else compare(one, shown) for one in queries]


def _features(opened: Callable[[], Picture]) -> Any:
    from retrieval.matching import features

    try:
        return features(opened())
    except ImageError:  # deleted since the last build, or damaged: there is no verdict
        return None
