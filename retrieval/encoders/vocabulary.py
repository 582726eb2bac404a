"""Tell which words of a text an encoder has learned, by a file of hashes of its training words.

A word counts as known if it was learned, is an inflection of such a word, joins two frequent ones (*firetruck*), is a
frequent one with one letter wrong, as training misspelt them, or sounds like one (*elefant*). Numbers are neither known nor unknown: they are only named
where nothing else is known. A word with a digit is a number unless it has a run of letters that is no known word (*zzyzx7*).

The file: how many hashes are frequent (uint32, little-endian), the sorted CRC-32 of frequent words and of how they sound, and
the sorted CRC-32 of the rest, with words of a dictionary that are formed from learned ones.
A word that was never learned is taken for known once in ten thousand.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FREQUENT = 20
"""Times that a word was seen in training from which on its misspellings and compounds are known, too."""

_ENDINGS = (
    ("ies", "y"), ("es", ""), ("s", ""), ("ied", "y"), ("ed", ""), ("ed", "e"), ("ing", ""), ("ing", "e"),
    ("er", ""), ("er", "e"), ("est", ""),
)  # fmt: skip
_FORMED = (("ly", ""), ("y", ""), ("like", ""), ("less", ""), ("shaped", ""))
_SOUNDS = (
    ("ph", "f"),
    ("ck", "k"),
    ("qu", "k"),
    ("c", "k"),
    ("x", "ks"),
    ("z", "s"),
    ("y", "i"),
    ("ei", "i"),
    ("ie", "i"),
    ("ea", "e"),
)
_SHORTEST_MISSPELT = 5
_LONGEST_MISSPELT = 64  # a longer one is no word of a language, and looking for those near it takes long
_SHORTEST_PART = 3
_RUN = re.compile("[a-z]{4,}")  # shorter ones are units and models: 35mm, 4x4, mp3
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Vocabulary:
    """The words that an encoder has learned.

    Args:
        path: of the file; mapped.
        words_of: splits a text into words as the encoder does.
    Raises:
        FileNotFoundError: there is none.
        ValueError: it is cut short.
    """

    def __init__(self, path: Path, words_of: Callable[[str], list[str]]) -> None:
        data = np.memmap(path, "<u4", mode="r")
        if not len(data) or int(data[0]) >= len(data):
            raise ValueError(
                f"{path}: no whole vocabulary ({4 * len(data)} bytes); install the package again"
            )
        self._frequent = np.asarray(data[1 : int(data[0]) + 1])
        self._rest = np.asarray(data[int(data[0]) + 1 :])
        self._words_of = words_of

    def split(self, text: str) -> tuple[list[str], list[str]]:
        """Return the words of a text that are known, and those that are not as they were written; each once."""
        known: dict[str, None] = {}
        unknown: dict[str, None] = {}
        numbers: dict[str, None] = {}
        for chunk in text.split():
            words = self._words_of(chunk)
            digits = [word for word in words if self._is_number(word)]
            strange = [word for word in words if word not in digits and not self._knows(word)]
            numbers.update(dict.fromkeys(digits))
            known.update(dict.fromkeys(word for word in words if word not in strange and word not in digits))
            if strange:
                unknown.update(dict.fromkeys([_bare(chunk)] if len(strange) == len(words) else strange))
            else:
                unknown.update(dict.fromkeys(_symbols(chunk)))
        if not known and not unknown:
            unknown = numbers or dict.fromkeys(text.split())
        return list(known), list(unknown)

    def has(self, word: str) -> bool:
        """Say whether a word was learned, is an inflection of one that was, is formed from one, or joins two frequent ones."""
        if self.holds(word):
            return True
        if not word.isascii() or len(word) > _LONGEST_MISSPELT:
            return False
        if self._any_stem(word, _FORMED):
            return True
        cuts = range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1)
        return any(
            self._any([word[:at]], self._frequent) and self._any([word[at:]], self._frequent) for at in cuts
        )

    def holds(self, word: str) -> bool:
        """Say whether a word was learned or is an inflection of one that was: what is merely formed from others may be a slip (*butterly*, *pinapple*)."""
        if self._any([word], self._frequent) or self._any([word], self._rest):
            return True
        return word.isascii() and len(word) <= _LONGEST_MISSPELT and self._any_stem(word, _ENDINGS)

    def _any_stem(self, word: str, endings: tuple[tuple[str, str], ...]) -> bool:
        """Say whether a word without one of these endings was learned."""
        stems = [word.removesuffix(end) + other for end, other in endings if word.endswith(end)]
        stems += [
            stem[:-1] for stem in stems if len(stem) > 3 and stem[-1:] == stem[-2:-1]
        ]  # running, biggest
        stems = [stem for stem in stems if len(stem) >= _SHORTEST_PART]
        return self._any(stems, self._frequent) or self._any(stems, self._rest)

    def _knows(self, word: str) -> bool:
        if self.has(word):
            return True
        if not word.isascii() or not _SHORTEST_MISSPELT <= len(word) <= _LONGEST_MISSPELT:
            return False
        return self._any([_sound(word)], self._frequent) or self._any(list(_misspelt(word)), self._frequent)

    def _is_number(self, word: str) -> bool:
        if not (word.isascii() and any(character.isdigit() for character in word)):
            return False
        return self._any([word], self._frequent) or all(self._knows(run) for run in _RUN.findall(word))

    @staticmethod
    def _any(words: list[str], table: NDArray[np.uint32]) -> bool:
        """Say whether the table has any of these words."""
        if not words or not len(table):
            return False
        hashes = np.array([_hash(word) for word in words], dtype=np.uint32)
        places = np.searchsorted(table, hashes)
        return bool((table[np.minimum(places, len(table) - 1)] == hashes).any())


def pack(counts: Mapping[str, int]) -> bytes:
    """Return the file's bytes for the words of a training corpus and how often each was seen."""
    often = [word for word, count in counts.items() if count >= FREQUENT]
    sounds = [_sound(word) for word in often if len(word) >= _SHORTEST_MISSPELT]
    frequent = _sorted([*often, *sounds])
    rest = _sorted(word for word, count in counts.items() if count < FREQUENT)
    return np.concatenate((np.array([len(frequent)], "<u4"), frequent, rest)).tobytes()


def _sorted(words: Iterable[str]) -> NDArray[np.uint32]:
    return np.unique(np.array([_hash(word) for word in words], dtype="<u4"))


def _hash(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "surrogatepass"))


def _sound(word: str) -> str:
    """Return what words that sound alike share, marked so that it is no word."""
    for spelt, sound in _SOUNDS:
        word = word.replace(spelt, sound)
    return "~" + re.sub(r"(.)\1+", r"\1", word)


def _misspelt(word: str) -> Iterator[str]:
    """Yield what a word may have been meant as, with one letter dropped, added, changed, or swapped with the next."""
    for at in range(len(word) + 1):
        front, back = word[:at], word[at:]
        if back:
            yield front + back[1:]
        if len(back) > 1:
            yield front + back[1] + back[0] + back[2:]
        for letter in _LETTERS:
            yield front + letter + back
            if back:
                yield front + letter + back[1:]


def _bare(chunk: str) -> str:
    """Return a piece of a text without the punctuation around it."""
    marks = "".join({character for character in chunk if unicodedata.category(character)[0] == "P"})
    return chunk.strip(marks) or chunk


def _symbols(chunk: str) -> list[str]:
    """Return the runs of a piece that are pictures and symbols, such as emoji, or bytes that are no text."""
    plain = "".join(" " if unicodedata.category(c)[0] in "LNPZ" else c for c in chunk)
    return [
        run for run in plain.split() if any(unicodedata.category(c) in {"So", "Sk", "Cs", "Co"} for c in run)
    ]
