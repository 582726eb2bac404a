"""Find altered copies as other tools do: by hashes of imagehash and imagededup, beside the descriptor alone and with the check.

A network of imagededup needs weights from the internet; it is left out, and said so, where they cannot be had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as Picture

from benchmarks.copies.photographs import SEED, encoded, names, opened, relation_of
from benchmarks.copies.run import Run
from retrieval.encoders.families.nano import open_nano
from retrieval.matching import compare, features
from tools.fit_matching.alterations import PLAIN

OTHERS = 2_400
NEAREST = 15
PRECISION = 0.99

Scores = NDArray[np.float64]
"""Of copies and gallery: ``(copies, gallery)``, higher is more alike."""


def measure(run: Run) -> dict[str, Any]:
    """Alter photographs in nine ways; find each copy's original among them and others by one threshold a method."""
    gallery = names(run.data)[: run.number + OTHERS]
    images = [opened(run.data, name) for name in gallery]
    copies = [
        alter(images[place], np.random.default_rng([SEED, place]))
        for alter in PLAIN.values()
        for place in range(run.number)
    ]
    own = np.tile(np.arange(run.number), len(PLAIN))  # (copies,)
    same = np.array(
        [[relation_of(gallery[one], other) == "picture" for other in gallery] for one in range(run.number)]
    )[own]  # (copies, gallery): doubles under another name
    results: dict[str, Any] = {}
    missing: dict[str, str] = {}

    def keep(name: str, make: Callable[[], Scores]) -> None:
        try:
            scores = make()
        except Exception as error:  # noqa: BLE001 - a peer that is not there, or cannot fetch its weights, is named
            missing[name] = f"{type(error).__name__}: {error}".split("\n")[0][:160]
            print(f"{name}: left out, {missing[name]}", flush=True)
            return
        results[name] = recalls(scores, own, same, run.number)
        print(f"{name}: {json.dumps(results[name])}", flush=True)

    for name, make in _hashes(images, copies).items():
        keep(name, make)
    keep("imagededup CNN", lambda: _network(images, copies))
    encoder = open_nano(threads=1)
    rows = encoded(encoder, iter(images))
    cosines = (encoded(encoder, iter(copies)) @ rows.T).astype(np.float64)
    keep("nano, cosine alone", lambda: cosines)
    keep("nano's 15 nearest, then the check", lambda: _checked(images, copies, cosines))
    return {
        "photographs": run.number, "others": OTHERS, "copies": len(copies), "precision": PRECISION,
        "versions": {name: metadata.version(name) for name in ("imagehash", "imagededup") if _installed(name)},
        "recall": results, "left out": missing,
    }  # fmt: skip


def recalls(scores: Scores, own: NDArray[np.int64], same: NDArray[np.bool_], number: int) -> dict[str, Any]:
    """Return the share of copies above the threshold at which `PRECISION` of all pairs above it are right, and for each alteration."""
    right = np.zeros(scores.shape, np.bool_)
    right[np.arange(len(own)), own] = True
    counted = ~same | right
    flat, truth = scores[counted], right[counted]
    order = np.argsort(-flat, kind="stable")
    ranked = flat[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    true = np.cumsum(truth[order])[last]
    good = np.flatnonzero((true >= PRECISION * (last + 1)) & (true > 0))
    least = ranked[last[good[-1]]] if len(good) else np.inf
    found = scores[right] >= least  # in the order of the copies
    table = {
        way: round(float(found[at * number : (at + 1) * number].mean()), 4) for at, way in enumerate(PLAIN)
    }
    return {"all": round(float(found.mean()), 4), **table}


def _hashes(images: Sequence[Picture], copies: Sequence[Picture]) -> Mapping[str, Callable[[], Scores]]:
    """Name the hashes: each makes bits of a picture, and pictures are as alike as bits agree."""

    def by_imagehash(name: str, size: int) -> Callable[[], Scores]:
        def make() -> Scores:
            import imagehash

            function = getattr(imagehash, name)
            return _agreeing(
                *([function(image, hash_size=size).hash for image in some] for some in (images, copies))
            )

        return make

    def by_imagededup(name: str) -> Callable[[], Scores]:
        def make() -> Scores:
            from imagededup import methods

            method = getattr(methods, name)(verbose=False)
            return _agreeing(
                *(
                    [_bits(method.encode_image(image_array=np.asarray(image))) for image in some]
                    for some in (images, copies)
                )
            )

        return make

    return {
        "imagehash dhash, 256 bits": by_imagehash("dhash", 16),
        "imagehash phash, 256 bits": by_imagehash("phash", 16),
        "imagehash phash, 64 bits": by_imagehash("phash", 8),
        "imagehash whash, 64 bits": by_imagehash("whash", 8),
        "imagededup PHash": by_imagededup("PHash"),
        "imagededup DHash": by_imagededup("DHash"),
        "imagededup WHash": by_imagededup("WHash"),
        "imagededup AHash": by_imagededup("AHash"),
    }


def _bits(text: str) -> NDArray[np.bool_]:
    return np.array([int(digit) for digit in f"{int(text, 16):064b}"], np.bool_)


def _agreeing(rows: Sequence[Any], asked: Sequence[Any]) -> Scores:
    one, other = (2.0 * np.array([np.ravel(bits) for bits in some]) - 1 for some in (rows, asked))
    return other @ one.T / one.shape[1]


def _network(images: Sequence[Picture], copies: Sequence[Picture]) -> Scores:
    """Embed pictures by imagededup's network; raises where its weights are not there."""
    from imagededup.methods import CNN

    method = CNN(verbose=False)
    one, other = (
        np.stack([np.ravel(method.encode_image(image_array=np.asarray(image))) for image in some])
        for some in (images, copies)
    )
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, other))
    return (other @ one.T).astype(np.float64)


def _checked(images: Sequence[Picture], copies: Sequence[Picture], cosines: Scores) -> Scores:
    """Return the probability of the nearest pairs, and less than any of them for others."""
    scores = np.full(cosines.shape, -1.0)
    asked = [features(image) for image in copies]
    nearest = np.argsort(-cosines, axis=1)[:, :NEAREST]
    for row, image in enumerate(images):
        some = np.flatnonzero((nearest == row).any(axis=1))
        if len(some):
            shown = features(image)
            for place in some:
                scores[place, row] = compare(asked[place], shown).probability
    return scores


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
