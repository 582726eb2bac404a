"""Make a folder of photographs of which some have a defect, and say which: what `bench_curate.py --parts audit` looks for."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter


def _blurry(image: Image.Image, rng: random.Random) -> Image.Image:
    """Blur by 2 to 5 % of the short side."""
    return image.filter(ImageFilter.GaussianBlur(min(image.size) * rng.uniform(0.02, 0.05)))


def _dark(image: Image.Image, rng: random.Random) -> Image.Image:
    """Leave 8 to 20 % of the brightness."""
    return image.point(
        [int(value * factor) for factor in [rng.uniform(0.08, 0.2)] * 3 for value in range(256)]
    )


def _light(image: Image.Image, rng: random.Random) -> Image.Image:
    """Leave 4 to 8 % of the darkness."""
    left = rng.uniform(0.04, 0.08)
    return image.point([int(255 - (255 - value) * left) for _ in range(3) for value in range(256)])


def _low_information(image: Image.Image, rng: random.Random) -> Image.Image:
    """Take the mean colour, or a gradient of two, with the sensor's faint noise."""
    pixels = np.asarray(image, dtype=np.float32)
    shift = np.linspace(0, rng.uniform(0, 40), image.width)[np.newaxis, :, np.newaxis]
    noise = np.random.default_rng(rng.randrange(1 << 30)).normal(0, rng.uniform(0, 0.6), pixels.shape)
    return Image.fromarray(np.clip(pixels.mean(axis=(0, 1)) + shift + noise, 0, 255).astype(np.uint8))


def _grayscale(image: Image.Image, _rng: random.Random) -> Image.Image:
    return image.convert("L").convert("RGB")


def _odd_aspect_ratio(image: Image.Image, rng: random.Random) -> Image.Image:
    """Cut a strip out, 3.3 to 6 times as long as wide."""
    narrow = max(round(image.width / rng.uniform(3.3, 6)), 1)
    left = rng.randrange(image.width - narrow + 1)
    strip = image.resize((image.width, image.width)).crop((left, 0, left + narrow, image.width))
    return strip.transpose(Image.Transpose.ROTATE_90) if rng.random() < 0.5 else strip


def _odd_size(image: Image.Image, rng: random.Random) -> Image.Image:
    """Change the size to a tenth to a fifth, or to six to ten times."""
    factor = rng.uniform(6, 10) if rng.random() < 0.5 else rng.uniform(0.1, 0.2)
    return image.resize(
        (max(round(image.width * factor), 8), max(round(image.height * factor), 8)), Image.Resampling.LANCZOS
    )


def _near_duplicates(image: Image.Image, rng: random.Random) -> Image.Image:
    """Cut up to 4 % of each side off, and take 70 to 90 % of the size."""
    cut, size = rng.uniform(0, 0.04), rng.uniform(0.7, 0.9)
    box = (image.width * cut, image.height * cut, image.width * (1 - cut), image.height * (1 - cut))
    return image.resize(
        (round(image.width * size), round(image.height * size)), Image.Resampling.LANCZOS, box
    )


DEFECTS: dict[str, Callable[[Image.Image, random.Random], Image.Image]] = {
    "blurry": _blurry,
    "dark": _dark,
    "light": _light,
    "low_information": _low_information,
    "grayscale": _grayscale,
    "odd_aspect_ratio": _odd_aspect_ratio,
    "odd_size": _odd_size,
    "near_duplicates": _near_duplicates,
}
"""How each defect is made of a photograph; ``exact_duplicates`` are copies of files."""


def make_folder(photographs: list[Path], out: Path, *, each: int, seed: int) -> dict[str, set[str]]:
    """Copy photographs as JPEG files, and change the first ones.

    Args:
        photographs: files of images.
        out: a folder that is not there yet.
        each: images of each defect.
        seed: of chance.
    Returns:
        for each defect the names that have it: of duplicates both files of each pair.
    """
    out.mkdir(parents=True)
    rng = random.Random(seed)
    truth: dict[str, set[str]] = {name: set() for name in (*DEFECTS, "exact_duplicates")}
    plain = 0
    wanted = [(name, make) for name, make in DEFECTS.items() for _ in range(each)]
    for number, source in enumerate(photographs):
        with Image.open(source) as opened:
            image = opened.convert("RGB")
        name = f"{number:05}.jpg"
        if number < len(wanted) and wanted[number][0] != "near_duplicates":
            defect, make = wanted[number]
            make(image, rng).save(out / name, quality=92)
            truth[defect].add(name)
            continue
        image.save(out / name, quality=92)
        if number < len(wanted):
            copy = f"{number:05}-near.jpg"
            wanted[number][1](image, rng).save(out / copy, quality=rng.randrange(60, 90))
            truth["near_duplicates"] |= {name, copy}
        elif plain < each:
            copy = f"{number:05}-copy.jpg"
            shutil.copy(out / name, out / copy)
            truth["exact_duplicates"] |= {name, copy}
            plain += 1
    return truth
