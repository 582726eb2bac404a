"""Give shipped words for kinds a place of their own, by their members, and leave all other words where they are.

WordNet says what is a fish or a big cat. A word for a kind lies where its members' names lie, and where photographs that are labelled as
members differ from others, divided by how photographs spread. Where it lay well already it stays near. The text tower learns this
badly, since it has 128 numbers before its last layers: trained for 700 steps, 0.51 of the first five were right, by these places 0.63. So a
table holds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.families.nano_text import KINDS, TextTower, map_tensors, words_of as words_of_text
from tools.train_nano.inputs.corpus import plain_name
from tools.train_nano.inputs.data import CLUTTER, Photo
from tools.train_nano.measure import unit
from tools.train_nano.targets.discriminant import words_of
from tools.train_nano.words.hypernyms import members, read_nouns
from tools.train_oca.further import Looked

Rows = NDArray[np.float32]
SPREAD = 3.0  # of photographs, in mean variances
# Photographs count fully where a tenth of the members' names are labels, and less where fewer are: what is labelled is not the kind. What is said of
# many photographs, or is a label itself, lies well already and stays near. Chosen on a quarter of the training photographs, by directions fitted
# on the others: of the first five for kinds 0.636 were right instead of 0.450, of the first ten for names 0.845 instead of 0.830. A tenth instead of a fifth,
# and two meanings of a name instead of one, raised 28 kinds there from 0.679 to 0.721.
LABELLED = 0.1
WELL_SAID, OWN = 60, 2.0
# So that the file stays below 8 MB: cosine from which on a word needs no place of its own, and names that make a kind.
NEAR, MEMBERS = 0.93, 5


def kinds_of(
    data: Path, wordnet: Path, photos: Sequence[Photo], tower: TextTower, rows: Rows, *, least: int = MEMBERS
) -> dict[str, Rows]:
    """Say where words for kinds should lie: ``(d,)`` unit rows.

    Args:
        photos: the training photographs.
        rows: ``(n, d)`` unit rows of the same.
        least: names that make a kind.
    """
    teachers = data / "teachers"
    everyday = {
        str(name)
        for file in ("clip_text_names.npz", "clip_lvis.npz")
        for name in np.load(teachers / file)["name"]
    }
    lines = (teachers / "imagenet_labels.txt").read_text(encoding="utf-8").splitlines()[1:]
    said = np.array(
        [plain_name(p.label) if p.label != CLUTTER and "," not in p.label else "" for p in photos]
    )
    labels = {name: np.flatnonzero(said == name) for name in sorted(set(said.tolist()) - {""})}
    classes = [[name] for name in sorted(everyday)]
    classes += [line.strip().split(", ") for line in lines] + [[name] for name in labels]
    kinds = members(read_nouns(wordnet), classes)
    mentions = Counter(word for photo in photos for word in set().union(*map(words_of, photo.sentences)))
    named = unit(tower.encode([names[0].lower() for names in classes])[:, :-1])
    spread = np.cov(rows.T)
    divided = np.linalg.inv(spread + SPREAD * np.trace(spread) / len(spread) * np.eye(len(spread)))
    mean, found = rows.mean(0), {}
    for word, which in kinds.items():
        names = {classes[i][0].lower(): i for i in which}
        if len(names) < least:
            continue
        place = unit(named[list(names.values())].mean(0)[None])[0]
        shown = [labels[name] for name in names if name in labels]
        if shown:
            # Each label counts alike: the commonest of them is not the kind.
            counts = np.concatenate([np.full(len(part), (len(part) + 1) ** -0.5) for part in shown])
            apart = np.average(rows[np.concatenate(shown)], 0, counts) - mean
            share = min(1.0, len(shown) / len(names) / LABELLED)
            place = place + share * unit((divided @ apart)[None].astype(np.float32))[0]
        if word in labels or mentions[word] >= WELL_SAID:
            place = unit(place[None])[0] + OWN * unit(tower.encode([word])[:, :-1])[0]
        found[word] = unit(place[None])[0]
    return found


def with_kinds(tensors: dict[str, NDArray[Any]], kinds: dict[str, Rows]) -> dict[str, NDArray[Any]]:
    """Add words for kinds to a text tower's tensors, or put these in the place of those it has: 8 bits a number and a scale a row."""
    words = sorted(kinds)
    rows = np.stack([kinds[word] for word in words])
    scale = (np.abs(rows).max(1) / 127).astype(np.float16)
    listed = np.frombuffer("\n".join(words).encode(), np.int8)
    steps = np.clip(np.rint(rows / scale.astype(np.float32)[:, None]), -127, 127).astype(np.int8)
    return tensors | {KINDS: listed, f"{KINDS}.rows": steps, f"{KINDS}.scale": scale}


def words_with_kinds(
    data: Path, wordnet: Path, known: Looked, words: Path, *, least: int = MEMBERS
) -> dict[str, NDArray[Any]]:
    """Return the tensors of the text tower in ``words`` with the kinds that it does not place well itself, of ``least`` names or more."""
    tensors = {
        name: np.array(array) for name, array in map_tensors(words).items() if not name.startswith(KINDS)
    }
    tower = TextTower(words, kinds=False)  # a table of before would say that all lie well
    rows = unit(unit(known.seen[known.train])[:, :-1])
    found = kinds_of(data, wordnet, [known.photos[i] for i in known.train], tower, rows, least=least)
    # As the tower reads them, which takes hyphens for blanks.
    said = {" ".join(words_of_text(word)): place for word, place in found.items()}
    own = dict(zip(said, unit(tower.encode(list(said))[:, :-1]), strict=True))
    return with_kinds(
        tensors, {word: place for word, place in said.items() if word and place @ own[word] < NEAR}
    )
