"""Fit to a tower that was trained further what depends on it: words, words for kinds, the bank of texts, and the way back to nano@1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.families.nano_text import TextTower
from tools.train_nano.export import read_note, save_tensors
from tools.train_nano.inputs.corpus import list_texts
from tools.train_nano.measure import unit
from tools.train_nano.targets.joint import ridge
from tools.train_nano.words.text import TextRecipe
from tools.train_nano.words.text_run import fit_querybank
from tools.train_oca.finish import POPULARITY, TEXT_STRENGTH, read_back
from tools.train_oca.further import IMAGE, SHIPPED, digest_of, export_further, look_at_all, newest, read_tower
from tools.train_oca.words.kinds import words_with_kinds
from tools.train_oca.words.made_words import RECIPE, train_words

Rows = NDArray[np.float32]
TEXTS = 30_000  # a sample


def refit(
    data: Path, wordnet: Path, work: Path, recipe: TextRecipe = RECIPE, *, note: Callable[[str], None] = print
) -> None:
    """Train the shipped words further for the tower of ``work``'s ``nano-2``, and write every file that depends on them there.

    Words start from the shipped ones each time, so that a second run gives the same. Where ``work`` has no tower of its own, the shipped
    one stays as it is, with its bank and its way back: only words change.
    """
    weights, folder = newest(work), work / "nano-2"
    known = look_at_all(data, work, weights, few=True, note=note)
    tower, words = read_tower(weights), folder / "text.safetensors"
    texts = list_texts(data, wordnet, known.photos)
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(train_words(texts, known, tower, recipe, note=note), words)
    save_tensors(words_with_kinds(data, wordnet, known, words), words)
    note(f"{words}: trained, with words for kinds")
    if digest_of(tower) == digest_of(read_tower(SHIPPED)):
        for path in SHIPPED.iterdir():
            if path.name != words.name:
                (folder / path.name).write_bytes(path.read_bytes())
        return
    bank = fit_querybank(TextTower(words), texts, unit(known.seen[known.train, :-1]))
    bank.weight = POPULARITY
    samples = int(read_note(weights / IMAGE).get("samples", "0"))
    export_further(
        tower,
        known,
        folder,
        words,
        samples=samples,
        bank=bank,
        seen=known.seen,
        back_of_text=text_back([text.text for text in texts], words),
    )
    note(f"{folder}: bank of texts and way back fitted")


def text_back(texts: Sequence[str], words: Path) -> Rows:
    """Fit the map by which ``words`` ask galleries of nano@1: they should ask what the shipped words ask, ``(d, 256)``.

    With the shipped words' own map, trained ones found 0.411 of captions among old vectors; with this one 0.419, as the shipped ones did (0.420).
    """
    few = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:TEXTS]]
    shipped, own = (
        unit(TextTower(path, kinds=False).encode(few)[:, :-1])
        for path in (SHIPPED / "text.safetensors", words)
    )
    found = read_back(SHIPPED / "back.safetensors").text.copy()
    apart: Rows = np.asarray((shipped - own) @ found[:-1], np.float32)
    found[:-1] += ridge(own, apart, TEXT_STRENGTH)
    return found
