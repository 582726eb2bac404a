"""Find which learned word a misspelt one was meant as, by what people mistype and by how often a word is said.

Words are compared by the least costly way from one to the other: a letter left out, added, changed, or swapped with its neighbour (Damerau, 1964,
doi 10.1145/363958.363994; no place is changed twice). What is often confused costs less: doubled letters, vowels, letters that sound alike, neighbours
on the keyboard. A word that was said ten times as often may cost `PRIOR` more. The cheapest word is meant if no other one but an inflection of it comes near
(`CLEARLY`).

A word that only looks as if it were formed from learned ones (*butterly*, *labtop*) is read as another where one plain slip leads to it (`SLIP`).

The file holds the learned words by falling frequency, one a line; names of things count more.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.vocabulary import Vocabulary

# Chosen on misspelt words of one half of codespell's dictionary and on names of people, brands and places. What the other half becomes is in
# benchmarks/results/spelling.json; it was looked at twice while the limits were set, and once for `OF_NAMES`.
MOST = {4: 0.75, 5: 0.85, 6: 1.05, 7: 1.05, 8: 1.6}
"""What a correction of a word of so many letters may cost; shorter ones are never corrected."""
MOST_OF_LONGER, LONGEST = 2.0, 24
SHORT, OFTEN = 7, 3500
"""A word of fewer than seven letters is only taken for one of so many that were said most often."""
PRIOR = 0.25
CLEARLY = 0.25
TRIED = 8
"""A text with more words that were never learned is of another language, or no text: none of them is corrected."""
SLIP = 1.1
"""What one plain slip costs at most: a letter, a swap, or two doubled letters."""
FORMED, OF_NAMES = 6, "son"
"""A shorter word that looks as if it were formed from others, or one that ends so, is as often a name (*Peggy*, *Pierson*) as a slip."""
REMEMBERED = 4096  # words and what they were meant as
FIRST = 0.6  # how much more it costs to change the first letter: people seldom get that one wrong
SWAPPED, DOUBLED, SIMILAR, NEAR, OTHER, PLAIN = 0.7, 0.55, 0.8, 0.9, 1.2, 1.0
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_VOWELS = "aeiouy"
_ALIKE = ("ck", "sz", "sc", "fv", "gj", "kq", "mn", "dt", "bp", "cx", "uw")
_QUOTED_OR_WORD = re.compile(r"[\"“”][^\"“”]*[\"“”]|[\w'’]+")
_ENDINGS = ("s", "es", "d", "ed", "ing", "er", "y")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _substitutions() -> NDArray[np.float64]:
    costs = np.full((26, 26), OTHER)
    for row, keys in enumerate(_KEYS):
        for at, key in enumerate(keys):
            others = keys[at + 1 : at + 2]
            others += _KEYS[row + 1][max(0, at - 1) : at + 1] if row + 1 < len(_KEYS) else ""
            for other in others:
                costs[ord(key) - 97, ord(other) - 97] = costs[ord(other) - 97, ord(key) - 97] = NEAR
    pairs = [*_ALIKE, *(a + b for a in _VOWELS for b in _VOWELS if a < b)]
    for pair in pairs:
        a, b = pair[0], pair[1]
        costs[ord(a) - 97, ord(b) - 97] = costs[ord(b) - 97, ord(a) - 97] = SIMILAR
    return costs


_CHANGED: list[list[float]] = _substitutions().tolist()


def cost(written: str, meant: str, most: float) -> float:
    """Return the least cost from one word to the other; infinity where it is above ``most``. Both of the letters a to z."""
    if "ph" in meant and "f" in written:
        return min(
            _cost(written, meant, most), SIMILAR + _cost(written, meant.replace("ph", "f"), most - SIMILAR)
        )
    return _cost(written, meant, most)


def _cost(written: str, meant: str, most: float) -> float:
    a, b = [ord(c) - 97 for c in written], [ord(c) - 97 for c in meant]
    before: list[float] = []
    row = [0.0]
    for j in range(len(b)):
        row.append(row[-1] + _gap(b, j))
    for i in range(len(a)):
        earlier, before = before, row
        row = [before[0] + _gap(a, i)]
        for j in range(len(b)):
            least = before[j]
            if a[i] != b[j]:
                least += _CHANGED[a[i]][b[j]] + (FIRST if i == j == 0 else 0)
            least = min(least, before[j + 1] + _gap(a, i), row[j] + _gap(b, j))
            if i and j and a[i] == b[j - 1] and a[i - 1] == b[j] and a[i] != a[i - 1]:
                least = min(least, earlier[j - 1] + SWAPPED + (FIRST if i == j == 1 else 0))
            row.append(least)
        if min(row) > most and min(before) + SWAPPED > most:  # a swap goes on from the row before
            return math.inf
    return row[-1] if row[-1] <= most else math.inf


def _gap(word: list[int], at: int) -> float:
    """Return what it costs that one of two words lacks a letter of the other."""
    if at and word[at] == word[at - 1]:
        return DOUBLED
    return PLAIN + (FIRST if at == 0 else 0)


def is_correctable(word: str) -> bool:
    """Say whether a word is made of the letters a to z, and neither too short nor too long to be corrected."""
    return word.isascii() and word.isalpha() and word.islower() and min(MOST) <= len(word) <= LONGEST


class Spelling:
    """The learned words that misspelt ones are corrected to.

    Args:
        path: of the file.
    Raises:
        FileNotFoundError: there is none.
    """

    def __init__(self, path: Path) -> None:
        self._words = path.read_text(encoding="ascii").split("\n")
        self.meant = lru_cache(REMEMBERED)(self._meant)

    @cached_property
    def _letters(self) -> NDArray[np.int8]:
        """How often each word has each letter: ``(n, 26)``."""
        return _counted(self._words)

    def read_as(
        self, text: str, vocabulary: Vocabulary, *, keep: Collection[str] = ()
    ) -> tuple[str, dict[str, str]]:
        """Correct a text, and say which words were read as which (see `retrieval.encoders.SpellingEncoder`)."""
        strange: dict[str, str] = {}
        formed: dict[str, str] = {}
        for found in _QUOTED_OR_WORD.finditer(text):
            written = found[0]
            word = written.lower()
            is_name = written != word and bool(text[: found.start()].strip())
            if is_correctable(word) and not is_name and word not in keep and not vocabulary.holds(word):
                if not vocabulary.has(word):
                    strange[written] = word
                elif len(word) >= FORMED and not word.endswith(OF_NAMES):
                    formed[written] = word
                if len(strange) > TRIED or len(formed) > TRIED:
                    return text, {}
        read = {written: meant for written, word in strange.items() if (meant := self.meant(word))}
        read |= {written: meant for written, word in formed.items() if (meant := self.slip(word))}
        if not read:
            return text, read
        return _QUOTED_OR_WORD.sub(lambda found: read.get(found[0], found[0]), text), read

    def slip(self, word: str) -> str | None:
        """Return the learned word that ``word`` was clearly meant as, if one plain slip leads to it and neither is formed from the other; else None."""
        meant = self.meant(word)
        if meant is None or cost(word, meant, SLIP) == math.inf or _is_inflected(word, meant):
            return None
        return meant

    def _meant(self, word: str) -> str | None:
        """Return the learned word that ``word``, in the letters a to z, was meant as; None where none is clearly meant."""
        if not is_correctable(word):
            return None
        most = MOST.get(len(word), MOST_OF_LONGER)
        # What a change costs for each letter that two words have not in common; least where letters are changed, and for ph beside f.
        apart = np.abs(self._letters - _counted([word])).sum(1)
        further = most + CLEARLY + PRIOR  # no rival costs more
        near = apart <= further / (SIMILAR / 2) + ("f" in word)
        found = sorted(
            (own + PRIOR * math.log10(place + 10), own, place)
            for place in np.flatnonzero(near).tolist()
            if (own := cost(word, self._words[place], further)) < math.inf
        )
        if not found or found[0][1] > most or (len(word) < SHORT and found[0][2] >= OFTEN):
            return None
        first, _, place = found[0]
        rivals = [self._words[other] for score, _, other in found[1:] if score < first + CLEARLY]
        meant = self._words[place]
        return meant if all(_is_inflected(meant, rival) for rival in rivals) else None


def _is_inflected(first: str, second: str) -> bool:
    """Say whether one of two words is the other in another form."""
    short, long = sorted((first, second), key=len)
    return long in {short + end for end in _ENDINGS} or (short[-1] == "y" and long == f"{short[:-1]}ies")


def _counted(words: list[str]) -> NDArray[np.int8]:
    rows = np.array([word.encode() for word in words]).view(np.uint8).reshape(len(words), -1)
    return np.stack([(rows == ord(letter)).sum(1) for letter in _LETTERS], 1).astype(np.int8)
