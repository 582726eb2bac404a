"""Make pictures whose caption is known from the making: counts, "X and Y", colours of the subject, and types of photograph.

Real captions seldom say these things, and say them of pictures that show much else. A collage of three photographs of zebras shows three zebras for certain,
and a photograph without its colours is black and white. Wordings differ from those of the report's queries (`phrases`), and so do the alterations' strengths.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from tools.train_nano.inputs.corpus import plain_name
from tools.train_nano.inputs.data import CLUTTER, Photo
from tools.train_nano.words.spelling import inflected
from tools.train_nano.words.text import with_article

SIDE = 160
# Collections whose labels name the one thing that a photograph shows.
THINGS = ("animals", "caltech101", "flowers", "groceries", "imagenette", "pandas", "street_vehicles")
PLURALS = (
    "airplanes",
    "carrots",
    "leopards",
    "motorbikes",
    "satsumas",
)  # labels of photographs that show one
NUMBERS = ("two", "three", "four")
HUES = {"red": (0.95, 0.03), "orange": (0.05, 0.1), "yellow": (0.12, 0.18), "green": (0.22, 0.45), "blue": (0.53, 0.7), "purple": (0.73, 0.85), "pink": (0.86, 0.94)}  # fmt: skip
VIVID, MOSTLY = (
    0.35,
    0.5,
)  # saturation that a hue needs to count, and the share of the middle that must have one hue


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One made picture: its ``pixels``, ``(s, s, 3)`` uint8, its ``caption``, and its ``sort``."""

    pixels: NDArray[np.uint8]
    caption: str
    sort: str


def _grey(image: Image.Image, numbers: np.random.Generator) -> Image.Image:
    grey = image.convert("L").convert("RGB")
    return ImageEnhance.Contrast(grey).enhance(float(numbers.uniform(0.7, 1.4)))


def _night(image: Image.Image, numbers: np.random.Generator) -> Image.Image:
    shares = np.array([0.75, 0.85, 1.15]) * numbers.uniform(0.15, 0.4)
    bright = np.asarray(image, np.float32) ** 1.15 / 255**0.15
    return Image.fromarray(np.clip(bright * shares, 0, 255).astype(np.uint8))


def _blurred(image: Image.Image, numbers: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(float(numbers.uniform(2.5, 6.0))))


def _sepia(image: Image.Image, numbers: np.random.Generator) -> Image.Image:
    tones = np.array([1.1, 0.95, 0.68]) * numbers.uniform(0.85, 1.1)
    return Image.fromarray(
        np.clip(np.asarray(image.convert("L"), np.float32)[:, :, None] * tones, 0, 255).astype(np.uint8)
    )


def _pale(image: Image.Image, numbers: np.random.Generator) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(float(numbers.uniform(0.2, 0.4)))


def _turned(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.transpose(Image.Transpose.ROTATE_180)


def _close(image: Image.Image, numbers: np.random.Generator) -> Image.Image:
    edge = round(image.width * (1 - numbers.uniform(0.3, 0.45)) / 2)
    return image.crop((edge, edge, image.width - edge, image.height - edge)).resize((SIDE, SIDE))


# How each type is made of any photograph, and how it is said; of a thing where there is one.
TYPES: dict[
    str, tuple[Callable[[Image.Image, np.random.Generator], Image.Image], tuple[str, ...], tuple[str, ...]]
] = {
    "grey": (_grey, ("a black and white picture", "an image in grey tones", "monochrome photography", "grayscale image"), ("a black and white image of a {}", "a {} in grayscale")),
    "night": (_night, ("a scene at night", "night time", "it is dark outside", "after dark"), ("a {} at night", "a {} in the dark")),
    "blurred": (_blurred, ("a blurred image", "an unsharp photograph", "a picture that is not in focus"), ("a blurry image of a {}", "a {} out of focus")),
    "sepia": (_sepia, ("a brown vintage photograph", "sepia tones", "an antique picture"), ("an old sepia picture of a {}",)),
    "turned": (_turned, ("an image that is upside down", "everything stands on its head"), ("a {} upside down",)),
    "pale": (_pale, ("a faded picture", "a photograph of low contrast", "pale washed out colours"), ("a faded image of a {}",)),
    "close": (_close, (), ("a close-up view of a {}", "a {} seen from very near")),
}  # fmt: skip


def thing(photo: Photo) -> str:
    """Name the one thing that a photograph shows; empty where it shows no one thing for certain."""
    if photo.group not in THINGS or photo.label in ("", CLUTTER):
        return ""
    name = plain_name(photo.label)
    return name.removesuffix("s") if name in PLURALS else name


def hue_of(pixels: NDArray[np.uint8]) -> str:
    """Name the hue of most of the middle of a picture; empty where it has no single one."""
    edge = len(pixels) // 4
    inner = pixels[edge:-edge:3, edge:-edge:3].reshape(-1, 3) / 255
    hues, vivid = np.array(
        [(h, s) for h, s, v in (colorsys.rgb_to_hsv(*p) for p in inner.tolist()) if v > 0.2] or [(0.0, 0.0)]
    ).T
    for name, (low, high) in HUES.items():
        within = (hues >= low) & (hues < high) if low < high else (hues >= low) | (hues < high)
        if (within & (vivid >= VIVID)).sum() > MOSTLY * len(inner):
            return name
    return ""


def collage(parts: list[Image.Image]) -> Image.Image:
    """Put two pictures side by side, or up to four in a square; a place that is left over shows the first one's blurred colours."""
    places = 2 if len(parts) == 2 else 4
    whole = parts[0].resize((4, 4)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    wide, high = SIDE // 2, SIDE if places == 2 else SIDE // 2
    for i, part in enumerate(parts):
        # Two halves keep the middle of each, unsquashed.
        cut = part.crop((part.width // 4, 0, part.width * 3 // 4, part.height)) if places == 2 else part
        whole.paste(cut.resize((wide, high), Image.Resampling.BICUBIC), (i % 2 * wide, i // 2 * high))
    return whole


def make(
    photos: list[Photo], pixels: NDArray[np.uint8], rows: NDArray[np.int64], *, of_each: int, seed: int = 1
) -> list[Made]:
    """Make pictures of the photographs ``rows`` (of ``photos`` and ``pixels``): ``of_each`` counts, pairs and types of each, and every clear colour."""
    numbers = np.random.default_rng(seed)
    by_thing: dict[str, list[int]] = {}
    for row in rows.tolist():
        if name := thing(photos[row]):
            by_thing.setdefault(name, []).append(row)
    names = [name for name, own in by_thing.items() if len(own) >= len(NUMBERS) + 1]

    def picture(row: int) -> Image.Image:
        return Image.fromarray(pixels[row])

    def draw(name: str, count: int) -> list[Image.Image]:
        return [picture(int(i)) for i in numbers.choice(by_thing[name], count, replace=False)]

    made = []

    def add(image: Image.Image, caption: str, sort: str) -> None:
        made.append(Made(pixels=np.asarray(image), caption=with_article(caption), sort=sort))

    for at in range(of_each):
        name = names[int(numbers.integers(len(names)))]
        count = at % len(NUMBERS)
        add(collage(draw(name, count + 2)), f"{NUMBERS[count]} {inflected(name) or name}", "count")
        first, second = (names[int(i)] for i in numbers.choice(len(names), 2, replace=False))
        said = (f"a {first} and a {second}", f"a {first} beside a {second}", f"{first} with {second}")[at % 3]
        add(collage([*draw(first, 1), *draw(second, 1)]), said, "two things")
    for sort, (alter, plain, of_thing) in TYPES.items():
        for i in numbers.choice(rows, of_each).tolist():
            wordings = plain + (of_thing if (name := thing(photos[i])) else ())
            if wordings:
                said = wordings[int(numbers.integers(len(wordings)))].format(name)
                add(alter(picture(i), numbers), said, sort)
    coloured = [row for own in by_thing.values() for row in own]
    for i in numbers.permutation(coloured)[: 4 * of_each].tolist():
        if hue := hue_of(pixels[i]):
            add(picture(i), f"a {hue} {thing(photos[i])}", "colour")
    return made
