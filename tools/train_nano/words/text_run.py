"""From the shipped image tower and the teachers to the shipped text tower."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.encoders.families.nano import NanoEncoder
from retrieval.encoders.families.nano_text import TextTower, map_tensors
from retrieval.encoders.families.nano_torch import MEANING, TEMPERATURE, Querybank, folded_tower, read_state
from tools.train_nano.embedding import embed_images
from tools.train_nano.export import export_image, read_note, save_tensors
from tools.train_nano.inputs.corpus import Text, embedded_texts
from tools.train_nano.inputs.data import Photo, drawn_weights, everyday, list_photos
from tools.train_nano.measure import unit
from tools.train_nano.targets.align import fit_alignment
from tools.train_nano.targets.discriminant import fit_discriminant
from tools.train_nano.targets.joint import text_targets
from tools.train_nano.targets.targets import fit_target_map
from tools.train_nano.targets.teachers import mobilenet_features
from tools.train_nano.words.text import TextRecipe, TextSet, quantised, train_text, unquantised

GROUPS, SEED = 512, 1  # of a bank of texts
DRAWN = {
    "name": 6.0,
    "word": 1.0,
    "gloss": 0.6,
    "sentence": 1.0,
    "caption": 1.0,
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
    """Train the text tower against the image tower in ``weights``, write ``text.safetensors`` beside it, and a bank of texts into it.

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
    seen = unit(embed_images(NanoEncoder(weights), [pixels[i] for i in train])[:, :MEANING])  # (n, 255)
    # The tower knows these photographs better than others: where its rows differ from the targets they say how these in particular are taken.
    targets = unit(fit_target_map(alignment, photos, features).place(features[train])[:, :MEANING])
    rows = unit(seen + targets)
    data_set = text_set(texts, sentences, placed, photos, photo_words[train], rows, train)
    init = unquantised(map_tensors(shipped)) if go_on else None
    student = train_text(data_set, recipe, init=init, note=note)
    save_tensors(quantised(student), shipped)
    image = weights / "image.safetensors"
    bank = fit_querybank(TextTower(shipped), texts, seen)
    export_image(folded_tower(read_state(image)), weights, note=read_note(image), querybank=bank)


def fit_querybank(tower: TextTower, texts: list[Text], photos: NDArray[np.float32]) -> Querybank:
    """Group texts of the kinds that people ask, as many names as sentences like captions.

    ``photos``, ``(n, d - 1)`` unit rows, say how popular a photograph usually is. Groups stand for eight times as many texts as well as
    these themselves do.
    """
    import faiss

    names, sentences = ([text.text for text in texts if text.kind == kind] for kind in ("name", "spliced"))
    most = min(len(names), len(sentences))
    numbers = np.random.default_rng(SEED)
    rows = tower.encode(
        [part[i] for part in (names, sentences) for i in numbers.permutation(len(part))[:most]]
    )
    meaning = photos.shape[1]
    rows = unit(rows[:, :meaning])
    groups = min(GROUPS, len(rows))
    # No group is made of a part of the texts only.
    found = faiss.Kmeans(
        meaning, groups, niter=10, seed=SEED, max_points_per_centroid=len(rows), min_points_per_centroid=1
    )
    found.train(rows)
    own = found.index.search(rows, 1)[1][:, 0]
    shares = np.bincount(own, minlength=groups) / len(rows)
    bank = Querybank(
        torch.from_numpy(found.centroids), torch.from_numpy(np.log(shares + 1e-9).astype(np.float32))
    )
    bank.offsets -= bank.popularity(torch.from_numpy(photos)).mean() / TEMPERATURE
    return bank


def text_set(
    texts: list[Text], sentences: NDArray[np.float32], placed: NDArray[np.float32], photos: list[Photo],
    photo_words: NDArray[np.float32], rows: NDArray[np.float32], train: NDArray[np.int64],
    *, bfloat16: bool = False,
) -> TextSet:  # fmt: skip
    """Join what the text tower learns from; ``photo_words`` and ``rows`` are of the photographs ``train`` alone."""
    trained = [photos[i] for i in train]
    position = {int(row): i for i, row in enumerate(train)}
    captions = [i for i, text in enumerate(texts) if text.kind == "caption" and int(text.about) in position]
    weights = np.array([DRAWN[text.kind] for text in texts])
    weights[captions] *= caption_shares([photos[int(texts[i].about)] for i in captions])
    own = np.array([position[int(texts[i].about)] for i in captions])
    scenes = rows[everyday(trained)]
    discriminant = fit_discriminant(scenes, [texts[i].text for i in captions], rows[own])
    aims = text_targets(placed, photo_words, rows, drawn_weights(trained), bfloat16=bfloat16)
    targets = discriminant.sharpen([text.text for text in texts], aims)
    return TextSet(
        texts=texts,
        targets=targets,
        sentences=sentences,
        images=rows,
        caption_text=np.array(captions),
        caption_image=own,
        caption_weights=weights[captions] / weights[captions].sum(),
        weights=weights / weights.sum(),
    )


def caption_shares(photos: list[Photo]) -> NDArray[np.float64]:
    """Say how often one sentence of each photograph is drawn: all its sentences together as often as the photograph.

    One collection has thirty sentences to one of another's, and words learn what is drawn.
    """
    return drawn_weights(photos) / [len(photo.sentences) for photo in photos]
