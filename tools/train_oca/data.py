"""What nano@2 learns: nano@1's vector of the unaltered photograph beside what the teachers see and words say, turned by a fixed map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.families.nano import NanoEncoder
from tools.train_nano.embedding import embed_images
from tools.train_nano.inputs.corpus import Text, embedded_texts
from tools.train_nano.inputs.data import Photo, decode_all, drawn_weights, list_photos
from tools.train_nano.measure import unit
from tools.train_nano.prepare import assemble
from tools.train_nano.targets.align import Alignment, AlignRecipe, fit_alignment
from tools.train_nano.targets.asked import asked_axes
from tools.train_nano.targets.joint import PhotoWords, WordSpace
from tools.train_nano.targets.places import AXES, GRID
from tools.train_nano.targets.targets import TargetMap, fit_target_map
from tools.train_nano.targets.teachers import FEATURES, classifiers, mobilenet_features
from tools.train_nano.tower.train import TrainingSet
from tools.train_nano.words.text import TextSet
from tools.train_nano.words.text_run import text_set

Rows = NDArray[np.float32]
WIDTH = 384
OLD_WEIGHT = 1.0
EXTENSION = "extension.npz"
# Of 800 training photographs of everyday scenes, left out of the fit: chosen where most sentences find theirs.
ALIGN = AlignRecipe(steps=600, temperature=0.06, captions=512)
ASKED = 16_000  # texts that say what is asked: a sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """The map from nano@1's vectors and the teachers' features to nano@2's targets, and back to nano@1's space.

    Both lie side by side, the old vector whole and of the rest the widest axes, and are turned to their principal axes, the widest first:
    every prefix of the new vector is free to be better than the old one's, and ``back``, the same turn read the other way, gives the
    old vector exactly.
    """

    taught: TargetMap
    mean: Rows  # (256 + j,), nothing in its first 256
    axes: Rows  # (256 + j, d), orthonormal columns

    def place(self, old: NDArray[Any], features: NDArray[Any]) -> Rows:
        """Give the targets ``(n, d)``, not normalised, of photographs with these old vectors, ``(n, 256)``, and features."""
        parts = [
            (side_by_side(old[at : at + 8192], self.taught, features[at : at + 8192]) - self.mean) @ self.axes
            for at in range(0, len(old), 8192)
        ]
        return np.concatenate(parts).astype(np.float32)

    @property
    def back(self) -> Rows:
        """The map ``(d, 256)`` from new vectors to the directions of old ones."""
        return np.ascontiguousarray(self.axes[: self.old_width].T / np.float32(OLD_WEIGHT))

    @property
    def old_width(self) -> int:
        """How many components old vectors have."""
        width: int = len(self.axes) - self.taught.axes.shape[1] - self.taught.alignment.turn.shape[1]
        return width


def side_by_side(old: NDArray[Any], taught: TargetMap, features: NDArray[Any]) -> Rows:
    """Join old vectors and what the teachers and words say, ``(n, 256 + j)``."""
    return np.concatenate([OLD_WEIGHT * unit(old), taught.joined(features)], 1)


def fit_extension(
    taught: TargetMap, old: NDArray[Any], features: NDArray[Any], weights: NDArray[np.float64], *, width: int = WIDTH
) -> Extension:  # fmt: skip
    """Fit on training photographs, each counted as often as it is drawn."""
    both = side_by_side(old, taught, features)
    mean = np.average(both, 0, weights).astype(np.float32)
    mean[: old.shape[1]] = 0  # so that the way back is a turn and nothing else
    apart = both - mean
    moment = (apart.T @ (apart * (weights / weights.sum())[:, None].astype(np.float32))).astype(np.float64)
    known = old.shape[1]
    kept = np.zeros((len(moment), width))
    kept[:known, :known] = np.eye(known)
    kept[known:, known:] = np.linalg.eigh(moment[known:, known:])[1][:, : known - width - 1 : -1]
    turn = np.linalg.eigh(kept.T @ moment @ kept)[1][:, ::-1]
    return Extension(taught=taught, mean=mean, axes=np.ascontiguousarray(kept @ turn, dtype=np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Everything that training reads: the photographs, the arrays, the texts with their rows of the sentence encoder, and the map.

    ``classes`` are ImageNet's names, each with its synonyms; ``wordnet`` the folder of WordNet's files.
    """

    photos: list[Photo]
    data: TrainingSet
    texts: list[Text]
    sentences: Rows
    features: NDArray[Any]
    extension: Extension
    classes: list[list[str]]
    wordnet: Path


def prepare(
    data: Path, wordnet: Path, folder: Path, old: NanoEncoder, *, note: Callable[[str], None] = print
) -> Lesson:
    """Decode, embed with the teacher and with nano@1, and fit the targets once; ``folder`` is reused, and its `EXTENSION` kept."""
    photos = list_photos(data)
    pixels = decode_all(data, photos, folder / "pixels.npy", note=note)
    features = mobilenet_features(data, photos, folder / "mobilenet.npy", note=note)
    vectors = old_vectors(old, pixels, folder / "nano1.npy", note=note)
    texts, sentences = embedded_texts(data, wordnet, photos, folder, note=note)
    train = np.flatnonzero([photo.split == "train" for photo in photos])
    weights = drawn_weights([photos[i] for i in train])
    kept = folder / EXTENSION
    if kept.exists():
        extension = unpacked(np.load(kept), classifiers(data, teachers=features.shape[1] // FEATURES))
    else:
        alignment = fit_alignment(data, photos, features, texts, sentences, ALIGN)
        taught = fit_target_map(alignment, photos, features)
        extension = fit_extension(taught, vectors[train], features[train], weights)
        np.savez(kept, allow_pickle=False, **packed(extension))
        note(f"{kept}: targets fitted on {len(train)} photographs")
    targets = extension.place(vectors, features)
    few = np.sort(np.random.default_rng(0).permutation(len(texts))[:ASKED])
    few = np.array([i for i in few if texts[i].kind in ("name", "caption", "spliced", "sentence")])
    said = told([texts[i] for i in few], sentences[few], photos, features, targets, extension, train)
    none = np.empty((0, WIDTH), np.float32)
    made = assemble(
        photos, pixels, targets, np.empty((0, *pixels.shape[1:]), np.uint8), none,
        np.empty((0, AXES, GRID, GRID), np.float16), asked_axes(said.targets, said.weights),
    )  # fmt: skip
    lines = (data / "teachers" / "imagenet_labels.txt").read_text(encoding="utf-8").splitlines()[1:]
    return Lesson(
        photos=photos,
        data=replace(made, old=vectors, back=extension.back),
        texts=texts,
        sentences=sentences,
        features=features,
        extension=extension,
        classes=[line.strip().split(", ") for line in lines],
        wordnet=wordnet,
    )


def told(
    texts: list[Text], sentences: Rows, photos: list[Photo], features: NDArray[Any], rows: Rows,
    extension: Extension, train: NDArray[np.int64],
) -> TextSet:  # fmt: skip
    """Say where texts lie among photographs whose vectors are ``rows`` ``(n, d)``, of all ``photos``.

    Of ``train``, all photographs with sentences speak, and as many others.
    """
    alignment = extension.taught.alignment
    spoken = np.array([bool(photos[i].caption) for i in train])
    others = np.random.default_rng(0).permutation(np.flatnonzero(~spoken))[: spoken.sum()]
    train = train[np.sort(np.concatenate([np.flatnonzero(spoken), others]))]
    return text_set(
        texts, sentences, alignment.place_texts([text.text for text in texts], sentences),
        photos, alignment.place_photos(features[train]), unit(rows[train]), train, bfloat16=True,
    )  # fmt: skip


def packed(extension: Extension) -> dict[str, NDArray[Any]]:
    """Name every array of a map; without the teachers' classifiers, which the data folder has, and the cut that `Extension` makes anew."""
    taught, alignment = extension.taught, extension.taught.alignment
    parts: dict[str, Any] = {
        "": extension, "taught.": taught, "alignment.": alignment, "words.": alignment.words,
        "photo_words.": alignment.photo_words,
    }  # fmt: skip
    arrays = {
        f"{at}{field.name}": getattr(part, field.name)
        for at, part in parts.items()
        for field in fields(part)
        if isinstance(getattr(part, field.name), np.ndarray) and not field.name.startswith("joint_")
    }
    known = alignment.words.known
    return arrays | {"known.names": np.array(list(known)), "known.rows": np.stack(list(known.values()))}


def unpacked(arrays: Mapping[str, NDArray[Any]], found: list[tuple[Rows, Rows]]) -> Extension:
    """Return the map that `packed` took apart; ``found`` are the teachers' classifiers."""

    def own(kind: Any, at: str, **others: Any) -> Any:
        names = [field.name for field in fields(kind) if field.name not in others]
        return kind(**{name: arrays[f"{at}{name}"].astype(np.float32) for name in names}, **others)

    rows, none = arrays["known.rows"].astype(np.float32), np.zeros(0, np.float32)
    alignment = own(
        Alignment,
        "alignment.",
        words=own(WordSpace, "words.", known=dict(zip(arrays["known.names"].tolist(), rows, strict=True))),
        photo_words=own(PhotoWords, "photo_words.", classifiers=found),
    )
    taught = own(TargetMap, "taught.", alignment=alignment, joint_mean=none, joint_axes=none)
    extension: Extension = own(Extension, "", taught=taught)
    return extension


def old_vectors(
    old: NanoEncoder, pixels: NDArray[np.uint8], out: Path, *, note: Callable[[str], None] = print
) -> Rows:
    """Embed every stored photograph with the earlier encoder once, into ``out``: ``(n, 256)`` unit rows."""
    if out.exists() and len(found := np.load(out)) == len(pixels):
        return found.astype(np.float32)  # type: ignore[no-any-return]
    note(f"embed {len(pixels)} photographs with {old.space.name}")
    rows = embed_images(old, pixels)
    np.save(out, rows.astype(np.float16))
    return rows
