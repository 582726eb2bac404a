"""In which direction photographs of everyday scenes must lie to be told from others by what is said of them.

The mean of the photographs that a word describes has much in common with the mean of all; what finds them is how the two
differ, divided by how photographs spread (the linear discriminant of Fisher, 1936, "The use of multiple measurements in
taxonomic problems"). The spread is that of everyday scenes: divided by that of all collections fewer are found.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.train_nano.measure import unit
from tools.train_nano.targets.joint import ridge

Rows = NDArray[np.float32]
# Chosen on training captions, four fifths of them to find the photographs of the others.
LEAST_CAPTIONS = 2
MOST_WORDS = 3000  # the most frequent, where there are more
WORD_STRENGTH = 5.0
SPREAD_STRENGTH = 3.0  # in mean variances
# An ending, what stands for it, and how long the word must be.
ENDINGS = (("ies", "y", 5), ("ches", "ch", 6), ("shes", "sh", 6), ("sses", "ss", 6), ("s", "", 4))
UNLIKE_PLURALS = {"buses": "bus", "children": "child", "men": "man", "people": "person", "women": "woman"}


def words_of(text: str) -> set[str]:
    """Give the words of a text in lower case, plurals as singulars: what two captions have in common."""
    return {singular(word) for word in re.findall(r"[a-z]+", text.lower())}


def singular(word: str) -> str:
    """Give the singular of a plural noun, and any other word as it is."""
    if word in UNLIKE_PLURALS:
        return UNLIKE_PLURALS[word]
    for end, instead, least in ENDINGS:
        if len(word) >= least and word.endswith(end) and not word.endswith(("ss", "us")):
            return word[: -len(end)] + instead
    return word


def mentioned(texts: list[str], columns: dict[str, int]) -> Rows:
    """Mark which known words each text has: ``(t, w)`` of 0 and 1; ``columns`` says where a word is marked."""
    marks = np.zeros((len(texts), len(columns)), np.float32)
    for row, text in zip(marks, texts, strict=True):
        row[[columns[word] for word in words_of(text) if word in columns]] = 1
    return marks


@dataclass(frozen=True, slots=True, kw_only=True)
class Discriminant:
    """What was learnt from training photographs of everyday scenes and their captions.

    ``divided`` ``(d, d)``: the inverse of the photographs' spread; ``columns``: which row of ``meant`` ``(w, d)`` a word has,
    that is how a photograph changes when its caption has the word.
    """

    divided: Rows
    columns: dict[str, int]
    meant: Rows

    def sharpen(self, texts: list[str], aims: Rows) -> Rows:
        """Turn ``(t, d)`` places of texts among photographs into directions that find theirs: ``(t, d)`` unit rows.

        The place itself and the place divided by the spread, in equal parts; and as much as both together of what photographs whose
        captions share words with the text have more of than others, divided by the spread (nothing where no caption shares a word).
        """
        placed = unit(aims)
        said = unit(mentioned(texts, self.columns) @ self.meant @ self.divided)
        return unit(unit(placed + unit(placed @ self.divided)) + said)


def fit_discriminant(scenes: Rows, captions: list[str], photo_rows: Rows) -> Discriminant:
    """Fit on training photographs only.

    Args:
        scenes: ``(n, d)`` unit rows of photographs of everyday scenes, with captions or without.
        captions: one for each of ``photo_rows``.
        photo_rows: ``(c, d)`` unit rows.
    """
    spread = np.cov(scenes.T)
    ease = SPREAD_STRENGTH * np.trace(spread) / len(spread) * np.eye(len(spread))
    count = Counter(word for caption in captions for word in words_of(caption))
    known = sorted(word for word, times in count.most_common(MOST_WORDS) if times >= LEAST_CAPTIONS)
    columns = {word: i for i, word in enumerate(known)}
    return Discriminant(
        divided=np.linalg.inv(spread + ease).astype(np.float32),
        columns=columns,
        meant=ridge(mentioned(captions, columns), photo_rows - photo_rows.mean(0), WORD_STRENGTH),
    )
