"""List pairs of photographs whose relation is known: copies that were made, and pairs that a person judged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.Image import Image as Picture

from tools.fit_matching.alterations import MORE, chained, pasted, screenshot, stickers, text_bar
from tools.fit_matching.drawings import designed, drawn
from tools.fit_matching.exposures import another_exposure

JUDGED = Path(__file__).parent.parent.parent / "benchmarks" / "copies_judged.tsv"
"""Pairs that a person looked at: relation, the one photograph, the other; a tab between."""

LOOK_ALIKES = Path(__file__).with_name("look_alikes.tsv")
"""Photographs outside of those that are measured, whose pixels agree in part; a person looked at them. As `JUDGED`."""

FOUND = "look-alikes"
"""How a pair of `LOOK_ALIKES` was made: by a search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two pictures, and what the one is to the other.

    Attributes:
        one, other: the pictures.
        relation: ``picture``, ``scene``, ``object`` or ``none``.
        how: what was done, or that a person judged it.
        photograph: number of the photograph that it was made of. Below 0 for pairs that a person judged: equal ones share
            photographs, straight or through other pairs.
    """

    one: Picture
    other: Picture
    relation: str
    how: str
    photograph: int = -1


def is_for_fitting(name: str) -> bool:
    """Say whether a photograph is for fitting; the other half is for measuring."""
    return hashlib.blake2b(name.encode(), digest_size=1).digest()[0] < 128


def opened(data: Path, name: str) -> Picture:
    """Read a photograph."""
    with Image.open(data / name) as image:
        return image.convert("RGB")


def judged(data: Path, *, fitting: bool) -> Iterator[Pair]:
    """Yield the pairs that a person judged."""
    for relation, one, other in _listed(JUDGED):
        if is_for_fitting(min(one, other)) == fitting:
            yield _known(data, relation, one, other, how="judged")


def look_alikes(data: Path) -> Iterator[Pair]:
    """Yield photographs that look alike in part and are near each other by descriptor, for fitting."""
    for relation, one, other in _listed(LOOK_ALIKES):
        yield _known(data, relation, one, other, how=FOUND)


def _known(data: Path, relation: str, one: str, other: str, *, how: str) -> Pair:
    return Pair(
        one=opened(data, one),
        other=opened(data, other),
        relation=relation,
        how=how,
        photograph=-1 - _joined()[one],
    )


@cache
def _joined() -> dict[str, int]:
    """Return a number for each photograph of the judged pairs; those that pairs join have one."""
    number: dict[str, int] = {}
    for at, (_, one, other) in enumerate((*_listed(JUDGED), *_listed(LOOK_ALIKES))):
        first, second = number.setdefault(one, 2 * at), number.setdefault(other, 2 * at + 1)
        if first != second:
            number.update((name, first) for name, own in number.items() if own == second)
    return number


def _listed(path: Path) -> Iterator[tuple[str, str, str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        relation, one, other = line.split("\t")[:3]
        yield relation, one, other


def made(data: Path, names: list[str], *, seed: int) -> Iterator[Pair]:
    """Yield copies of each photograph, other exposures of it, others that carry the same thing, drawings, and others."""
    rng = np.random.default_rng(seed)
    for place, name in enumerate(names):
        image = opened(data, name)
        others = [opened(data, names[i]) for i in rng.integers(len(names), size=4) if i != place]
        for _ in range(3):
            copy, how = chained(image, rng, others=others)
            yield Pair(one=image, other=copy, relation="picture", how=" + ".join(how), photograph=place)
        again = another_exposure(image, rng)
        yield Pair(one=image, other=again, relation="scene", how="another exposure", photograph=place)
        copy, how = chained(again, rng, others=others)
        yield Pair(
            one=image,
            other=copy,
            relation="scene",
            how="another exposure + " + " + ".join(how),
            photograph=place,
        )
        yield Pair(
            one=_overlaid(image, seed + place), other=_overlaid(others[0].resize(image.size), seed + place),
            relation="object", how="the same overlay", photograph=place,
        )  # fmt: skip
        yield Pair(
            one=pasted(others[0], rng, side=0.4, ground=image), other=pasted(others[0], rng, side=0.4, ground=others[-1]),
            relation="object", how="the same small picture on two others", photograph=place,
        )  # fmt: skip
        for step in range(1, 4):
            other = opened(data, names[(place + step) % len(names)])
            yield Pair(one=image, other=other, relation="none", how="another photograph", photograph=place)
        own = np.random.default_rng([seed, place])
        yield from _drawings(place, [image, *others], own)
        if place % 2:
            held = another_exposure(image, own, still=True)
            yield Pair(one=image, other=held, relation="scene", how="a still camera", photograph=place)


def _drawings(place: int, grounds: list[Picture], rng: np.random.Generator) -> Iterator[Pair]:
    """Yield a sign that was drawn twice, and a drawing and its copy."""
    design = designed(rng)
    one, again = (drawn(design, rng, ground=ground) for ground in (grounds[0], grounds[-1]))
    yield Pair(one=one, other=again, relation="object", how="drawn twice", photograph=place)
    copy, how = chained(one, rng, others=grounds[1:])
    yield Pair(one=one, other=copy, relation="picture", how=" + ".join(("a drawing", *how)), photograph=place)


def _overlaid(image: Picture, seed: int) -> Picture:
    rng = np.random.default_rng(seed)
    kind = rng.integers(4)
    if kind == 0:
        return text_bar(image, rng, share=float(rng.uniform(0.15, 0.4)))
    if kind == 1:
        return stickers(image, rng, share=float(rng.uniform(0.15, 0.4)))
    if kind == 2:
        return screenshot(image, rng)
    return MORE["text"](image, rng)
