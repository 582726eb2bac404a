"""Ask two encoders words over the same images: which images both find, and which find what a word says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from indexes.engine import exact
from retrieval.curation.compare.comparison import ComparedQuality, ComparedWord, ComparedWords
from retrieval.curation.compare.neighbour_agreement import Near, mean_of, shared_by
from retrieval.curation.groups import everyday_nouns, read_words, word_vectors
from retrieval.curation.picks import picked_images
from retrieval.errors import EncoderError, SpaceMismatch

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from indexes.vectors import Halves, Ids, Vectors
    from retrieval.collection import Collection
    from retrieval.curation.compare.paired_images import PairedImages
    from retrieval.curation.picks import PickedImage
    from retrieval.encoders import Encoder

_CHOSEN: Final = 100
"""Everyday nouns that are asked: those that stand out most."""

_SAMPLE: Final = 2_000
"""Images by which these are chosen."""

_SEED: Final = 34

_EXAMPLES: Final = 12
"""Words that are reported."""

_SHOWN: Final = 5
"""Images of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedWords:
    """Words, and their vectors by two encoders.

    Attributes:
        words: ``w`` of them, which both have learned.
        a, b: ``(w, d_a)`` and ``(w, d_b)`` float32 unit rows.
    """

    words: tuple[str, ...]
    a: Vectors
    b: Vectors


def compare_words(
    collection: Collection,
    images: PairedImages,
    encoders: Callable[[], tuple[Encoder, Encoder]],
    *,
    words: str | os.PathLike[str] | None,
    labels: tuple[Ids, NDArray[np.int64], tuple[str, ...]] | None,
    k: int,
) -> tuple[ComparedWords | None, str]:
    """Ask words by both encoders.

    Args:
        collection: whose files are shown.
        images: by both encoders.
        encoders: gives both.
        words: a text file of them; None for the names of labels, or for the everyday nouns that stand out most.
        labels: places of labelled images, the label of each by its number, and the names; None without labels.
        k: images that are looked at for each word.
    Returns:
        what was found; or None, and why nothing was asked.
    Raises:
        CapabilityMissing: `words` were given, and an encoder knows none of them.
    """
    given = None if words is None else read_words(words)
    try:
        asked = _asked(encoders(), _names(given, labels))
    except (EncoderError, SpaceMismatch) as error:
        if given is not None:
            raise
        return None, str(error)
    if given is None and labels is None:
        asked = _standing_out(asked, images)
    k = min(k, len(images.ids))
    near_a, near_b = (_nearest(rows, own, k=k) for rows, own in ((images.a, asked.a), (images.b, asked.b)))
    overlap = shared_by(near_a, near_b).mean(axis=1)  # (w,)
    least = np.argsort(overlap, kind="stable")[:_EXAMPLES]
    return ComparedWords(
        words=len(asked.words),
        overlap=mean_of(overlap),
        same_first=mean_of(near_a.places[:, 0] == near_b.places[:, 0]),
        chance=k / len(images.ids),
        quality=_quality(asked, images, labels, k=k),
        least=tuple(
            ComparedWord(
                word=asked.words[place],
                overlap=float(overlap[place]),
                a=_shown(collection, images, near_a, place),
                b=_shown(collection, images, near_b, place),
            )
            for place in least.tolist()
        ),
    ), ""


def _names(
    given: tuple[str, ...] | None, labels: tuple[Ids, NDArray[np.int64], tuple[str, ...]] | None
) -> tuple[str, ...]:
    if given is not None:
        return given
    return everyday_nouns() if labels is None else tuple(map(_word_of, labels[2]))


def _word_of(label: str) -> str:
    """Return a label as one would ask it: ``garbage_truck`` is words."""
    return label.replace("_", " ")


def _asked(encoders: tuple[Encoder, Encoder], words: tuple[str, ...]) -> AskedWords:
    """Return the words that both encoders have learned.

    Raises:
        CapabilityMissing: one knows no words, or none of these.
    """
    known, _ = word_vectors(encoders[1], words)
    known, a = word_vectors(encoders[0], known)
    known, b = word_vectors(encoders[1], known)
    return AskedWords(words=known, a=a, b=b)


def _standing_out(asked: AskedWords, images: PairedImages) -> AskedWords:
    """Keep the words whose best images lie farthest above the others, by both encoders together: what is there."""
    some = np.random.default_rng(_SEED).permutation(len(images.ids))[:_SAMPLE]
    heights = np.zeros(len(asked.words))
    for rows, own in ((images.a, asked.a), (images.b, asked.b)):
        scores = own @ rows[some].astype(np.float32).T  # (w, s)
        heights += (scores.max(axis=1) - scores.mean(axis=1)) / np.maximum(scores.std(axis=1), 1e-6)
    kept = np.sort(np.argsort(-heights, kind="stable")[:_CHOSEN])
    return AskedWords(
        words=tuple(asked.words[place] for place in kept.tolist()), a=asked.a[kept], b=asked.b[kept]
    )


def _nearest(rows: Halves, words: Vectors, *, k: int) -> Near:
    found = exact(rows, words, k=k)
    return Near(places=found.ids, scores=found.scores)


def _quality(
    asked: AskedWords,
    images: PairedImages,
    labels: tuple[Ids, NDArray[np.int64], tuple[str, ...]] | None,
    *,
    k: int,
) -> tuple[ComparedQuality, ...]:
    """Measure how many of a word's first images have it as a label, among labelled images alone."""
    if labels is None:
        return ()
    places, codes, names = labels
    counts = np.bincount(codes, minlength=len(names))
    code_of = {_word_of(name): code for code, name in enumerate(names) if counts[code]}
    some = [place for place, word in enumerate(asked.words) if word in code_of]
    if not some:
        return ()
    own = np.array([code_of[asked.words[place]] for place in some])  # (m,)
    wanted = np.minimum(counts[own], k)  # (m,)
    shares = []
    for rows, words in ((images.a, asked.a), (images.b, asked.b)):
        near = _nearest(rows[places], words[some], k=min(k, len(places)))
        right = codes[near.places] == own[:, np.newaxis]  # (m, k)
        right &= np.arange(right.shape[1]) < wanted[:, np.newaxis]
        shares.append(right.sum(axis=1) / wanted)
    return (
        ComparedQuality(
            measure=f"words_precision_at_{k}",
            a=mean_of(shares[0]),
            b=mean_of(shares[1]),
            difference=mean_of(shares[1] - shares[0]),
        ),
    )


def _shown(collection: Collection, images: PairedImages, near: Near, place: int) -> tuple[PickedImage, ...]:
    return picked_images(
        collection, images.ids[near.places[place, :_SHOWN]].tolist(), near.scores[place, :_SHOWN].tolist()
    )
