"""Lay things over and around a picture: words, emoji, a veil, a meme's caption, other pictures.

All of it is drawn, with the font that comes with Pillow: nothing depends on files of the machine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    Box = tuple[float, float, float, float]

CAPTIONS = (
    "when the index finds you",
    "nobody: absolutely nobody",
    "me looking for the original",
    "one does not simply repost",
    "found it on the internet",
)

_INKS = ("white", "black", "red", "yellow")


def meme(image: Picture, rng: np.random.Generator) -> Picture:
    """Write a caption into a white bar above the image."""
    bar = max(12, round(0.22 * image.height))
    canvas = Image.new("RGB", (image.width, image.height + bar), "white")
    canvas.paste(image, (0, bar))
    words = CAPTIONS[int(rng.integers(len(CAPTIONS)))]
    size = bar // 2
    while size > 6 and ImageFont.load_default(size).getlength(words) > 0.94 * image.width:
        size -= 1
    draw = ImageDraw.Draw(canvas)
    draw.text((image.width / 2, bar / 2), words, "black", font=ImageFont.load_default(size), anchor="mm")
    return canvas


def text(image: Picture, rng: np.random.Generator) -> Picture:
    """Write two to four lines of large words across the picture, one of them in a bar of one colour."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    lines = int(rng.integers(2, 5))
    barred = int(rng.integers(lines))
    for line in range(lines):
        words = CAPTIONS[int(rng.integers(len(CAPTIONS)))]
        height = image.height * float(rng.uniform(0.09, 0.16))
        size = max(4.0, min(0.8 * height, 2.0 * image.width / len(words)))
        top = float(rng.uniform(0, 1)) * (image.height - height)
        ink = _INKS[int(rng.integers(len(_INKS)))]
        if line == barred:
            draw.rectangle((0, top, image.width, top + height), "black" if ink != "black" else "white")
        left = float(rng.uniform(0, 0.3)) * image.width
        draw.text((left, top + height / 2), words, ink, font=ImageFont.load_default(size), anchor="lm")
    return copy


def emoji(image: Picture, rng: np.random.Generator) -> Picture:
    """Lay two to five drawn emoji over it: faces, hearts, stars and thumbs, each 15 to 40 % of the short side."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    for _ in range(int(rng.integers(2, 6))):
        size = max(2.0, min(image.size) * float(rng.uniform(0.15, 0.4)))
        left = float(rng.uniform(-0.1, 0.9)) * image.width
        top = float(rng.uniform(-0.1, 0.9)) * image.height
        _SHAPES[int(rng.integers(len(_SHAPES)))](draw, left, top, size)
    return copy


def _face(draw: ImageDraw.ImageDraw, left: float, top: float, size: float) -> None:
    line = max(1, round(size / 16))
    draw.ellipse((left, top, left + size, top + size), "#ffcc33", "#c98a00", line)
    for eye in (0.28, 0.58):
        draw.ellipse(_within(left, top, size, (eye, 0.3, eye + 0.14, 0.5)), "#4a3000")
    draw.arc(_within(left, top, size, (0.22, 0.32, 0.78, 0.82)), 15, 165, "#4a3000", line)


def _heart(draw: ImageDraw.ImageDraw, left: float, top: float, size: float) -> None:
    for lobe in (0.0, 0.48):
        draw.ellipse(_within(left, top, size, (lobe, 0.05, lobe + 0.52, 0.57)), "#e0245e")
    draw.polygon(
        [(left + 0.04 * size, top + 0.42 * size), (left + 0.96 * size, top + 0.42 * size), (left + size / 2, top + size)],
        "#e0245e",
    )  # fmt: skip


def _star(draw: ImageDraw.ImageDraw, left: float, top: float, size: float) -> None:
    middle, points = (left + size / 2, top + size / 2), []
    for corner in range(10):
        reach = size * (0.5 if corner % 2 == 0 else 0.2)
        turn = math.pi * corner / 5
        points.append((middle[0] + reach * math.sin(turn), middle[1] - reach * math.cos(turn)))
    draw.polygon(points, "#ffac33", "#c97b00")


def _thumb(draw: ImageDraw.ImageDraw, left: float, top: float, size: float) -> None:
    draw.rounded_rectangle(
        _within(left, top, size, (0.3, 0.4, 0.95, 0.95)), max(1.0, size / 8), "#ffdc5d", "#c98a00"
    )
    draw.rounded_rectangle(
        _within(left, top, size, (0.4, 0.0, 0.62, 0.5)), max(1.0, size / 10), "#ffdc5d", "#c98a00"
    )
    draw.rectangle(_within(left, top, size, (0.05, 0.45, 0.3, 0.95)), "#3b88c3")


_SHAPES = (_face, _heart, _star, _thumb)


def _within(left: float, top: float, size: float, share: Box) -> Box:
    return (
        left + share[0] * size,
        top + share[1] * size,
        left + share[2] * size,
        top + share[3] * size,
    )


def overlay(image: Picture, rng: np.random.Generator) -> Picture:
    """Lay a drawn picture over it, seen through by two thirds or more."""
    return Image.blend(image, painted(image.size, rng), float(rng.uniform(0.15, 0.35)))


def collage(image: Picture, rng: np.random.Generator) -> Picture:
    """Put it beside three drawn pictures of its size, in two rows."""
    gap = max(1, round(0.03 * min(image.size)))
    width, height = image.size
    page = Image.new("RGB", (2 * width + 3 * gap, 2 * height + 3 * gap), "white")
    place = int(rng.integers(4))
    for cell in range(4):
        shown = image if cell == place else painted(image.size, rng)
        page.paste(shown, (gap + (cell % 2) * (width + gap), gap + (cell // 2) * (height + gap)))
    return page


def painted(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Draw a picture that no photograph is: soft fields of colour, with hills, discs and boxes on them."""
    field = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8))
    canvas = field.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    width, height = size
    for _ in range(int(rng.integers(4, 9))):
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        x, y = float(rng.uniform(0, 1)) * width, float(rng.uniform(0.2, 1)) * height
        reach = min(size) * float(rng.uniform(0.08, 0.35))
        kind = int(rng.integers(3))
        if kind == 0:
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), colour)
        elif kind == 1:
            draw.rectangle((x - reach, y - reach / 2, x + reach, y + reach), colour)
        else:
            draw.polygon([(x - 2 * reach, height), (x, y - reach), (x + 2 * reach, height)], colour)
    return canvas.filter(ImageFilter.GaussianBlur(min(size) / 300))
