"""Bring photographs and words together in one space by contrast, before nano exists: from the teachers' outputs alone.

`joint` places both in CLIP's text space by maps that never saw a photograph beside its caption. A few small corrections,
learned from the training captions and labels, find twice as many of the photographs that held-out captions describe.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from tools.train_nano.inputs.corpus import Text, plain_name
from tools.train_nano.inputs.data import CLUTTER, Photo
from tools.train_nano.measure import unit
from tools.train_nano.targets.joint import PhotoWords, WordSpace, fit_photo_words, fit_words, seen_by

Rows = NDArray[np.float32]
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignRecipe:
    """Everything that decides the fit but the data: chosen on 250 training captions that were left out of it."""

    steps: int = 60
    rate: float = 1e-3
    temperature: float = 0.1
    decay: float = 1e-2  # toward no correction at all
    dropout: float = 0.3
    captions: int = 384
    labels: int = 256
    label_weight: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Where photographs and texts lie: ``(n, 512)`` unit rows each."""

    words: WordSpace
    photo_words: PhotoWords
    turn: Rows  # (512, 512)
    photo_mean: Rows  # (1280 k,)
    photo_map: Rows  # (1280 k, 512)
    sentence_mean: Rows  # (384,)
    sentence_map: Rows  # (384, 512)

    def place_photos(self, features: NDArray[Any]) -> Rows:
        """Place ``(n, 1280 k)`` features of k teachers."""
        seen = (seen_by(features) - self.photo_mean) @ self.photo_map
        return unit(self.photo_words.place(features) @ self.turn + seen)

    def place_texts(self, texts: list[str], sentences: Rows) -> Rows:
        """Place texts with their ``(t, 384)`` rows of the sentence encoder."""
        moved = (sentences - self.sentence_mean) @ self.sentence_map
        return unit(self.words.place(texts, sentences) + moved)


def fit_alignment(
    data: Path,
    photos: list[Photo],
    features: NDArray[Any],
    texts: list[Text],
    sentences: Rows,
    recipe: AlignRecipe | None = None,
) -> Alignment:
    """Fit on training photographs, their captions and their labels only."""
    recipe = recipe or AlignRecipe()
    said = [text.text for text in texts]
    row_of = {text: i for i, text in enumerate(said)}
    train = np.array([photo.split == "train" for photo in photos])
    words = fit_words(data, texts, sentences)
    photo_words = fit_photo_words(data, photos, features, words, row_of, sentences)
    captions = np.array(
        [
            (i, row_of[said])
            for i, p in enumerate(photos)
            if train[i]
            for said in p.sentences
            if said in row_of
        ]
    )
    labels = np.array(
        [
            (i, row_of[plain_name(p.label)])
            for i, p in enumerate(photos)
            if train[i] and p.label and p.label != CLUTTER and plain_name(p.label) in row_of
        ]
    )
    rows = seen_by(features)
    photo_mean, sentence_mean = rows[train].mean(0), sentences[captions[:, 1]].mean(0)
    scale = float((rows[train] - photo_mean).std()) * rows.shape[1] ** 0.5
    corrections = _contrast(
        [
            torch.from_numpy(photo_words.place(features)),
            torch.from_numpy(((rows - photo_mean) / scale).astype(np.float32)),
            torch.from_numpy(words.place(said, sentences)),
            torch.from_numpy((sentences - sentence_mean).astype(np.float32)),
        ],
        captions,
        labels,
        recipe,
    )
    turn, photo_map, sentence_map = (part.detach().numpy() for part in corrections)
    photo_map /= np.float32(scale)
    return Alignment(
        words=words,
        photo_words=photo_words,
        turn=turn,
        photo_mean=photo_mean,
        photo_map=photo_map,
        sentence_mean=sentence_mean,
        sentence_map=sentence_map,
    )


def _contrast(
    sides: list[torch.Tensor], captions: NDArray[np.int64], labels: NDArray[np.int64], recipe: AlignRecipe
) -> list[torch.Tensor]:
    """Learn the corrections of both sides from ``(m, 2)`` pairs of a photograph's and a text's row."""
    placed_photos, seen, placed_texts, meant = sides
    width = placed_photos.shape[1]
    torch.manual_seed(SEED)
    numbers = np.random.default_rng(SEED)
    turn = torch.eye(width).requires_grad_()
    photo_map = torch.zeros(seen.shape[1], width, requires_grad=True)
    sentence_map = torch.zeros(meant.shape[1], width, requires_grad=True)
    optimiser = torch.optim.Adam([photo_map, sentence_map, turn], lr=recipe.rate)

    def similarities(pairs: NDArray[np.int64]) -> torch.Tensor:
        photo, text = torch.from_numpy(pairs).T
        u = placed_photos[photo] @ turn + F.dropout(seen[photo], recipe.dropout) @ photo_map
        v = placed_texts[text] + F.dropout(meant[text], recipe.dropout) @ sentence_map
        return F.normalize(u, dim=1) @ F.normalize(v, dim=1).T / recipe.temperature  # (b, b)

    for _ in range(recipe.steps):
        own = captions[numbers.choice(len(captions), min(recipe.captions, len(captions)), replace=False)]
        told = similarities(own)
        target = torch.arange(len(own))
        loss = (F.cross_entropy(told, target) + F.cross_entropy(told.T, target)) / 2
        named = labels[numbers.choice(len(labels), min(recipe.labels, len(labels)))]
        # Photographs of one label share their text: each of them is right.
        same = torch.from_numpy((named[:, 1][:, None] == named[:, 1]).astype(np.float32))
        same /= same.sum(1, keepdim=True)
        told = similarities(named)
        loss = loss + recipe.label_weight * (F.cross_entropy(told, same) + F.cross_entropy(told.T, same)) / 2
        strayed = (
            photo_map.square().sum() + sentence_map.square().sum() + (turn - torch.eye(width)).square().sum()
        )
        optimiser.zero_grad()
        (loss + recipe.decay * strayed).backward()
        optimiser.step()
    return [turn, photo_map, sentence_map]
