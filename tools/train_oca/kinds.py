"""Teach the shipped words which kinds have which members, and leave all other words where they are.

WordNet says what is a fish or a big cat. A word for a kind lies where its members' names lie, and where photographs that are labelled as
members differ from others, divided by how photographs spread. Where it lay well already it stays near.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.families.nano_text import TextTower, map_tensors
from tools.train_nano.inputs.corpus import Text, list_texts, plain_name
from tools.train_nano.inputs.data import CLUTTER, Photo
from tools.train_nano.measure import unit
from tools.train_nano.targets.discriminant import words_of
from tools.train_nano.words.hypernyms import members, read_nouns
from tools.train_nano.words.text import TextRecipe, TextSet, TextStudent, train_text, unquantised
from tools.train_nano.words.text_run import DRAWN, caption_shares

Rows = NDArray[np.float32]
SPREAD = 3.0  # of photographs, in mean variances
# Photographs count fully where a fifth of the members' names are labels, and less where fewer are: what is labelled is not the kind. What is said of
# many photographs, or is a label itself, lies well already and stays near. Chosen on a quarter of the training photographs, by directions fitted
# on the others: of the first five for kinds 0.636 were right instead of 0.450, of the first ten for names 0.845 instead of 0.830.
LABELLED = 0.2
WELL_SAID, OWN = 60, 2.0
KIND_DRAWN = 40.0  # how much oftener than another word
RECIPE = TextRecipe(steps=700, rate=2e-3, caption_rows=64, bank=2048)


def kinds_of(
    data: Path, wordnet: Path, photos: Sequence[Photo], tower: TextTower, rows: Rows
) -> dict[str, Rows]:
    """Say where words for kinds should lie: ``(d,)`` unit rows.

    Args:
        photos: the training photographs.
        rows: ``(n, d)`` unit rows of the same.
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
        if len(names) < 2:
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


def words_with_kinds(
    data: Path, wordnet: Path, photos: list[Photo], seen: Rows, words: Path, *, recipe: TextRecipe = RECIPE,
    note: Callable[[str], None] = print,
) -> TextStudent:  # fmt: skip
    """Train the text tower in ``words`` on: every training text at its own place, words for kinds at theirs, sentences beside photographs.

    Args:
        seen: ``(n, d + 1)`` vectors of all photographs, before their bank.
    """
    train = np.flatnonzero([photo.split == "train" for photo in photos])
    rows = unit(unit(seen[train])[:, :-1])
    tower = TextTower(words)
    kinds = kinds_of(data, wordnet, [photos[i] for i in train], tower, rows)
    texts = list_texts(data, wordnet, photos)
    known = {text.text for text in texts}
    texts += [Text(text=word, kind="word") for word in kinds if word not in known]
    note(f"{len(texts)} texts, of which {len(kinds)} are words for kinds")
    targets = unit(tower.encode([text.text for text in texts])[:, :-1])
    weights = np.array([DRAWN[text.kind] for text in texts])
    for i, text in enumerate(texts):
        if text.text in kinds and text.kind in ("name", "word", "rare"):
            targets[i], weights[i] = kinds[text.text], KIND_DRAWN
    position = {int(row): i for i, row in enumerate(train)}
    captions = np.array([i for i, text in enumerate(texts) if text.kind == "caption"])
    shares = caption_shares([photos[int(texts[i].about)] for i in captions])
    made = TextSet(
        texts=texts, targets=targets, sentences=np.empty((0, 0), np.float32), images=rows, caption_text=captions,
        caption_image=np.array([position[int(texts[i].about)] for i in captions]),
        caption_weights=shares / shares.sum(), weights=weights / weights.sum(),
    )  # fmt: skip
    return train_text(made, recipe, note=note, init=unquantised(map_tensors(words)))
