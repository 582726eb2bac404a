"""Make a messy folder, on which `retrieve duplicates` can be tried.

    python tools/messy_folder.py PHOTOGRAPHS OUT [--photographs 160]

``PHOTOGRAPHS`` is any folder with 16 images or more, ``OUT`` a folder that is not there yet. Of every 16 photographs 15 more files are
made: equal files, an export of equal pixels, smaller exports, crops, screenshots, a mirrored picture, a collage, two other
exposures, as of a burst, and two scans of prints.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

sys.path.insert(0, str(Path(__file__).parent.parent))

from tools.fit_matching.exposures import another_exposure

GROUP = 16
"""Photographs of which each kind of copy is made."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photographs_in", metavar="PHOTOGRAPHS", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--photographs", type=int, default=GROUP, help="how many; a multiple of 16")
    options = parser.parse_args()
    if options.photographs < GROUP or options.photographs % GROUP:
        parser.error(f"--photographs is {options.photographs}; give a multiple of {GROUP}")
    if options.out.exists():
        parser.error(f"{options.out} is there already; name a folder that is not")
    suffixes = {".jpg", ".jpeg", ".png", ".webp"}
    there = sorted(path for path in options.photographs_in.rglob("*") if path.suffix.lower() in suffixes)
    if len(there) < options.photographs:
        parser.error(f"{options.photographs_in} has {len(there)} images; {options.photographs} are needed")
    chosen = random.Random(5).sample(there, options.photographs)
    for first in range(0, len(chosen), GROUP):
        make(chosen[first : first + GROUP], options.out, first)


def make(chosen: list[Path], out: Path, first: int) -> None:
    """Write some photographs, which are numbered from ``first`` on, and copies of them."""
    folders = [out / name for name in ("2019", "old disk", "exports", "phone")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    photographs, disk, exports, phone = folders
    pictures = []
    for number, source in enumerate(chosen, start=first):
        file = photographs / f"IMG_{number:02}.jpg"
        with Image.open(source) as image:
            image.convert("RGB").save(file, quality=92)
        with Image.open(file) as image:
            pictures.append(image.convert("RGB"))

    def name(number: int) -> str:
        return f"{first + number:02}"

    for number in (0, 1):
        shutil.copyfile(photographs / f"IMG_{name(number)}.jpg", disk / f"IMG_{name(number)}.jpg")
    pictures[2].save(disk / f"scan_{name(2)}.png")
    for number in (3, 4):
        smaller(pictures[number]).save(exports / f"small_{name(number)}.jpg", quality=75)
    for number in (4, 5):
        part(pictures[number]).save(exports / f"crop_{name(number)}.jpg", quality=85)
    screenshot(pictures[6], width=pictures[6].width).save(phone / f"screenshot_{name(6)}.png")
    screenshot(pictures[7], width=540).save(phone / f"screenshot_{name(7)}.png")
    ImageOps.mirror(pictures[8]).save(phone / f"mirrored_{name(8)}.jpg", quality=85)
    collage([smaller(one) for one in pictures[9:13]]).save(exports / f"collage_{name(9)}.jpg", quality=90)
    for number in (13, 14):
        again = another_exposure(pictures[number], np.random.default_rng([first, number]), still=True)
        again.save(photographs / f"IMG_{name(number)}_burst.jpg", quality=92)
    for number in (10, 15):
        scan(pictures[number], np.random.default_rng([first, number])).save(
            disk / f"scan_{name(number)}.jpg", quality=80
        )


def smaller(picture: Image.Image) -> Image.Image:
    """Return the picture at two thirds of its size."""
    return picture.resize((picture.width * 2 // 3, picture.height * 2 // 3), Image.Resampling.LANCZOS)


def part(picture: Image.Image) -> Image.Image:
    """Return the middle of the picture, 0.7 of each side."""
    width, height = picture.size
    return picture.crop((width * 3 // 20, height * 3 // 20, width * 17 // 20, height * 17 // 20))


def screenshot(picture: Image.Image, *, width: int) -> Image.Image:
    """Return the picture on a screen of this width, with bars above and below."""
    screen = Image.new("RGB", (width, width * 13 // 6), "black")
    shown = ImageOps.contain(picture, screen.size)
    screen.paste(shown, ((width - shown.width) // 2, (screen.height - shown.height) // 2))
    ImageDraw.Draw(screen).text((width // 20, width // 40), "09:41", fill="white", font_size=width // 20)
    return screen


def scan(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture as a print on a scanner's grey bed, a little askew, paler and with grain."""
    width, height = picture.size
    bed = Image.new("RGB", (width * 5 // 4, height * 5 // 4), (226, 224, 219))
    bed.paste(picture, (width // 8, height // 8))
    turned = bed.rotate(rng.uniform(-3, 3), Image.Resampling.BICUBIC, fillcolor=(226, 224, 219))
    pixels = 25 + 0.85 * np.asarray(turned, np.float64) + rng.normal(0, 4, (*turned.size[::-1], 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def collage(pictures: list[Image.Image]) -> Image.Image:
    """Return four pictures in two rows, cut to one shape."""
    width, height = (min(one.size[side] for one in pictures) for side in (0, 1))
    page = Image.new("RGB", (2 * width, 2 * height), "white")
    for place, one in enumerate(pictures):
        page.paste(ImageOps.fit(one, (width, height)), (place % 2 * width, place // 2 * height))
    return page


if __name__ == "__main__":
    main()
