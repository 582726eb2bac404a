"""Measure both versions on photographs that neither was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.migration.alignment import Probe
from retrieval.encoders.families.nano import NanoEncoder
from tools.train_nano.embedding import embed_images
from tools.train_nano.measure import unit
from tools.train_nano.views import crop
from tools.train_oca.data import Data
from tools.train_oca.tower import OLD

QUERIES = 1500


def measure(data: Data, old: NanoEncoder, new: NanoEncoder) -> dict[str, Any]:
    """Measure by crops of photographs, by labels and by captions; new words are old words, so those need no cross-test."""
    rows = np.flatnonzero([photo.split != "train" for photo in data.photos])
    if data.most is not None:
        rows = np.sort(np.random.default_rng(4).permutation(rows)[: data.most])
    pixels = data.pixels[rows]
    asked = np.sort(np.random.default_rng(4).choice(len(rows), min(QUERIES, len(rows)), replace=False))
    crops = np.stack(
        [np.asarray(crop(pixels[place], 0.2, np.random.default_rng((5, int(place))))) for place in asked]
    )
    gallery = [embed_images(encoder, pixels) for encoder in (old, new)]
    queries = [embed_images(encoder, crops) for encoder in (old, new)]
    views = Probe(
        gallery_old=gallery[0], gallery_new=gallery[1], old=queries[0], new=queries[1], target=asked
    )
    named = np.flatnonzero([bool(data.photos[row].label) for row in rows])
    labels = np.unique(
        [f"{data.photos[row].group}/{data.photos[row].label}" for row in rows[named]], return_inverse=True
    )[1]
    near = Probe(
        gallery_old=gallery[0][named],
        gallery_new=gallery[1][named],
        old=gallery[0][named],
        new=gallery[1][named],
        target=np.arange(len(named)),
        labels=labels.astype(np.int64),
    )
    found: dict[str, Any] = {"gallery": len(rows), "crops": len(asked), "labelled": len(named)}
    for name, probe in (("crop_recall_at_1", views), ("knn_accuracy", near)):
        first = unit(probe.new[:, :OLD])
        found[name] = {
            "old_old": float(probe.right(probe.old, probe.gallery_old).mean()),
            "new_old": float(probe.right(first, probe.gallery_old).mean()),
            "new_new": float(probe.right(probe.new, probe.gallery_new).mean()),
        }
    told = np.flatnonzero([bool(data.photos[row].caption) for row in rows])
    words = [data.photos[row].caption for row in rows[told]]
    found["captions"] = len(told)
    found["caption_recall_at_10"] = {
        name: caption_recall(encoder.encode_text(words), images, told)
        for name, encoder, images in (("old_old", old, gallery[0]), ("new_new", new, gallery[1]))
    }
    return found


def caption_recall(words: NDArray[np.float32], gallery: NDArray[np.float32], own: NDArray[np.int64]) -> float:
    """Return the share of captions whose own photograph is among the ten best of the gallery.

    Args:
        words: ``(t, d)`` unit rows of captions.
        gallery: ``(g, d)`` unit rows of photographs.
        own: ``(t,)`` the gallery row of each caption.
    """
    scores = words @ gallery.T  # (t, g)
    better = (scores > scores[np.arange(len(own)), own][:, np.newaxis]).sum(1)
    return float((better < 10).mean())
