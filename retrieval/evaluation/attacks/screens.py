"""Show a picture on a screen: a screenshot of a telephone, and a photograph of a monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from retrieval.evaluation.attacks.pixels import reencoded

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_SCREENS = 8  # widths of a long picture that a screenshot shows
_QUALITY = 75  # of the photograph's JPEG


def screenshot(image: Picture, rng: np.random.Generator) -> Picture:
    """Show the image in the window of a telephone, with the bars of a program above and below."""
    width = max(64, image.width)
    shown = (
        image if image.width == width else image.resize((width, round(image.height * width / image.width)))
    )
    shown = shown.crop((0, 0, width, min(shown.height, _SCREENS * width)))
    unit = max(4, width // 16)
    height = max(round(width * 1.6), shown.height + 6 * unit)
    dark = bool(rng.integers(2))
    ground, ink = ((18, 18, 20), (235, 235, 235)) if dark else ((250, 250, 250), (20, 20, 20))
    screen = Image.new("RGB", (width, height), ground)
    top = 3 * unit + int(rng.integers(0, max(1, height - shown.height - 6 * unit + 1)))
    screen.paste(shown, (0, top))
    draw = ImageDraw.Draw(screen)
    font = ImageFont.load_default(max(6, unit))
    draw.text((unit // 2, unit // 2), f"{rng.integers(24):02}:{rng.integers(60):02}", ink, font=font)
    draw.rectangle((width - 2 * unit, unit // 2, width - unit // 2, unit), outline=ink)
    draw.ellipse(
        (unit // 2, 2 * unit - unit // 3, unit // 2 + unit, 2 * unit + unit - unit // 3), fill=(90, 140, 220)
    )
    draw.text((2 * unit, 2 * unit - unit // 3), "photos", ink, font=font)
    for number in range(4):
        left = round((number + 0.5) * width / 4) - unit // 2
        draw.ellipse(
            (left, height - 2 * unit, left + unit, height - unit), outline=ink, width=max(1, unit // 6)
        )
    return screen


def photographed(image: Picture, rng: np.random.Generator) -> Picture:
    """Photograph it on a monitor, aslant: perspective, a frame, stripes of the pixel grid, a reflection, a tint, JPEG."""
    width, height = image.size
    edge = max(2, round(0.08 * min(image.size)))
    monitor = Image.new("RGB", (width + 2 * edge, height + 2 * edge), (12, 12, 14))
    monitor.paste(_striped(image, rng), (edge, edge))
    canvas = monitor.size
    corners = np.array([(0, 0), (canvas[0], 0), canvas, (0, canvas[1])], dtype=np.float64)  # (4, 2)
    moved = corners - rng.uniform(-0.04, 0.14, (4, 2)) * np.sign(corners - np.array(canvas) / 2) * canvas
    seen = monitor.transform(
        canvas, Image.Transform.PERSPECTIVE, _perspective(moved, corners), Image.Resampling.BICUBIC,
        fillcolor=tuple(int(c) for c in rng.integers(60, 160, 3)),
    )  # fmt: skip
    lit = _lit(seen, rng).filter(ImageFilter.GaussianBlur(min(canvas) / 400))
    return reencoded(lit, _QUALITY)


def _striped(image: Picture, rng: np.random.Generator) -> Picture:
    """Darken in waves across it, as two grids of pixels do that are nearly alike."""
    along = np.arange(image.height)[:, np.newaxis] * rng.uniform(0.2, 1.0)  # (h, 1)
    across = np.arange(image.width)[np.newaxis] * rng.uniform(0.2, 1.0)  # (1, w)
    waves = 1 - float(rng.uniform(0.03, 0.08)) * (1 + np.sin(along + across))  # (h, w)
    return Image.fromarray((np.asarray(image) * waves[..., np.newaxis]).astype(np.uint8))


def _lit(image: Picture, rng: np.random.Generator) -> Picture:
    """Lay a reflection of a lamp on it, and tint it as a camera's white balance does."""
    x = np.linspace(0, 1, image.width)[np.newaxis] - rng.uniform(0, 1)  # (1, w)
    y = np.linspace(0, 1, image.height)[:, np.newaxis] - rng.uniform(0, 1)  # (h, 1)
    glare = rng.uniform(10, 70) * np.exp(-(x**2 + y**2) / rng.uniform(0.02, 0.15))  # (h, w)
    tint = rng.uniform(0.85, 1.1, 3)  # (3,)
    lit = np.asarray(image) * tint + glare[..., np.newaxis]  # (h, w, 3)
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def _perspective(source: np.ndarray, target: np.ndarray) -> tuple[float, ...]:
    """Return the eight numbers by which Pillow takes each point of the new picture from the old one.

    Args:
        source: ``(4, 2)`` corners in the new picture.
        target: ``(4, 2)`` the same corners in the old one.
    """
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(float(one) for one in np.linalg.solve(np.array(rows), np.array(values)))
