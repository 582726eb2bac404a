"""Name groups by words: each by the noun that is nearest to it, no two by the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.curation.groups.vocabulary import word_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.encoders import Encoder

_PER_GROUP: Final = 3
_QUANTILE: Final = 0.95
_TAKEN_OFF: Final = 0.5
"""Share of a word's usual high cosine that is taken off: some words are near to every image."""

_AT_ONCE: Final = 256
"""Words that are compared with the sample together."""

_TRIED: Final = 100
"""Words of a group that its name is chosen from."""

NamedBy = tuple[tuple[str, float], ...]
"""The nearest words of a group, each with its cosine to the group's mean, best first."""


def name_groups(
    encoder: Encoder, words: tuple[str, ...], means: Vectors, sample: Vectors
) -> tuple[tuple[str, ...], tuple[NamedBy, ...]]:
    """Find the words nearest to groups.

    A word counts by its cosine with the group's mean, less half of what it has with the images that it fits best.

    Args:
        encoder: what the images were encoded with.
        words: to choose from; what the encoder has not learned is left out.
        means: ``(g, d)`` of the groups, of any length.
        sample: ``(s, d)`` float32 unit rows of the collection.
    Returns:
        a name for each group, no two the same, empty where other groups have all that fit; and its three nearest words.
    Raises:
        CapabilityMissing: the encoder knows no words, or none of these.
    """
    words, vectors = word_vectors(encoder, words)  # (w, d)
    units = means / np.maximum(np.linalg.norm(means, axis=1), 1e-12)[:, None]  # (g, d)
    usual = np.concatenate(
        [
            np.quantile(sample @ some.T, _QUANTILE, axis=0)
            for some in np.array_split(vectors, -(-len(words) // _AT_ONCE))
        ]
    )  # (w,)
    cosines = units @ vectors.T  # (g, w)
    return _chosen(words, cosines, cosines - _TAKEN_OFF * usual)


def _chosen(
    words: tuple[str, ...], cosines: NDArray[np.floating[Any]], scores: NDArray[np.floating[Any]]
) -> tuple[tuple[str, ...], tuple[NamedBy, ...]]:
    """Give each group a word of its own: the best pair of a group and a word first, both ``(g, w)``."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :_TRIED]  # (g, t)
    nearest = tuple(
        tuple((words[place], float(cosines[group, place])) for place in row[:_PER_GROUP])
        for group, row in enumerate(order)
    )
    names = [""] * len(scores)
    taken: set[int] = set()
    for pair in np.argsort(-np.take_along_axis(scores, order, axis=1), axis=None, kind="stable").tolist():
        group, rank = divmod(pair, order.shape[1])
        word = int(order[group, rank])
        if not names[group] and word not in taken:
            names[group] = words[word]
            taken.add(word)
    return tuple(names), nearest
