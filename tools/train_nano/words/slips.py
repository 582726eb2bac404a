"""Which words of the training texts are misspelt ones: what people mistyped in captions was seen, but is not a word that nano should know.

A word is a slip if no dictionary and no name of a thing has it, if it is not written as a name, and if the way that misspelt words are corrected
(`retrieval.encoders.spelling.Spelling.slip`) leads to a word that is said far oftener.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from retrieval.encoders.families.nano_text import words_of
from retrieval.encoders.spelling import Spelling, is_correctable
from tools.train_nano.inputs.corpus import Text

# Chosen on the words of the training texts whose CRC-32 is even.
FAR = 3
"""How many times oftener the right word is said."""
RIGHT = {"name", "word", "rare"}  # kinds of texts that are words of a dictionary, or labels
ECHOES = {"spliced"}  # parts of other texts
PARTS = ("noun", "verb", "adj", "adv")
# How words are inflected and formed (WordNet's rules of detachment, and what it does not list).
_ENDINGS = (
    ("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("men", "man"), ("d", ""), ("ed", ""), ("ied", "y"), ("ing", ""), ("ing", "e"),
    ("er", ""), ("er", "e"), ("ier", "y"), ("est", ""), ("est", "e"), ("iest", "y"), ("ly", ""), ("y", ""), ("y", "e"),
)  # fmt: skip


def dictionary(wordnet: Path) -> set[str]:
    """Return every word of WordNet, those of its phrases too, and its irregular forms."""
    found: set[str] = set()
    for part in PARTS:
        for line in (wordnet / f"index.{part}").read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):
                found.update(re.findall("[a-z]+", line.split()[0]))
        found.update(re.findall("[a-z]+", (wordnet / f"{part}.exc").read_text(encoding="utf-8")))
    return found


def suspects(texts: Iterable[Text], words: Collection[str]) -> Counter[str]:
    """Return the words of texts that neither a dictionary nor a name has, nor an inflection of such words, and how often each was written.

    Those that are written as names, with a capital inside a sentence at least every second time, are none.
    """
    counts: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    right = set(words)
    for text in texts:
        if text.kind in RIGHT:
            right.update(words_of(text.text))
        elif text.kind not in ECHOES:
            counts.update(words_of(text.text))
            capital.update(word.lower() for word in re.findall("(?<=[a-z,] )[A-Z][a-z]+", text.text))
    return Counter(
        {
            word: count
            for word, count in counts.items()
            if is_correctable(word) and 2 * capital[word] < count and not _is_right(word, right)
        }
    )


def slips(suspected: Counter[str], counts: Counter[str], spelling: Spelling) -> dict[str, str]:
    """Return which of the suspected words are misspelt, and what each was meant as.

    Args:
        suspected: what `suspects` returned.
        counts: of all words.
        spelling: of the words that are not suspected.
    """
    return {
        word: meant
        for word, count in suspected.items()
        if (meant := spelling.slip(word)) and counts[meant] >= FAR * count
    }


def _is_right(word: str, right: Collection[str], depth: int = 2) -> bool:
    """Say whether a word or what it is an inflection of is right: *kayakers* is of *kayaker*, and that of *kayak*."""
    if word in right:
        return True
    stems = [word[: -len(end)] + other for end, other in _ENDINGS if word.endswith(end)]
    stems += [stem[:-1] for stem in stems if len(stem) > 3 and stem[-1] == stem[-2]]
    return depth > 0 and any(len(stem) > 2 and _is_right(stem, right, depth - 1) for stem in stems)
