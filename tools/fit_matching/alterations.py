"""Alter photographs as copies are altered: the named alterations that are measured, and random chains of them for fitting."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps
from PIL.Image import Image as Picture

Draw = np.random.Generator
Alteration = Callable[[Picture, Draw], Picture]

_WORDS = (
    "sale",
    "today",
    "only",
    "follow",
    "me",
    "original",
    "photo",
    "by",
    "news",
    "when",
    "nobody",
    "asked",
    "best",
    "price",
)


def cropped(image: Picture, rng: Draw, *, area: float) -> Picture:
    """Keep a part of this area, somewhere, of about the picture's shape."""
    shape = np.exp(rng.uniform(-0.25, 0.25))
    width = min(image.width, max(8, round(image.width * np.sqrt(area) * shape)))
    height = min(image.height, max(8, round(area * image.width * image.height / width)))
    left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
    return image.crop((left, top, left + width, top + height))


def flipped(image: Picture, _: Draw) -> Picture:
    """Mirror from left to right."""
    return ImageOps.mirror(image)


def bordered(image: Picture, rng: Draw) -> Picture:
    """Put a border around, 5 to 25 % of the short side wide, of one colour."""
    width = round(min(image.size) * rng.uniform(0.05, 0.25))
    colour = tuple(int(c) for c in rng.choice([0, 255, 128, *rng.integers(0, 256, 2)], 3))
    if rng.random() < 0.5:
        colour = (colour[0],) * 3
    return ImageOps.expand(image, width, colour)


def grey(image: Picture, _: Draw) -> Picture:
    """Take the colours away."""
    return image.convert("L").convert("RGB")


def blurred(image: Picture, rng: Draw) -> Picture:
    """Blur by 1 to 2.5 % of the short side."""
    return image.filter(ImageFilter.GaussianBlur(min(image.size) * rng.uniform(0.01, 0.025)))


def compressed(image: Picture, _: Draw, *, quality: int = 20) -> Picture:
    """Save as a JPEG of low quality."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    with Image.open(file) as copy:
        return copy.convert("RGB")


def rotated(image: Picture, rng: Draw, *, degrees: float | None = None) -> Picture:
    """Turn by quarters, or by some degrees with black corners."""
    if degrees is None:
        return image.transpose(
            (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)[
                rng.integers(3)
            ]
        )
    return image.rotate(rng.choice([-1, 1]) * degrees, Image.Resampling.BICUBIC, expand=True)


def recoloured(image: Picture, rng: Draw) -> Picture:
    """Change brightness, contrast, saturation and hue, all strongly."""
    image = ImageEnhance.Brightness(image).enhance(np.exp(rng.uniform(-0.6, 0.6)))
    image = ImageEnhance.Contrast(image).enhance(np.exp(rng.uniform(-0.5, 0.5)))
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.2, 2.5))
    hue, saturation, value = image.convert("HSV").split()
    turned = Image.fromarray((np.asarray(hue) + np.uint8(rng.integers(0, 60))).astype(np.uint8))
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def scaled(image: Picture, rng: Draw) -> Picture:
    """Shrink to a third to a half of the side, and squash a little."""
    scale = rng.uniform(0.33, 0.5)
    squash = np.exp(rng.uniform(-0.15, 0.15))
    size = max(16, round(image.width * scale * squash)), max(16, round(image.height * scale / squash))
    return image.resize(size, Image.Resampling.BICUBIC)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _written(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], rng: Draw, fill: str) -> None:
    left, top, right, bottom = box
    lines = int(rng.integers(1, 4))
    size = max(6.0, (bottom - top) / lines * 0.8)
    for line in range(lines):
        words = " ".join(rng.choice(_WORDS, 6))
        draw.text(
            (left + 2, top + line * (bottom - top) / lines),
            words[: int((right - left) / size * 2)],
            fill,
            _font(size),
        )


def text_bar(image: Picture, rng: Draw, *, share: float) -> Picture:
    """Cover a bar at the top or the bottom, as memes do, with words in it."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    height = image.height * share
    top = 0.0 if rng.random() < 0.5 else image.height - height
    box = (0.0, top, float(image.width), top + height)
    dark = rng.random() < 0.5
    draw.rectangle(box, "black" if dark else "white")
    _written(draw, box, rng, "white" if dark else "black")
    return image


def text_over(image: Picture, rng: Draw) -> Picture:
    """Write large words all over."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        top = rng.uniform(0, 0.8) * image.height
        fill = str(rng.choice(["white", "black", "red", "yellow"]))
        _written(draw, (0, top, image.width, top + image.height * 0.25), rng, fill)
    return image


def stickers(image: Picture, rng: Draw, *, share: float, others: list[Picture] | None = None) -> Picture:
    """Cover this share of the picture with discs, boxes, faces and parts of other pictures."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    covered = np.zeros((image.height, image.width), bool)
    for _ in range(200):
        if covered.mean() >= share:
            break
        size = min(image.size) * rng.uniform(0.12, 0.45)
        x, y = rng.uniform(-size / 3, image.width - size / 2), rng.uniform(-size / 3, image.height - size / 2)
        rows, columns = np.ogrid[: image.height, : image.width]
        disc = (columns - x - size / 2) ** 2 + (rows - y - size / 2) ** 2 < (size / 2) ** 2
        square = (abs(columns - x - size / 2) < size / 2) & (abs(rows - y - size / 2) < size / 2)
        kind = rng.integers(4 if others else 3)
        new = square if kind in {1, 3} else disc
        if (covered | new).mean() > share + 0.03:
            continue
        covered |= new
        box = (x, y, x + size, y + size)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        if kind == 0:  # a face
            draw.ellipse(box, "gold", "black", max(1, round(size / 30)))
            for eye in (0.3, 0.6):
                draw.ellipse(
                    (x + eye * size, y + size * 0.3, x + (eye + 0.12) * size, y + size * 0.45), "black"
                )
            draw.arc(
                (x + size * 0.25, y + size * 0.4, x + size * 0.75, y + size * 0.8),
                10,
                170,
                "black",
                max(1, round(size / 15)),
            )
        elif kind == 1:  # a label
            draw.rectangle(box, colour)
            _written(draw, box, rng, "white" if sum(colour) < 380 else "black")
        elif kind == 2:  # a logo
            draw.ellipse(box, colour)
            draw.regular_polygon(
                (x + size / 2, y + size / 2, size / 3), int(rng.integers(3, 7)), fill="white"
            )
        elif others:  # a part of another photograph
            piece = others[rng.integers(len(others))].resize((max(1, round(size)),) * 2)
            image.paste(piece, (round(x), round(y)))
    return image


def screenshot(image: Picture, rng: Draw) -> Picture:
    """Show it in a window with bars and text, as a phone or a browser does."""
    width = round(image.width * rng.uniform(1.0, 1.3))
    above, below = (round(image.height * rng.uniform(0.1, 0.4)) for _ in range(2))
    dark = rng.random() < 0.4
    screen = Image.new("RGB", (width, image.height + above + below), "#181818" if dark else "white")
    draw = ImageDraw.Draw(screen)
    _written(draw, (0, above * 0.1, width, above * 0.9), rng, "white" if dark else "black")
    _written(
        draw, (0, above + image.height + below * 0.1, width, above + image.height + below * 0.9), rng, "grey"
    )
    screen.paste(image, (int(rng.integers(width - image.width + 1)), above))
    return compressed(screen, rng, quality=60)


def overlaid(image: Picture, rng: Draw, *, others: list[Picture] | None = None) -> Picture:
    """Lay a veil over it: another picture, seen through, or one colour."""
    if others:
        veil = others[rng.integers(len(others))].resize(image.size)
    else:
        veil = Image.new("RGB", image.size, tuple(int(c) for c in rng.integers(0, 256, 3)))
    return Image.blend(image, veil, rng.uniform(0.15, 0.35))


def pasted(image: Picture, rng: Draw, *, side: float, ground: Picture) -> Picture:
    """Paste it into another picture, its longer side this share of that one's longer side."""
    ground = ground.resize([round(s * 512 / max(ground.size)) for s in ground.size], Image.Resampling.BICUBIC)
    scale = side * 512 / max(image.size)
    small = image.resize([max(8, round(s * scale)) for s in image.size], Image.Resampling.BICUBIC)
    free = max(0, ground.width - small.width), max(0, ground.height - small.height)
    ground.paste(small, (int(rng.integers(free[0] + 1)), int(rng.integers(free[1] + 1))))
    return compressed(ground, rng, quality=75)


def collage(image: Picture, rng: Draw, *, others: list[Picture]) -> Picture:
    """Put it beside three others, in two rows."""
    size = image.size
    cells = [
        image,
        *(others[rng.integers(len(others))].resize(size, Image.Resampling.BICUBIC) for _ in range(3)),
    ]
    order = rng.permutation(4)
    gap = 6
    page = Image.new("RGB", (2 * size[0] + 3 * gap, 2 * size[1] + 3 * gap), "white")
    for place, cell in enumerate(order):
        page.paste(cells[cell], (gap + (place % 2) * (size[0] + gap), gap + (place // 2) * (size[1] + gap)))
    return page


PLAIN: Mapping[str, Alteration] = {
    "crop 50 %": partial(cropped, area=0.5), "flip": flipped, "border": bordered, "grey": grey, "blur": blurred,
    "JPEG 20": compressed, "quarter turns": rotated, "colour": recoloured, "scale": scaled,
}  # fmt: skip
"""The nine alterations of the first trial's kind."""

MORE: Mapping[str, Alteration] = {
    "15 degrees": partial(rotated, degrees=15.0), "5 degrees": partial(rotated, degrees=5.0), "crop 20 %": partial(cropped, area=0.2), "crop 10 %": partial(cropped, area=0.1), "text": text_over,
    "screenshot": screenshot, "overlay": overlaid, "JPEG 10": partial(compressed, quality=10),
}  # fmt: skip

COVERS: Mapping[str, Alteration] = {
    **{f"bar {round(100 * share)} %": partial(text_bar, share=share) for share in (0.2, 0.33, 0.4)},
    **{f"stickers {round(100 * share)} %": partial(stickers, share=share) for share in (0.2, 0.33, 0.4)},
}
"""What is laid over a picture."""

PASTES = (0.25, 0.33, 0.5)
"""Sides of a pasted picture, as shares of the other's."""


def chained(image: Picture, rng: Draw, *, others: list[Picture]) -> tuple[Picture, list[str]]:
    """Alter by one to three random alterations; returns their names, too."""
    single: dict[str, Alteration] = {
        **PLAIN,
        **MORE,
        **COVERS,
        "collage": partial(collage, others=others),
        "veil": partial(overlaid, others=others),
    }
    single |= {
        f"stickers {n}": partial(stickers, share=share, others=others)
        for n, share in (("a", 0.15), ("b", 0.3), ("c", 0.45))
    }
    names = [
        str(name)
        for name in rng.choice(list(single), int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15])), replace=False)
    ]
    for name in names:
        image = single[name](image, rng)
    if rng.random() < 0.12:
        side = float(rng.uniform(0.22, 0.6))
        image = pasted(image, rng, side=side, ground=others[rng.integers(len(others))])
        names.append("pasted")
    if rng.random() < 0.3:
        image = compressed(image, rng, quality=int(rng.integers(15, 60)))
    return image, names
