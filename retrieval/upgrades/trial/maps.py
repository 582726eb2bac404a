"""Fit maps from a new encoder's space to an old one's, by every method that applies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from indexes.migration import Probe, alignment, nearest, overlap, slerp
from indexes.vectors import Transform, linear_maps, one_blas_thread, procrustes
from retrieval.collection import Fitted
from retrieval.progress import Progress
from retrieval.upgrades.trial.mixed_galleries import MixedGalleries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.vectors import Space, Vectors
    from retrieval.progress import OnProgress

METHODS: tuple[str, ...] = ("prefix", "built-in", "procrustes", "ridge", "lambda", "slerp")
EXTENDING = METHODS[:2]  # what an encoder brings with it

K = 10
_RANKS = (192, 256)  # directions of a rotation between wide spaces
_SPARED = 0.75  # share of the whole map's work up to which such a one is tried
_WIDE = 512  # dimensions of both spaces beyond which the softly orthogonal map takes minutes
CLEARLY = 0.01  # what a way must find more to be taken before a cheaper one
_TOLERANCES = (1.0, 4.0, 12.0)  # of the softly orthogonal map


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """What the maps are fitted on: unit rows of the same things by both encoders; words may be missing.

    Attributes:
        old_space, new_space: the spaces.
        old, new: ``(n, d_old)`` and ``(n, d_new)``: images.
        views_old, views_new: ``(v, d_old)`` and ``(v, d_new)``: altered views of some of the images by the new encoder, each with
            the image's own old row: what a query that is not in the gallery should find. None without views.
        words_old, words_new: ``(t, d_old)`` and ``(t, d_new)``: texts, None unless both encoders read words.
    """

    old_space: Space
    new_space: Space
    old: Vectors
    new: Vectors
    views_old: Vectors | None = None
    views_new: Vectors | None = None
    words_old: Vectors | None = None
    words_new: Vectors | None = None

    def asked(self) -> tuple[Vectors, Vectors]:
        """Return what queries are mapped by: new and old rows of images, and of views where there are some."""
        if self.views_old is None or self.views_new is None:
            return self.new, self.old
        return np.concatenate([self.new, self.views_new]), np.concatenate([self.old, self.views_old])


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """How an encoder that was trained to extend an old space asks an old gallery: by the first components, or by maps of its own.

    Attributes:
        image, text: maps of queries by image and by words, new space to old; no ``text`` where words go as images do.
    """

    image: Transform
    text: Transform | None = None


@one_blas_thread()
def fit(
    pairs: Pairs,
    select: Probe,
    *,
    method: str,
    extends: Extension | None,
    progress: OnProgress | None = None,
) -> tuple[list[Fitted], dict[str, str]]:
    """Fit every method that applies; return them, and why others do not.

    Args:
        pairs: what to fit on.
        select: queries to choose settings by; not among the pairs.
        method: ``auto`` fits all; a name fits that one beside the baselines ``procrustes`` and ``ridge``.
        extends: how the new encoder asks the old gallery, where it was trained to extend that space.
        progress: called with a `Progress` after each kind of map.
    """
    source, target = pairs.new_space, pairs.old_space
    x, y = pairs.asked()
    wanted = set(METHODS) if method == "auto" else {method, "procrustes", "ridge"}
    left_out: dict[str, str] = {}
    steps: list[tuple[str, Transform, float | None]] = []
    if extends is not None:
        steps.append((extends.image.method, extends.image, None))
    for name in EXTENDING:
        refused = refusal_of(name, source, target, extends)
        if name in wanted and refused is not None:
            left_out[name] = refused
    bends = min(source.dim, target.dim) <= _WIDE or method == "lambda"
    bent = bool(wanted & {"lambda", "slerp"} and bends)
    kinds = iter(range(1, 100))

    def told() -> None:
        if progress is not None:
            progress(Progress(phase="fit", done=next(kinds), total=6 if bent else 3))

    ranks = [rank for rank in _RANKS if rank * (source.dim + target.dim) <= _SPARED * source.dim * target.dim]
    centred, *narrow = linear_maps.centred_rotations(source, target, x, y, ranks=(None, *ranks))
    single = [_best([*narrow, procrustes(source, target, x, y), centred], select)]
    told()
    ridges = [
        option
        for step in linear_maps.ridges(source, target, x, y)
        for option in (step, linear_maps.about_mean(step, x))
    ]
    single.append(_best(ridges, select))
    told()
    if not bends and "lambda" in wanted:
        left_out["lambda"] = "it takes minutes to fit between spaces so wide; ask for it by its name"
    if bent:
        options = []
        for tolerance in _TOLERANCES:
            step = linear_maps.lambda_orthogonal(
                source, target, x, y, start=centred.matrix, tolerance=tolerance
            )
            options.append(step)
            told()
        single.append(_best(options, select))
    steps += [(step.method, step, None) for step in single if step.method in wanted]
    if "slerp" in wanted and len(select.old):
        steps.append(("slerp", *_mixture(single, select, pairs)))
    back = _back(pairs, select)
    told()
    return [
        Fitted(
            method=name,
            image=step,
            back=back,
            text=extends.text if extends and step is extends.image else _text(step, pairs, select),
            alpha=alpha,
        )
        for name, step, alpha in steps
    ], left_out


def refusal_of(method: str, source: Space, target: Space, extends: Extension | None) -> str | None:
    """Say why a method that a new encoder brings with it does not apply; None where it does, and for any other method."""
    if method not in EXTENDING or (extends is not None and extends.image.method == method):
        return None
    if extends is None:
        return f"{source.name} was not trained to extend {target.name}"
    return f"{source.name} extends {target.name} in another way, `{extends.image.method}`"


@one_blas_thread()
def refit(way: Fitted, pairs: Pairs, select: Probe) -> Fitted:
    """Fit a way again on other pairs, by the settings that were chosen for it; what an encoder brings stays as it is."""
    if way.image.method in EXTENDING:
        return replace(way, back=_again(way.back, pairs.old, pairs.new))
    image = _again(way.image, *pairs.asked())
    return replace(
        way,
        image=image,
        back=_again(way.back, pairs.old, pairs.new),
        text=_text(image, pairs, select),
    )


def _again(step: Transform, x: Vectors, y: Vectors) -> Transform:
    """Fit a map of its kind and settings to other pairs."""
    source, target, facts = step.source, step.target, step.facts
    if step.method == "ridge":
        fitted = linear_maps.ridge(source, target, x, y, strength=float(facts["strength"]))
        return linear_maps.about_mean(fitted, x) if facts.get("centred") else fitted
    if step.method == "lambda":
        start = linear_maps.centred_procrustes(source, target, x, y).matrix
        return linear_maps.lambda_orthogonal(
            source, target, x, y, start=start, tolerance=float(facts["tolerance"])
        )
    if facts.get("centred"):
        return linear_maps.centred_procrustes(source, target, x, y, rank=facts.get("rank"))
    return procrustes(source, target, x, y)


def _best(options: Sequence[Transform], select: Probe) -> Transform:
    """Return the map whose queries find most; a dearer one only if it finds clearly more than a cheaper one."""
    found = [(select.score(step.apply(select.new)), step) for step in options]
    best = max(score for score, _ in found)
    close = [(score, step) for score, step in found if score > best - CLEARLY]
    least = min(step.multiplications for _, step in close)
    return max((pair for pair in close if pair[1].multiplications == least), key=lambda pair: pair[0])[1]


def _mixture(single: Sequence[Transform], select: Probe, pairs: Pairs) -> tuple[Transform, float]:
    """Return the map that finds most together with old queries, and the share of it by which mixed galleries find most.

    In the old gallery alone a larger share finds as much, but blurs which image is asked for; the old side then loses its places
    to new rows.
    """
    found = []
    for step in single:
        mapped = step.apply(select.new)
        alpha = alignment.best_alpha(select.old, mapped, score=select.score)
        found.append((select.score(slerp(select.old, mapped, alpha)), mapped, step))
    _, mapped, step = max(found, key=lambda option: option[0])
    galleries = MixedGalleries(select, old=pairs.old, new=pairs.new, by_both=True)
    return step, alignment.best_alpha(select.old, mapped, score=galleries.worth)


def _back(pairs: Pairs, select: Probe) -> Transform:
    """Fit where the new encoder is expected to put an image, from where the old one put it."""
    return max(
        linear_maps.ridges(pairs.old_space, pairs.new_space, pairs.old, pairs.new),
        key=lambda step: float(
            np.einsum("gd,gd->g", step.apply(select.gallery_old), select.gallery_new).mean()
        ),
    )


def _text(step: Transform, pairs: Pairs, select: Probe) -> Transform | None:
    """Return the map for words: the images' own, the same about the words' means, or one fitted on words too.

    Chosen by what half of the phrases find: the other half's means and pairs are fitted on.
    """
    x, y = pairs.words_new, pairs.words_old
    if x is None or y is None or step.method in EXTENDING:
        return None
    fit_x, fit_y, held = x[::2], y[::2], x[1::2]
    truth = nearest(held, select.gallery_new, k=K)
    options = [step, linear_maps.recentred(step, fit_x, fit_y), linear_maps.about_mean(step, fit_x)]
    if step.method == "ridge":
        # Few texts beside many images: each counts more, so that both are fitted.
        weight = max(1, len(pairs.new) // (4 * len(fit_x)))
        both = [np.concatenate([a, *[b] * weight]) for a, b in ((pairs.new, fit_x), (pairs.old, fit_y))]
        strength = float(step.facts["strength"])
        joint = linear_maps.ridge(pairs.new_space, pairs.old_space, *both, strength=strength)
        options += [joint, linear_maps.recentred(joint, fit_x, fit_y), linear_maps.about_mean(joint, fit_x)]
    return max(
        options, key=lambda option: overlap(nearest(option.apply(held), select.gallery_old, k=K), truth)
    )
