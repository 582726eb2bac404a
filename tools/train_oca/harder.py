"""Measure what is harder than classes and plain copies: attacks, an image with words, scenes of several things, hubs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.encoders.families.nano import NanoEncoder
from retrieval.evaluation.attacks import LISTS, attack
from tools.train_nano.embedding import embed_images
from tools.train_nano.inputs.data import Photo
from tools.train_nano.measure import unit
from tools.train_nano.words.phrases import FIRST, LEAST, TOGETHER, TYPES, says

Rows = NDArray[np.float32]
CHANGED = 40  # photographs of which every type is made
NEAREST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Harder:
    """What one encoder gives: ``attacked`` copies by attack, ``made`` types ``(CHANGED, types, d)``, and words.

    ``things`` and ``types`` have one row each; ``without`` ``(pairs, 2, d)`` are "a dog" and "a dog without a ball" of each of `pairs_of`.
    """

    attacked: dict[str, Rows]
    made: Rows
    things: Rows
    types: Rows
    without: Rows


def answer(
    originals: Sequence[Image.Image], changed: Sequence[Image.Image], scenes: Sequence[Photo], encoder: NanoEncoder
) -> Harder:  # fmt: skip
    """Embed attacked ``originals``, all types of the ``changed``, and the words that are asked of ``scenes``.

    Things are asked as conditions ("with a dog"), types by the first of their words.
    """
    made = [
        embed_images(encoder, [alter(image) for alter, _ in TYPES.values()]) for image in changed
    ]  # of (types, d)
    return Harder(
        attacked={
            name: embed_images(
                encoder, [attack(name, image, seed=i, of="attacks-1") for i, image in enumerate(originals)]
            )
            for name in LISTS["attacks-1"]
        },
        made=np.stack(made),
        **words(scenes, encoder),
    )


def words(scenes: Sequence[Photo], encoder: NanoEncoder) -> dict[str, Rows]:
    """Embed what is asked of ``scenes`` in words, by the names of `Harder`."""
    names = list(TOGETHER)
    denied = [
        words
        for one, other in pairs_of(scenes)
        for words in (f"a {names[one]}", f"a {names[one]} without a {names[other]}")
    ]
    return {
        "things": encoder.encode_text([f"with a {thing}" for thing in TOGETHER]),
        "types": encoder.encode_text([words[0] for _, words in TYPES.values()]),
        "without": encoder.encode_text(denied).reshape(len(denied) // 2, 2, -1),
    }


def attacked_first(
    found: Harder, gallery: Rows, own: NDArray[np.int64], *, dim: int | None = None
) -> dict[str, float]:
    """Give the share of copies whose original is found first, by attack, and the ``mean`` of all."""
    among = unit(gallery, dim)
    shares = {
        name: float(((unit(rows, dim) @ among.T).argmax(1) == own).mean())
        for name, rows in found.attacked.items()
    }
    return shares | {"mean": float(np.mean(list(shares.values())))}


def retyped(found: Harder, originals: Rows, *, dim: int | None = None) -> dict[str, float]:
    """Ask with a photograph and words for a type among every type of every photograph: is that one first?

    ``right`` counts the photograph and the type, ``photograph`` and ``type`` either; ``image_alone`` is ``right`` without the words.
    """
    many, types = found.made.shape[:2]
    among = unit(found.made.reshape(many * types, -1), dim)
    seen, said = unit(originals, dim), unit(found.types, dim)
    asked = unit((seen[:, None] + said[None]).reshape(many * types, -1))
    first, alone = (asked @ among.T).argmax(1), (seen @ among.T).argmax(1)
    own = np.arange(many * types)
    return {
        "right": float((first == own).mean()),
        "photograph": float((first // types == own // types).mean()),
        "type": float((first % types == own % types).mean()),
        "image_alone": float((np.repeat(alone, types) == own).mean()),
    }


def with_thing(
    found: Harder, photos: Sequence[Photo], gallery: Rows, *, dim: int | None = None
) -> dict[str, float]:
    """Ask with a photograph of one thing and words for a second: do the first five show both?

    Photographs that show the first thing and not the second ask, at most ten of each pair; truth is what sentences say, as in
    `phrases`. ``image_alone`` and ``words_alone`` are the same precision by one part of the query.
    """
    mentioned = [_told(photos, pattern) for pattern in TOGETHER.values()]
    among, said = unit(gallery, dim), unit(found.things, dim)
    sums, queries = np.zeros(3), 0
    for first, one in enumerate(mentioned):
        for second, other in enumerate(mentioned):
            right, asking = one & other, np.flatnonzero(one & ~other)[:10]
            if first == second or right.sum() < LEAST or not len(asking):
                continue
            for part, asked in enumerate(
                (among[asking] + said[second], among[asking], np.tile(said[second], (len(asking), 1)))
            ):
                scores = asked @ among.T
                scores[np.arange(len(asking)), asking] = -np.inf  # no photograph finds itself
                top = np.argsort(-scores, axis=1, kind="stable")[:, :FIRST]
                sums[part] += right[top].mean(1).sum()
            queries += len(asking)
    both, image, words = sums / max(1, queries)
    return {
        "precision_5": float(both),
        "image_alone": float(image),
        "words_alone": float(words),
        "queries": queries,
    }


def pairs_of(photos: Sequence[Photo]) -> list[tuple[int, int]]:
    """List the pairs of things of which enough photographs show both, and enough the first alone."""
    mentioned = [_told(photos, pattern) for pattern in TOGETHER.values()]
    return [
        (first, second)
        for first, one in enumerate(mentioned)
        for second, other in enumerate(mentioned)
        if first != second and (one & other).sum() >= LEAST and (one & ~other).sum() >= LEAST
    ]


def denied(
    found: Harder, photos: Sequence[Photo], gallery: Rows, *, dim: int | None = None
) -> dict[str, float]:
    """Say how many of the first five show the second thing: asked for the first, and for the first ``without`` the second.

    Words that understood "without" would find fewer.
    """
    mentioned = [_told(photos, pattern) for pattern in TOGETHER.values()]
    seconds = [other for _, other in pairs_of(photos)]
    among, shown = unit(gallery, dim), np.zeros(2)
    for words, other in zip(found.without, seconds, strict=True):
        top = np.argsort(-(unit(words, dim) @ among.T), axis=1, kind="stable")[:, :FIRST]
        shown += mentioned[other][top].mean(1)
    plain, without = shown / max(1, len(seconds))
    return {"plain": float(plain), "without": float(without), "queries": len(seconds)}


def shared_things(photos: Sequence[Photo], gallery: Rows, *, dim: int | None = None) -> dict[str, float]:
    """Give the share of a scene's things that its nearest scene shows too, of scenes with several things; ``chance`` of any other scene."""
    marks = np.stack([_told(photos, pattern) for pattern in TOGETHER.values()], 1).astype(np.float32)
    several = np.flatnonzero(marks.sum(1) >= 2)
    rows = unit(gallery, dim)
    scores = rows[several] @ rows.T
    scores[np.arange(len(several)), several] = -np.inf
    counts = marks[several].sum(1)
    shared = (marks[several] * marks[scores.argmax(1)]).sum(1) / counts
    chance = (marks[several] @ marks.mean(0)) / counts
    return {"shared": float(shared.mean()), "chance": float(chance.mean()), "scenes": len(several)}


def hubness(asked: Rows, gallery: Rows, *, same: bool, dim: int | None = None) -> dict[str, float]:
    """Say how unevenly rows of the gallery are found among the first ten (Radovanović et al., 2010).

    ``skew`` of the counts is 0 where all are found alike; ``never`` the share that nothing finds; ``most`` how often the commonest is
    found, as a share of the queries. ``same``: the queries are the gallery, and none finds itself.
    """
    among, counts = unit(gallery, dim), np.zeros(len(gallery))
    for at in range(0, len(asked), 2048):
        scores = unit(asked[at : at + 2048], dim) @ among.T
        if same:
            scores[np.arange(len(scores)), at + np.arange(len(scores))] = -np.inf
        top = np.argpartition(-scores, NEAREST, axis=1)[:, :NEAREST]
        counts += np.bincount(top.ravel(), minlength=len(gallery))
    apart = counts - counts.mean()
    return {
        "skew": float((apart**3).mean() / max(1e-12, (apart**2).mean()) ** 1.5),
        "never": float((counts == 0).mean()),
        "most": float(counts.max() / len(asked)),
    }


def _told(photos: Sequence[Photo], pattern: str) -> NDArray[np.bool_]:
    compiled = re.compile(rf"\b(?:{pattern})\b")
    return np.array([says(photo, compiled, 2) for photo in photos])


def kept_at(by_width: dict[int, Any], narrow: int, wide: int) -> dict[str, float]:
    """Give what ``narrow`` prefixes keep of ``wide`` ones: ``classes`` (1-NN), ``products`` (1-NN of groceries), ``copies`` and ``attacks``."""
    few, many = by_width[narrow], by_width[wide]
    return {
        "classes": few["nearest_mean"] / many["nearest_mean"],
        "products": few["nearest"]["groceries"] / many["nearest"]["groceries"],
        "copies": few["copies"]["mean"] / many["copies"]["mean"],
        "attacks": few["attacks"]["mean"] / many["attacks"]["mean"],
    }
