"""From the shipped image tower and the teachers to the shipped text tower."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.nano import NanoEncoder
from retrieval.encoders.nano_text import map_tensors
from tools.train_nano.align import fit_alignment
from tools.train_nano.corpus import Text, embedded_texts
from tools.train_nano.data import Photo, drawn_weights, everyday, list_photos
from tools.train_nano.discriminant import fit_discriminant
from tools.train_nano.embedding import embed_images
from tools.train_nano.export import save_tensors
from tools.train_nano.joint import text_targets
from tools.train_nano.measure import unit
from tools.train_nano.targets import fit_target_map
from tools.train_nano.teachers import mobilenet_features
from tools.train_nano.text import TextRecipe, TextSet, quantised, train_text, unquantised

DRAWN = {
    "name": 6.0,
    "word": 1.0,
    "gloss": 0.6,
    "sentence": 1.0,
    "caption": 4.0,
    "spliced": 1.0,
    "example": 0.5,
    "rare": 0.4,
}


def fit_text(
    data: Path,
    wordnet: Path,
    folder: Path,
    weights: Path,
    recipe: TextRecipe,
    *,
    go_on: bool = False,
    note: Callable[[str], None] = print,
) -> None:
    """Train the text tower against the image tower in ``weights`` and write ``text.safetensors`` beside it.

    ``go_on`` starts from the one that lies there.
    """
    shipped = weights / "text.safetensors"
    photos = list_photos(data)
    features = mobilenet_features(data, photos, folder / "mobilenet.npy", note=note)
    pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    texts, sentences = embedded_texts(data, wordnet, photos, folder, note=note)
    alignment = fit_alignment(data, photos, features, texts, sentences)
    placed = alignment.place_texts([text.text for text in texts], sentences)
    photo_words = alignment.place_photos(features)
    train = np.array([i for i, photo in enumerate(photos) if photo.split == "train"])
    note("embed the training photographs")
    rows = embed_images(NanoEncoder(weights), [pixels[i] for i in train])
    # The tower knows these photographs better than others: where its rows differ from the targets they say how these in particular are taken.
    rows = unit(rows + unit(fit_target_map(alignment, photos, features).place(features[train])))
    data_set = text_set(texts, sentences, placed, photos, photo_words[train], rows, train)
    init = unquantised(map_tensors(shipped)) if go_on else None
    student = train_text(data_set, recipe, init=init, note=note)
    save_tensors(quantised(student), shipped)


def text_set(
    texts: list[Text], sentences: NDArray[np.float32], placed: NDArray[np.float32], photos: list[Photo],
    photo_words: NDArray[np.float32], rows: NDArray[np.float32], train: NDArray[np.int64],
) -> TextSet:  # fmt: skip
    """Join what the text tower learns from; ``photo_words`` and ``rows`` are of the photographs ``train`` alone."""
    trained = [photos[i] for i in train]
    position = {int(row): i for i, row in enumerate(train)}
    captions = [i for i, text in enumerate(texts) if text.kind == "caption"]
    weights = np.array([DRAWN[text.kind] for text in texts])
    own = np.array([position[int(texts[i].about)] for i in captions])
    scenes = rows[everyday(trained)]
    discriminant = fit_discriminant(scenes, [texts[i].text for i in captions], rows[own])
    aims = text_targets(placed, photo_words, rows, drawn_weights(trained))
    targets = discriminant.sharpen([text.text for text in texts], aims)
    return TextSet(
        texts=texts,
        targets=targets,
        sentences=sentences,
        images=rows,
        caption_text=np.array(captions),
        caption_image=own,
        weights=weights / weights.sum(),
    )
