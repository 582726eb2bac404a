"""Let words for kinds find their members: the nouns that WordNet has above the thousand names that the teachers tell apart.

A teacher says "tench", and who looks for a fish means that too. Each wider noun (fish, vehicle, musical instrument, fruit) gets the share of
every name below it, so that photographs say what it looks like in all its forms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.train_nano.measure import unit
from tools.train_nano.targets.discriminant import singular

Rows = NDArray[np.float32]
MOST = 0.6  # of all names: wider nouns (object, whole, entity) find nothing in particular
# WordNet's files of nouns that a photograph can show: acts, animals, artifacts, bodies, food, natural objects, persons, phenomena, plants.
SHOWN = {"04", "05", "06", "08", "13", "17", "18", "19", "20"}
SENSES = 2  # of a name that says nothing else of what it means: an octopus is food and an animal


@dataclass(frozen=True, slots=True, kw_only=True)
class Nouns:
    """WordNet's nouns: the words of each meaning, the meanings right above each, and the meanings of each word, the usual one first.

    ``shown`` are the meanings that a photograph can show.
    """

    shown: set[str]
    words: dict[str, list[str]]
    above: dict[str, list[str]]
    meanings: dict[str, list[str]]


def read_nouns(folder: Path) -> Nouns:
    """Read ``data.noun`` and ``index.noun``; words in lower case, with blanks."""
    shown: set[str] = set()
    words: dict[str, list[str]] = {}
    above: dict[str, list[str]] = {}
    meanings: dict[str, list[str]] = {}
    with (folder / "data.noun").open(encoding="utf-8") as handle:
        for line in handle:
            if line.startswith("  "):
                continue
            fields = line.partition("|")[0].split()
            count = int(fields[3], 16)
            if fields[1] in SHOWN:
                shown.add(fields[0])
            words[fields[0]] = [fields[4 + 2 * i].replace("_", " ").lower() for i in range(count)]
            links = fields[5 + 2 * count :]
            above[fields[0]] = [
                links[i + 1] for i in range(0, 4 * int(fields[4 + 2 * count]), 4) if links[i] in ("@", "@i")
            ]
    with (folder / "index.noun").open(encoding="utf-8") as handle:
        for line in handle:
            if not line.startswith("  "):
                fields = line.split()
                meanings[fields[0].replace("_", " ")] = fields[-int(fields[2]) :]
    return Nouns(shown=shown, words=words, above=above, meanings=meanings)


def meanings_of(nouns: Nouns, names: Sequence[str]) -> list[str]:
    """Give the meaning that most of some names for one thing share, or the usual ones that a photograph can show; none for unknown names.

    A name that WordNet lacks, or of which it knows only what no photograph shows, stands for its singular, or for the end of it that WordNet has: a
    beef tomato is a tomato, and shoes are not a state.
    """
    found = [_known_as(nouns, name.lower()) for name in names]
    votes: dict[str, float] = defaultdict(float)
    for meanings in found:
        for rank, meaning in enumerate(meanings):
            votes[meaning] += 1 - 0.01 * rank
    best = sorted(votes, key=lambda meaning: -votes[meaning])
    return best[: SENSES if best and votes[best[0]] <= 1 else 1]


def _known_as(nouns: Nouns, name: str) -> list[str]:
    words = name.replace("-", " ").split()
    ends = [" ".join(words[at:]) for at in range(len(words))]
    tried = [name, *(form for end in ends for form in (end, _singular(end)))]
    known = [nouns.meanings[form] for form in tried if form in nouns.meanings]
    shown = [[meaning for meaning in meanings if meaning in nouns.shown] for meanings in known]
    return next((meanings for meanings in [*shown, *known] if meanings), [])


def _singular(name: str) -> str:
    *before, last = name.split()
    return " ".join([*before, singular(last)])


def closure(nouns: Nouns, meaning: str) -> set[str]:
    """Give a meaning and everything above it."""
    found, open_ = set(), [meaning]
    while open_:
        if (at := open_.pop()) not in found:
            found.add(at)
            open_ += nouns.above[at]
    return found


def members(nouns: Nouns, classes: Sequence[Sequence[str]]) -> dict[str, NDArray[np.int64]]:
    """Give for each word which classes are of its kind: of every noun with two classes or more below it.

    A word with several meanings stands for the one with most classes below it; ``classes`` are the names of each.
    """
    below: dict[str, set[int]] = defaultdict(set)
    for i, names in enumerate(classes):
        for own in meanings_of(nouns, names):
            for meaning in closure(nouns, own):
                below[meaning].add(i)
    found: dict[str, set[int]] = {}
    for meaning, own_classes in below.items():
        if 2 <= len(own_classes) <= MOST * len(classes):
            for word in nouns.words[meaning]:
                if len(own_classes) > len(found.get(word, ())):
                    found[word] = own_classes
    return {word: np.array(sorted(own)) for word, own in sorted(found.items())}


def kind_targets(
    shares: Rows, rows: Rows, kinds: dict[str, NDArray[np.int64]], *, least: float = 3.0
) -> dict[str, Rows]:
    """Say where words for kinds should lie: where photographs of any member differ from all others, ``(d,)`` unit rows.

    Args:
        shares: ``(n, classes)`` how probable the teachers find each class in each photograph.
        rows: ``(n, d)`` unit rows of the same photographs.
        least: how many photographs' worth of members there must be.
    """
    mean = rows.mean(0)
    found = {}
    for word, own in kinds.items():
        share = shares[:, own].sum(1)
        if share.sum() < least:
            continue
        # Each member counts alike: the commonest of them is not the kind.
        per_class = shares[:, own]
        weight = (per_class / np.sqrt(per_class.sum(0) + 1)).sum(1)
        found[word] = unit((weight @ rows / weight.sum() - mean)[None])[0]
    return found
