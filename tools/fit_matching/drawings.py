"""Draw a sign or a logo twice, as a painter and a camera may show it: one thing, and two pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from PIL.Image import Image as Picture

from tools.fit_matching.alterations import Draw

_LETTERS = "ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789"
_SIDES = (3, 4, 4, 5, 6, 8, 8, 40, 40)
_CANVAS = 400  # pixels of the side, before it is made smaller: so edges lie between pixels
_SIZES = 110, 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What every drawing of one sign has in common.

    Attributes:
        sides: of its outline; many are a disc.
        turn: of the outline, in degrees.
        lines: words, one below the other.
        marks: x, y, radius and corners of small shapes, in shares of the side.
        is_dark: whether it is dark with light words.
    """

    sides: int
    turn: float
    lines: tuple[str, ...]
    marks: tuple[tuple[float, float, float, int], ...]
    is_dark: bool


def designed(rng: Draw) -> Design:
    """Draw up a sign of an outline, words and small shapes."""
    lines = tuple(
        "".join(rng.choice(list(_LETTERS), int(rng.integers(1, 7)))) for _ in range(int(rng.integers(1, 4)))
    )
    marks = tuple(
        (float(rng.uniform(0.25, 0.75)), float(rng.uniform(0.2, 0.8)), float(rng.uniform(0.03, 0.1)), int(rng.integers(3, 7)))
        for _ in range(int(rng.integers(4)))
    )  # fmt: skip
    return Design(
        sides=int(rng.choice(_SIDES)),
        turn=float(rng.choice([0.0, 22.5, 45.0, 90.0])),
        lines=lines,
        marks=marks,
        is_dark=bool(rng.random() < 0.6),
    )


def drawn(design: Design, rng: Draw, *, ground: Picture) -> Picture:
    """Draw a sign: its widths, colours and sizes are a little different every time, and so are its surroundings and its light.

    Args:
        design: of the sign.
        rng: says how it is drawn this time.
        ground: a photograph that a third of the drawings stand before.
    """
    page = _surroundings(rng, ground)
    half = _CANVAS / 2 * rng.uniform(0.72, 0.97)
    dark = tuple(int(c) for c in rng.integers(0, 110, 3))
    light = tuple(int(c) for c in rng.integers(165, 256, 3))
    body, ink = (dark, light) if design.is_dark else (light, dark)
    draw = ImageDraw.Draw(page)
    middle = _CANVAS / 2
    rim = half * rng.uniform(0.02, 0.1)
    draw.regular_polygon((middle, middle, half), design.sides, design.turn, fill=ink)
    draw.regular_polygon((middle, middle, half - rim), design.sides, design.turn, fill=body)
    _lettered(draw, design, half * rng.uniform(0.94, 1.06), int(rng.integers(0, 7)), ink)
    for x, y, radius, corners in design.marks:
        place = middle + (x - 0.5) * 2 * half, middle + (y - 0.5) * 2 * half
        draw.regular_polygon((*place, radius * 2 * half * rng.uniform(0.85, 1.15)), corners, fill=ink)
    if rng.random() < 0.3:  # somebody wrote on it
        points = [tuple(middle + half * rng.uniform(-0.7, 0.7, 2)) for _ in range(int(rng.integers(4, 9)))]
        draw.line(points, fill=ink, width=int(rng.integers(3, 9)))
    return _seen(page, rng)


def _surroundings(rng: Draw, ground: Picture) -> Picture:
    kind = rng.random()
    if kind < 0.35:
        return ground.convert("RGB").resize((_CANVAS, _CANVAS), Image.Resampling.BICUBIC)
    if kind < 0.75:
        return Image.new("RGB", (_CANVAS, _CANVAS), "white")
    return Image.new("RGB", (_CANVAS, _CANVAS), tuple(int(c) for c in rng.integers(0, 256, 3)))


def _lettered(
    draw: ImageDraw.ImageDraw, design: Design, half: float, stroke: int, ink: tuple[int, ...]
) -> None:
    height = 1.1 * half / len(design.lines)
    for place, words in enumerate(design.lines):
        size = min(height, 2.2 * half / max(len(words), 2))
        font = ImageFont.load_default(size)
        y = _CANVAS / 2 + (place - (len(design.lines) - 1) / 2) * height
        draw.text((_CANVAS / 2, y), words, fill=ink, font=font, anchor="mm", stroke_width=stroke)


def _seen(page: Picture, rng: Draw) -> Picture:
    """Turn it a little, light it from one side, and make it small; half of the drawings are not photographed."""
    size = int(rng.integers(*_SIZES))
    if rng.random() < 0.5:
        return page.resize((size, size), Image.Resampling.BICUBIC)
    matrix = np.eye(2) + rng.normal(0, 0.04, (2, 2))
    shift = _CANVAS / 2 * (1 - matrix.sum(axis=1))
    coefficients = (*matrix[0].tolist(), float(shift[0]), *matrix[1].tolist(), float(shift[1]))
    fill = page.getpixel((2, 2))
    page = page.transform(
        page.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC, fillcolor=fill
    )
    page = page.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3)))
    page = page.resize((size, size), Image.Resampling.BICUBIC)
    pixels: NDArray[np.float64] = np.asarray(page, np.float64)
    across = np.linspace(-1, 1, size)
    light = np.exp(rng.normal(0, 0.12) * across[None, :] + rng.normal(0, 0.12) * across[:, None])[..., None]
    noise = rng.normal(0, rng.uniform(1, 6), pixels.shape)
    return Image.fromarray(np.clip(pixels * light + noise, 0, 255).astype(np.uint8))
