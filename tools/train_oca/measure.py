"""Measure nano@1 and nano@2 on photographs that neither was trained on: alone, and new queries in old galleries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.families.nano import NanoEncoder
from retrieval.evaluation.attacks import LISTS, attack
from tools.train_nano.embedding import embed_images
from tools.train_nano.inputs.data import Photo, load_rgb
from tools.train_nano.measure import (
    nearest_accuracy,
    precision_at_10,
    relevant_by_caption,
    relevant_by_label,
    unit,
)
from tools.train_nano.prepare import label_name
from tools.train_nano.targets.views import crop
from tools.train_nano.words.phrases import OBJECT_LISTS, TYPES, Phrase, by_sort, first_right, phrases
from tools.train_nano.words.spelling import Right, by_way, spelled
from tools.train_oca import harder

Rows = NDArray[np.float32]
CROPPED, COPIED, TYPED, DRAWS = 1500, 200, 20, 2000
OF_LABELS = ("kind", "object")  # sorts of queries whose truth is in labels
FIRST = "nano-attacks-1"  # the attacks of every report so far
NEW_COLLECTIONS = (
    "animals",
    "coco_objects",
    "flowers",
    "sports",
    "street_drive",
    "street_riders",
    "street_vehicles",
    "weather",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one encoder gives: the gallery, crops and altered copies of some of it, and sentences."""

    gallery: Rows
    crops: Rows
    copies: dict[str, Rows]
    sentences: Rows
    names: Rows
    scene_names: Rows
    phrases: Rows
    kinds: Rows
    typed: Rows
    types: Rows
    harder: harder.Harder
    spelled: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """The photographs ``photos`` (rows of ``pixels``), which of them were cropped and copied, and the sentences of each."""

    photos: list[Photo]
    rows: NDArray[np.int64]
    cropped: NDArray[np.int64]
    copied: NDArray[np.int64]
    said: list[str]
    said_of: NDArray[np.int64]


def set_exam(photos: list[Photo]) -> Exam:
    """Choose the questions, the same for every encoder: all photographs that were held out are the gallery."""
    rows = np.flatnonzero([photo.split in ("held", "unseen") for photo in photos])
    held = [photos[i] for i in rows]
    pairs = [(i, sentence) for i, photo in enumerate(held) for sentence in photo.sentences]
    numbers = np.random.default_rng(4)
    return Exam(
        photos=held,
        rows=rows,
        cropped=np.sort(numbers.choice(len(held), min(CROPPED, len(held)), replace=False)),
        copied=np.sort(numbers.choice(len(held), min(COPIED, len(held)), replace=False)),
        said=[sentence for _, sentence in pairs],
        said_of=np.array([i for i, _ in pairs]),
    )


def answer(
    exam: Exam, data: Path, pixels: NDArray[np.uint8], encoder: NanoEncoder, *, note: Callable[[str], None] = print
) -> Asked:  # fmt: skip
    """Embed the gallery, the questions and the sentences with one encoder."""
    gallery = embed_images(encoder, pixels[exam.rows])
    note(f"{encoder.space.name}: embedded a gallery of {len(gallery)}")
    crops = [
        crop(pixels[exam.rows[i]], 0.2, np.random.default_rng((5, int(exam.rows[i])))) for i in exam.cropped
    ]
    originals = [load_rgb(data / exam.photos[i].file) for i in exam.copied]
    altered = [alter(load_rgb(data / exam.photos[i].file)) for i, alter, _ in typed(exam)]
    return Asked(
        gallery=gallery,
        crops=embed_images(encoder, crops),
        copies={
            name: embed_images(encoder, [attack(name, im, seed=0, of=FIRST) for im in originals])
            for name in LISTS[FIRST]
        },
        typed=embed_images(encoder, altered),
        **words(exam, encoder),
        harder=harder.answer(
            originals,
            [load_rgb(data / exam.photos[i].file) for i in retyped(exam)],
            [exam.photos[i] for i in queries(exam)[0]],
            encoder,
        ),
    )


def words(exam: Exam, encoder: NanoEncoder) -> dict[str, Rows]:
    """Embed what is asked in words, by the names of `Asked`."""
    _, said, kinds = queries(exam)
    captions = [photo.caption for photo in exam.photos if photo.group == "captions"]
    asked = {
        "sentences": exam.said,
        "names": list(relevant_by_label([photo for photo in exam.photos if photo.label])),
        "scene_names": list(relevant_by_caption(captions)),
        "phrases": [phrase.words for phrase in said],
        "kinds": [phrase.words for phrase in kinds],
        "types": [words for _, asked in TYPES.values() for words in asked],
        "spelled": [said for _, _, said in asked_otherwise(exam)],
    }
    read = {
        name: [encoder.read_as(text)[0] for text in texts] for name, texts in asked.items()
    }  # as searches do
    return {name: encoder.encode_text(texts) for name, texts in read.items()}


def asked_otherwise(exam: Exam) -> list[tuple[str, str, str]]:
    """Return the names of both galleries as people misspell and inflect them."""
    captions = [photo.caption for photo in exam.photos if photo.group == "captions"]
    names = list(relevant_by_label([photo for photo in exam.photos if photo.label]))
    return spelled(list(dict.fromkeys([*names, *relevant_by_caption(captions)])))


def reworded(exam: Exam, found: Asked, encoder: NanoEncoder) -> Asked:
    """Return the same answers with the words that an encoder has now."""
    scenes = [exam.photos[i] for i in queries(exam)[0]]
    asked: dict[str, Any] = dict(words(exam, encoder))
    condition: dict[str, Any] = dict(harder.words(scenes, encoder))
    return replace(found, **asked, harder=replace(found.harder, **condition))


def queries(exam: Exam) -> tuple[NDArray[np.int64], list[Phrase], list[Phrase]]:
    """Give the gallery rows of photographs with sentences, the queries about these, and those about labelled ones: kinds and objects."""
    told = np.flatnonzero([photo.group in ("captions", "flickr") for photo in exam.photos])
    labelled = [photo for photo in exam.photos if photo.label]
    said = [phrase for phrase in phrases([exam.photos[i] for i in told]) if phrase.sort not in OF_LABELS]
    return told, said, [phrase for phrase in phrases(labelled) if phrase.sort in OF_LABELS]


def typed(exam: Exam) -> list[tuple[int, Callable[[Any], Any], str]]:
    """Give the photographs that become of some type: gallery row, how, and the type; `TYPED` of each, no photograph twice."""
    rows = np.flatnonzero([photo.group == "captions" for photo in exam.photos])
    drawn = np.random.default_rng(6).permutation(rows)[: TYPED * len(TYPES)]
    return [
        (int(row), alter, name)
        for (name, (alter, _)), part in zip(TYPES.items(), np.array_split(drawn, len(TYPES)), strict=True)
        for row in part
    ]


def retyped(exam: Exam) -> NDArray[np.int64]:
    """Give the gallery rows of the photographs of which every type is made."""
    rows = np.flatnonzero([photo.group == "captions" for photo in exam.photos])
    return np.sort(np.random.default_rng(7).permutation(rows)[: harder.CHANGED])


def phrased(exam: Exam, found: Asked, *, dim: int | None = None) -> dict[str, dict[str, float]]:
    """Measure everyday queries: the share of right photographs among the first five, by sort of query."""
    told, said, kinds = queries(exam)
    named = np.flatnonzero([bool(photo.label) for photo in exam.photos])
    result = by_sort(
        said, first_right(found.phrases[:, :dim], found.gallery[told][:, :dim], [p.right for p in said])
    )
    listed = np.array([exam.photos[i].group == OBJECT_LISTS for i in named])
    for sort in OF_LABELS:
        # Only where all objects are listed is what is not listed absent.
        among = listed if sort == "object" else np.ones(len(named), bool)
        own = [i for i, phrase in enumerate(kinds) if phrase.sort == sort]
        asked = [replace(kinds[i], right=kinds[i].right[among]) for i in own]
        words, seen = found.kinds[own][:, :dim], found.gallery[named[among]][:, :dim]
        result |= by_sort(asked, first_right(words, seen, [phrase.right for phrase in asked]))
    made = typed(exam)
    changed = {row for row, _, _ in made}
    plain = [i for i, photo in enumerate(exam.photos) if photo.group == "captions" and i not in changed]
    gallery = np.concatenate([found.typed, found.gallery[plain]])
    asked = [
        Phrase(
            words=words,
            sort="type",
            right=np.array([name == kind for _, _, kind in made] + [False] * len(plain)),
        )
        for name, (_, several) in TYPES.items()
        for words in several
    ]
    return result | by_sort(
        asked, first_right(found.types[:, :dim], gallery[:, :dim], [p.right for p in asked])
    )


def alone(exam: Exam, found: Asked, *, dim: int | None = None) -> dict[str, Any]:
    """Measure one encoder at one width: 1-NN by collection, copies, sentences to photographs, names, and what is harder."""
    groups = np.array([photo.group for photo in exam.photos])
    labels = np.array([label_name(photo) for photo in exam.photos])
    nearest = {}
    for group in np.unique(groups):
        own = (groups == group) & (labels != "")
        if len(np.unique(labels[own])) > 1:
            nearest[str(group)] = nearest_accuracy(found.gallery[own], labels[own], dim=dim)
    before = [value for name, value in nearest.items() if name not in NEW_COLLECTIONS]
    result: dict[str, Any] = {"nearest": nearest, "nearest_mean": float(np.mean(before))}
    result["nearest_mean_all"] = float(np.mean(list(nearest.values())))
    gallery = unit(found.gallery, dim)
    copies = {
        name: float(((unit(rows, dim) @ gallery.T).argmax(1) == exam.copied).mean())
        for name, rows in found.copies.items()
    }
    result["copies"] = copies | {"mean": float(np.mean(list(copies.values())))}
    for group in ("captions", "flickr"):
        ranks = sentence_ranks(exam, found.sentences, found.gallery, group, dim=dim)
        result[group] = {f"recall_{k}": float((ranks < k).mean()) for k in (1, 10)}
    captions = [i for i, photo in enumerate(exam.photos) if photo.group == "captions"]
    by_caption = relevant_by_caption([exam.photos[i].caption for i in captions])
    named = [i for i, photo in enumerate(exam.photos) if photo.label]
    by_label = relevant_by_label([exam.photos[i] for i in named])
    for key, words, places, masks in (
        ("names", found.names, named, by_label), ("scene_names", found.scene_names, captions, by_caption),
    ):  # fmt: skip
        result[key] = float(
            precision_at_10(words, found.gallery[places], list(masks.values()), dim=dim).mean()
        )
    result["phrases"] = phrased(exam, found, dim=dim)
    result["spelling"] = spelling(exam, found, dim=dim)
    told = queries(exam)[0]
    scenes, seen = [exam.photos[i] for i in told], found.gallery[told]
    result["attacks"] = harder.attacked_first(found.harder, found.gallery, exam.copied, dim=dim)
    result["retyped"] = harder.retyped(found.harder, found.gallery[retyped(exam)], dim=dim)
    result["with_thing"] = harder.with_thing(found.harder, scenes, seen, dim=dim)
    result["denied"] = harder.denied(found.harder, scenes, seen, dim=dim)
    result["shared_things"] = harder.shared_things(scenes, seen, dim=dim)
    result["hubs"] = {
        "images": harder.hubness(found.gallery, found.gallery, same=True, dim=dim),
        "sentences": harder.hubness(found.sentences, seen, same=False, dim=dim),
    }
    return result


def spelling(exam: Exam, found: Asked, *, dim: int | None = None) -> dict[str, dict[str, float]]:
    """Measure names that are misspelt or inflected, by how they are asked; a name of both galleries is asked of everyday scenes."""
    captions = [i for i, photo in enumerate(exam.photos) if photo.group == "captions"]
    named = [i for i, photo in enumerate(exam.photos) if photo.label]
    answers: dict[str, Right] = {}
    for words, places, masks in (
        (found.names, named, relevant_by_label([exam.photos[i] for i in named])),
        (found.scene_names, captions, relevant_by_caption([exam.photos[i].caption for i in captions])),
    ):
        images = found.gallery[places][:, :dim]
        first = first_right(words[:, :dim], images, list(masks.values()))
        answers |= {
            word: Right(images=images, right=mask, precision=float(share))
            for (word, mask), share in zip(masks.items(), first, strict=True)
        }
    return by_way(asked_otherwise(exam), found.spelled[:, :dim], answers)


def sentence_ranks(
    exam: Exam, sentences: Rows, gallery: Rows, group: str, *, dim: int | None = None
) -> NDArray[np.int64]:
    """Say how many photographs of one collection come before each sentence's own, ``(t,)``."""
    places = np.flatnonzero([photo.group == group for photo in exam.photos])
    asked = np.flatnonzero(np.isin(exam.said_of, places))
    scores = unit(sentences[asked], dim) @ unit(gallery[places], dim).T
    own = scores[np.arange(len(asked)), np.searchsorted(places, exam.said_of[asked])]
    ranks: NDArray[np.int64] = (scores > own[:, None]).sum(1)
    return ranks


def across(
    exam: Exam, old: Asked, new: Asked, image: Callable[[Rows], Rows], text: Callable[[Rows], Rows]
) -> dict[str, Any]:
    """Measure crops, classes and sentences: old queries, new queries and new queries in the new gallery.

    Args:
        image, text: from new vectors to old queries.
    """
    found: dict[str, Any] = {}
    gallery, newer = unit(old.gallery), unit(new.gallery)
    found["crops"] = compare(
        *(
            (asked @ among.T).argmax(1) == exam.cropped
            for asked, among in (
                (unit(old.crops), gallery),
                (image(new.crops), gallery),
                (unit(new.crops), newer),
            )
        )
    )
    labels = np.array([label_name(photo) for photo in exam.photos])
    groups = np.array([photo.group for photo in exam.photos])
    right: list[list[NDArray[np.bool_]]] = [[], [], []]
    for group in np.unique(groups[labels != ""]):
        own = np.flatnonzero((groups == group) & (labels != ""))
        for hits, asked, among in zip(
            right, (gallery, image(new.gallery), newer), (gallery, gallery, newer), strict=True
        ):
            scores = asked[own] @ among[own].T
            np.fill_diagonal(scores, -2)
            hits.append(labels[own][scores.argmax(1)] == labels[own])
    found["classes"] = compare(*(np.concatenate(hits) for hits in right))
    for group in ("captions", "flickr"):
        found[group] = compare(
            *(
                sentence_ranks(exam, asked, among, group) < 10
                for asked, among in (
                    (old.sentences, old.gallery),
                    (text(new.sentences), old.gallery),
                    (new.sentences, new.gallery),
                )
            )
        )
    return found


def compare(old_old: NDArray[Any], new_old: NDArray[Any], new_new: NDArray[Any]) -> dict[str, Any]:
    """Give the three shares, and the 95 % paired interval of how much more new queries find in the old gallery."""
    gain = new_old.astype(np.float64) - old_old
    numbers = np.random.default_rng(0)
    means = [gain[numbers.integers(len(gain), size=len(gain))].mean() for _ in range(DRAWS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        "old_old": float(old_old.mean()), "new_old": float(new_old.mean()), "new_new": float(new_new.mean()),
        "gain_95": [float(low), float(high)], "queries": len(gain),
    }  # fmt: skip


def widths(encoder: NanoEncoder) -> Sequence[int]:
    """Return the widths to measure, the widest first."""
    return encoder.space.nesting[::-1]
