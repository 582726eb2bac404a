"""Train the shipped nano@2's words further by made pictures whose captions are known, and leave all other words where they are.

Photographs stay as the tower sees them, which may be a further one than the shipped one. The shipped words are their own teacher; made captions are drawn to where pictures made
so lie apart from others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.families.nano_text import KINDS, TextTower, map_tensors
from retrieval.encoders.families.nano_torch import ImageTower
from tools.train_nano.inputs.corpus import Text
from tools.train_nano.inputs.data import Photo
from tools.train_nano.measure import unit
from tools.train_nano.words.made import Made, make
from tools.train_nano.words.text import TextRecipe, TextSet, quantised, train_text, unquantised
from tools.train_nano.words.text_run import DRAWN, caption_shares
from tools.train_oca.further import SHIPPED, Looked, look_at

Rows = NDArray[np.float32]
RECIPE = TextRecipe(steps=1000, rate=6e-4, caption_rows=128, bank=2048)
OF_EACH = 600  # made pictures a sort
SHARE = 0.3  # of the captions drawn
APART = 1.0  # how far made captions are drawn to where such pictures lie


def made_rows(known: Looked, tower: ImageTower, *, of_each: int = OF_EACH) -> tuple[list[Made], Rows]:
    """Make pictures of the training photographs and look at them: with their vectors ``(n, d)``, without a bank."""
    made = make(known.photos, known.pixels, known.train, of_each=of_each)
    pixels = np.stack([one.pixels for one in made])
    return made, look_at(tower, pixels, np.arange(len(pixels)))


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
    texts: Sequence[Text], known: Looked, tower: ImageTower, recipe: TextRecipe = RECIPE, *, note: Callable[[str], None] = print
) -> dict[str, NDArray[np.generic]]:  # fmt: skip
    """Return the tensors of the shipped text tower, trained further for what ``tower`` sees; its words for kinds stay.

    Args:
        texts: all training texts; captions are about a row of ``known.photos``.
    """
    shipped = map_tensors(SHIPPED / "text.safetensors")
    position = {int(row): i for i, row in enumerate(known.train)}
    texts = [
        replace(text, about=str(position[int(text.about)])) if text.kind == "caption" else text
        for text in texts
    ]
    made, rows = made_rows(known, tower)
    note(f"made {len(made)} pictures")
    photos, words = [known.photos[i] for i in known.train], TextTower(SHIPPED / "text.safetensors")
    lesson = with_made(photos, known.seen[known.train, :-1], texts, words, made, rows[:, :-1])
    student = train_text(lesson, recipe, init=unquantised(shipped), note=note)
    kinds = {name: np.array(array) for name, array in shipped.items() if name.startswith(KINDS)}
    return quantised(student) | kinds
