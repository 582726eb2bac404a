"""Give the words that images are compared with: everyday nouns, or those of a file, and their vectors."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.encoders import TextEncoder, VocabularyEncoder, checked_text
from retrieval.errors import CapabilityMissing, OptionError

if TYPE_CHECKING:
    import os

    from indexes.vectors import Vectors
    from retrieval.encoders import Encoder

_MOST_WORDS: Final = 20_000
_AT_ONCE: Final = 256
"""Words that are encoded together."""


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


def word_vectors(encoder: Encoder, words: tuple[str, ...]) -> tuple[tuple[str, ...], Vectors]:
    """Return the words that an encoder has learned, and their vectors, ``(w, d)`` float32 of length 1.

    Raises:
        CapabilityMissing: the encoder knows no words, or none of these.
    """
    if not isinstance(encoder, TextEncoder):
        raise CapabilityMissing(f"the encoder {encoder.space.name} knows no words")
    if isinstance(encoder, VocabularyEncoder):
        words = tuple(word for word in words if not encoder.unknown_words(word))
    if not words:
        raise CapabilityMissing(f"the encoder {encoder.space.name} has learned none of the words")
    starts = range(0, len(words), _AT_ONCE)
    return words, np.concatenate([checked_text(encoder, words[start : start + _AT_ONCE]) for start in starts])
