"""Name groups by words: each by the noun that is nearest to it, no two by the same."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.encoders import TextEncoder, VocabularyEncoder, checked_text
from retrieval.errors import CapabilityMissing, OptionError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.encoders import Encoder

__all__ = ["NamedBy", "everyday_nouns", "name_groups", "read_words"]

_PER_GROUP: Final = 3
_QUANTILE: Final = 0.95
_TAKEN_OFF: Final = 0.5
"""Share of a word's usual high cosine that is taken off: some words are near to every image."""

_MOST_WORDS: Final = 20_000
_AT_ONCE: Final = 256
"""Words that are encoded together."""

_TRIED: Final = 100
"""Words of a group that its name is chosen from."""

NamedBy = tuple[tuple[str, float], ...]
"""The nearest words of a group, each with its cosine to the group's mean, best first."""


@cache
def everyday_nouns() -> tuple[str, ...]:
    """Return the words that groups are named by unless others are given."""
    text = files(__package__).joinpath("nouns.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def read_words(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read words from a text file: one name a line, empty lines left out.

    Raises:
        OptionError: there is no such file, it has no words, too many, or is no UTF-8 text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(
            f"{path}: cannot be read as a list of words; give a text file in UTF-8 with one name a line"
        ) from error
    words = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not 0 < len(words) <= _MOST_WORDS:
        raise OptionError(f"{path} has {len(words):,} names; give 1 to {_MOST_WORDS:,}, one a line")
    return words


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
    if not isinstance(encoder, TextEncoder):
        raise CapabilityMissing(f"the encoder {encoder.space.name} knows no words")
    if isinstance(encoder, VocabularyEncoder):
        words = tuple(word for word in words if not encoder.unknown_words(word))
    if not words:
        raise CapabilityMissing(f"the encoder {encoder.space.name} has learned none of the words")
    units = means / np.maximum(np.linalg.norm(means, axis=1), 1e-12)[:, None]  # (g, d)
    cosines: list[NDArray[np.floating[Any]]] = []  # (g, b) each
    scores: list[NDArray[np.floating[Any]]] = []
    for start in range(0, len(words), _AT_ONCE):
        vectors = checked_text(encoder, words[start : start + _AT_ONCE])  # (b, d)
        usual = np.quantile(sample @ vectors.T, _QUANTILE, axis=0)  # (b,)
        cosines.append(units @ vectors.T)
        scores.append(cosines[-1] - _TAKEN_OFF * usual)
    return _chosen(words, np.hstack(cosines), np.hstack(scores))


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
