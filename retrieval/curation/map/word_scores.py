"""Find the images nearest to each of many words, so that a map can be searched without the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.curation.groups import everyday_nouns, word_vectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.encoders import Encoder

_MOST: Final = 500
_FEWEST: Final = 20
_SHARE: Final = 20
"""One of so many images is kept of each word."""

_BLOCK: Final = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class WordScores:
    """The images nearest to each word.

    Attributes:
        words: ``w`` of them.
        places: ``(w, h)`` the nearest images' places among the rows, the nearest first.
        scores: ``(w, h)`` their cosines with the word.
        absent: ``(w,)`` bool: likely no image shows it; None where that was not looked for.
    """

    words: tuple[str, ...]
    places: NDArray[np.int64]
    scores: NDArray[np.float32]
    absent: NDArray[np.bool_] | None = None


@cache
def map_words() -> tuple[str, ...]:
    """Return the 2,000 everyday words that a map is searched by unless others are given."""
    more = files(__package__).joinpath("more_nouns.txt").read_text(encoding="utf-8")
    return tuple(sorted({*everyday_nouns(), *more.splitlines()}))


def word_scores(
    encoder: Encoder,
    words: tuple[str, ...],
    read: Callable[[NDArray[np.int64]], Vectors],
    rows: int,
) -> WordScores:
    """Find the images nearest to words.

    Args:
        encoder: what the images were encoded with.
        words: to look for; what the encoder has not learned is left out.
        read: gives some rows by their places, ``(m, d)`` float32 of length 1.
        rows: how many there are.
    Returns:
        one image of twenty for each word, at least 20 and at most 500; all where there are fewer.
    Raises:
        CapabilityMissing: the encoder knows no words, or none of these.
    """
    words, vectors = word_vectors(encoder, words)  # (w, d)
    kept = min(rows, max(_FEWEST, min(_MOST, rows // _SHARE)))
    places = np.empty((len(words), 0), dtype=np.int64)
    scores = np.empty((len(words), 0), dtype=np.float32)
    for start in range(0, rows, _BLOCK):
        some = np.arange(start, min(start + _BLOCK, rows))
        near = vectors @ read(some).T  # (w, m)
        scores = np.hstack([scores, near])
        places = np.hstack([places, np.broadcast_to(some, near.shape)])
        if scores.shape[1] > kept:
            best = np.argpartition(-scores, kept - 1, axis=1)[:, :kept]
            scores, places = np.take_along_axis(scores, best, 1), np.take_along_axis(places, best, 1)
    order = np.lexsort((places, -scores), axis=1)  # of equal cosines the earlier row first
    return WordScores(
        words=words,
        places=np.take_along_axis(places, order, axis=1),
        scores=np.clip(np.take_along_axis(scores, order, axis=1), -1, 1).astype(np.float32),
    )
