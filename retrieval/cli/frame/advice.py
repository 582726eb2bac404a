"""Turn an error of the library into advice: which option or command cures it.

The library names what is wrong and which fact cures it; only here are options and command lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from retrieval.errors import RetrievalError, UnknownWords

__all__ = ["advise", "larger_encoder"]

LARGER = "open_clip:ViT-B-32/laion2b_s34b_b79k"
MULTILINGUAL = "open_clip:xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k"


def advise(error: BaseException) -> str:
    """Return what to type, to be put behind the error's own message; empty where that says it all."""
    for kind, give in _ADVICE.items():
        if isinstance(error, kind):
            return give(error)
    return ""


def larger_encoder(words: tuple[str, ...]) -> str:
    """Return the spec of an encoder that is likely to know some words: one of many languages where they are not Latin."""
    letters = [character for word in words for character in word if character.isalpha()]
    return MULTILINGUAL if any(ord(letter) > 0x24F for letter in letters) else LARGER


def _of_unknown_words(error: Any) -> str:
    spec = larger_encoder(error.words)
    return f"retrieve upgrade --encoder {spec}, or for a new collection retrieve build-index FOLDER --encoder {spec}"


_ADVICE: dict[type[RetrievalError], Callable[[Any], str]] = {
    UnknownWords: _of_unknown_words,
}
