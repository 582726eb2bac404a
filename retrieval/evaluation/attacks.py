"""Alter images as copies are altered (crop, blur, JPEG …), seeded.

The set is that of active indexing (Fernandez et al. 2023, arXiv 2210.10620), which took it from the image similarity
challenge (Douze et al. 2021, arXiv 2106.09672). Sizes are relative to the image's short side, so that an attack is as hard
on a thumbnail as on a photograph.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL.Image import Image as Picture

    Attack = Callable[[Picture, np.random.Generator], Picture]

__all__ = ["ATTACKS", "attack", "reencoded"]

BLUR = 0.01  # of the short side: the Gaussian's deviation
CAPTIONS = (
    "when the index finds you",
    "nobody: absolutely nobody",
    "me looking for the original",
    "one does not simply repost",
    "found it on the internet",
)


LONGEST = 4096
"""Pixels a side, as much as is passed on as a rule; JPEG ends at 65,500, and memory before that."""

_SCREENS = 8  # widths of a long picture that a screenshot shows


def attack(name: str, image: Picture, *, seed: int) -> Picture:
    """Return an altered copy.

    Args:
        name: one of `ATTACKS`.
        image: RGB; left unchanged. One that is longer than `LONGEST` is altered at that length.
        seed: of what is random in it; the same copy for the same seed.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    if max(image.size) > LONGEST:
        scale = LONGEST / max(image.size)
        width, height = (max(1, round(scale * side)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return ATTACKS[name](image, rng)


def reencoded(image: Picture, quality: int) -> Picture:
    """Return the image as a JPEG of this quality shows it, chroma at half size as most programs write it."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    with Image.open(file) as copy:
        return copy.convert("RGB")


def _none(image: Picture, _: np.random.Generator) -> Picture:
    return image


def _contrast(factor: float) -> Attack:
    return lambda image, _: ImageEnhance.Contrast(image).enhance(factor)


def _brightness(factor: float) -> Attack:
    return lambda image, _: ImageEnhance.Brightness(image).enhance(factor)


def _hue(turn: float) -> Attack:
    """Turn every hue by a share of the colour circle."""

    def apply(image: Picture, _: np.random.Generator) -> Picture:
        hue, saturation, value = image.convert("HSV").split()
        shifted = Image.fromarray(np.asarray(hue) + np.uint8(round(turn * 256) % 256))
        return Image.merge("HSV", (shifted, saturation, value)).convert("RGB")

    return apply


def _blur(share: float) -> Attack:
    return lambda image, _: image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def _jpeg(quality: int) -> Attack:
    return lambda image, _: reencoded(image, quality)


def _rotation(degrees: float) -> Attack:
    """Turn about the centre on a canvas that holds the whole, its corners black."""
    if degrees == 90:
        return lambda image, _: image.transpose(Image.Transpose.ROTATE_90)
    return lambda image, _: image.rotate(degrees, Image.Resampling.BICUBIC, expand=True)


def _crop(area: float) -> Attack:
    """Keep the middle."""

    def apply(image: Picture, _: np.random.Generator) -> Picture:
        width, height = (max(1, round(math.sqrt(area) * side)) for side in image.size)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))

    return apply


def _resize(area: float) -> Attack:
    def apply(image: Picture, _: np.random.Generator) -> Picture:
        width, height = (max(1, round(math.sqrt(area) * side)) for side in image.size)
        return image.resize((width, height), Image.Resampling.BICUBIC)

    return apply


def _screenshot(image: Picture, rng: np.random.Generator) -> Picture:
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


def _meme(image: Picture, rng: np.random.Generator) -> Picture:
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


def _chain(image: Picture, rng: np.random.Generator) -> Picture:
    """Apply one to four of the others in a row, each of a random strength."""
    links: list[Callable[[], Attack]] = [
        lambda: _contrast(float(2 ** rng.uniform(-1, 1))),
        lambda: _brightness(float(2 ** rng.uniform(-1, 1))),
        lambda: _hue(float(rng.uniform(-0.2, 0.2))),
        lambda: _blur(float(rng.uniform(0, BLUR))),
        lambda: _jpeg(int(rng.integers(30, 91))),
        lambda: _rotation(float(rng.uniform(-25, 25))),
        lambda: _crop(float(rng.uniform(0.5, 1))),
        lambda: _resize(float(rng.uniform(0.3, 1))),
        lambda: _meme,
        lambda: _screenshot,
    ]
    count = int(rng.choice(4, p=(0.1, 0.2, 0.3, 0.4))) + 1
    for number in rng.permutation(len(links))[:count]:
        image = links[int(number)]()(image, rng)
    return image


ATTACKS: Mapping[str, Attack] = {
    "none": _none,
    "contrast 0.5": _contrast(0.5),
    "contrast 2": _contrast(2.0),
    "brightness 0.5": _brightness(0.5),
    "brightness 2": _brightness(2.0),
    "hue 0.2": _hue(0.2),
    "blur": _blur(BLUR),
    "jpeg 50": _jpeg(50),
    "rotation 25": _rotation(25),
    "rotation 90": _rotation(90),
    "crop 0.5": _crop(0.5),
    "resize 0.5": _resize(0.5),
    "screenshot": _screenshot,
    "meme": _meme,
    "chain": _chain,
}
"""By name; the numbers are factors of contrast and brightness, shares of the colour circle, degrees, and shares of the area."""
