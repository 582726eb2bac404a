"""Train the shipped nano@2's words further by made pictures whose captions are known, and leave all other words where they are.

Photographs stay as they are, so that nothing that was indexed changes. The shipped words are their own teacher; made captions are drawn to where pictures made
so lie apart from others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.families.nano_text import KINDS, TextTower, map_tensors
from retrieval.encoders.families.nano_torch import folded_tower, read_state
from tools.train_nano.inputs.corpus import Text, list_texts
from tools.train_nano.inputs.data import Photo
from tools.train_nano.measure import unit
from tools.train_nano.words.made import Made, make
from tools.train_nano.words.text import TextRecipe, TextSet, quantised, train_text, unquantised
from tools.train_nano.words.text_run import DRAWN, caption_shares
from tools.train_oca.further import IMAGE, SHIPPED, Shipped
from tools.train_oca.head import look, placed
from tools.train_oca.train import LOOKS

Rows = NDArray[np.float32]
RECIPE = TextRecipe(steps=400, rate=6e-4, caption_rows=128, bank=2048)
OF_EACH = 600  # made pictures a sort
SHARE = 0.3  # of the captions drawn
APART = 1.0  # how far made captions are drawn to where such pictures lie


def made_rows(known: Shipped, *, of_each: int = OF_EACH) -> tuple[list[Made], Rows]:
    """Make pictures of the training photographs and look at them: with their vectors ``(n, d)``, without a bank."""
    train = np.flatnonzero([photo.split == "train" for photo in known.photos])
    made = make(known.photos, known.pixels, train, of_each=of_each)
    tower = folded_tower(read_state(SHIPPED / IMAGE), dim=known.seen.shape[1])
    pixels = np.stack([one.pixels for one in made])
    return made, placed(tower.head, look(tower, pixels, np.arange(len(pixels)), LOOKS), LOOKS)


def with_made(
    photos: list[Photo], seen: Rows, texts: Sequence[Text], tower: TextTower, made: Sequence[Made], rows: Rows
) -> TextSet:
    """Join the shipped words, as their own teacher, and made captions.

    Args:
        photos: the training photographs.
        seen: ``(n, d)`` their vectors, without their last component.
        texts: what is kept where it is; captions are ``about`` a row of ``photos``.
        made, rows: what `made_rows` gave, without the last component.
    """
    own_captions = [i for i, text in enumerate(texts) if text.kind == "caption"]
    about = np.array([int(texts[i].about) for i in own_captions])
    kept = unit(tower.encode([text.text for text in texts])[:, :-1])
    said = sorted({one.caption for one in made})
    place = {caption: i for i, caption in enumerate(said)}
    of_made = np.array([place[one.caption] for one in made])
    known, mean = unit(tower.encode(said)[:, :-1]), unit(seen).mean(0)
    aims = np.empty_like(known)
    for i in range(len(said)):
        apart = unit(rows[of_made == i]).mean(0) - mean
        aims[i] = known[i] + APART * apart / max(1e-6, float(np.linalg.norm(apart)))
    weights = np.array([DRAWN[text.kind] for text in texts])
    shares = caption_shares([photos[i] for i in about])
    sorts = np.array([one.sort for one in made])
    of_sort = np.array([1 / (sorts == sort).sum() for sort in sorts])
    drawn = np.concatenate([(1 - SHARE) * shares / shares.sum(), SHARE * of_sort / of_sort.sum()])
    named = np.bincount(of_made, minlength=len(said)) / len(made) * weights.sum() * SHARE
    return TextSet(
        texts=[*texts, *(Text(text=caption, kind="spliced") for caption in said)],
        targets=np.concatenate([kept, unit(aims)]),
        sentences=np.empty((len(texts) + len(said), 0), np.float32),
        images=np.concatenate([unit(seen), unit(rows)]),
        caption_text=np.concatenate([own_captions, len(texts) + of_made]),
        caption_image=np.concatenate([about, len(photos) + np.arange(len(made))]),
        caption_weights=drawn,
        weights=np.concatenate([weights, named]) / (weights.sum() + named.sum()),
    )


def train_words(
    data: Path, wordnet: Path, known: Shipped, recipe: TextRecipe = RECIPE, *, note: Callable[[str], None] = print
) -> dict[str, NDArray[np.generic]]:  # fmt: skip
    """Return the tensors of the shipped text tower, trained further; its words for kinds stay."""
    shipped = map_tensors(SHIPPED / "text.safetensors")
    tower = TextTower(SHIPPED / "text.safetensors")
    train = np.flatnonzero([photo.split == "train" for photo in known.photos])
    position = {int(row): i for i, row in enumerate(train)}
    texts = [
        replace(text, about=str(position[int(text.about)])) if text.kind == "caption" else text
        for text in list_texts(data, wordnet, known.photos)
    ]
    made, rows = made_rows(known)
    note(f"made {len(made)} pictures")
    photos = [known.photos[i] for i in train]
    lesson = with_made(photos, known.seen[train, :-1], texts, tower, made, rows[:, :-1])
    student = train_text(lesson, recipe, init=unquantised(shipped), note=note)
    kinds = {name: np.array(array) for name, array in shipped.items() if name.startswith(KINDS)}
    return quantised(student) | kinds
