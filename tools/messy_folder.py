"""Make a small messy folder, on which `retrieve duplicates` can be tried.

    python tools/messy_folder.py PHOTOGRAPHS OUT

``PHOTOGRAPHS`` is any folder with 16 images or more, ``OUT`` a folder that is not there yet. It gets 16 photographs and 11 copies: equal
files, an export of equal pixels, smaller exports, crops, screenshots, a mirrored picture and a collage.
"""

from __future__ import annotations

import argparse
import random
import shutil
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

PHOTOGRAPHS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} is there already; name a folder that is not")
    suffixes = {".jpg", ".jpeg", ".png", ".webp"}
    there = sorted(path for path in options.photographs.rglob("*") if path.suffix.lower() in suffixes)
    if len(there) < PHOTOGRAPHS:
        parser.error(f"{options.photographs} has {len(there)} images; {PHOTOGRAPHS} are needed")
    chosen = random.Random(5).sample(there, PHOTOGRAPHS)
    folders = [options.out / name for name in ("2019", "old disk", "exports", "phone")]
    for folder in folders:
        folder.mkdir(parents=True)
    photographs, disk, exports, phone = folders
    pictures = []
    for number, source in enumerate(chosen):
        file = photographs / f"IMG_{number:02}.jpg"
        with Image.open(source) as image:
            image.convert("RGB").save(file, quality=92)
        with Image.open(file) as image:
            pictures.append(image.convert("RGB"))
    for number in (0, 1):
        shutil.copyfile(photographs / f"IMG_{number:02}.jpg", disk / f"IMG_{number:02}.jpg")
    pictures[2].save(disk / "scan_02.png")
    for number in (3, 4):
        smaller(pictures[number]).save(exports / f"small_{number:02}.jpg", quality=75)
    for number in (4, 5):
        part(pictures[number]).save(exports / f"crop_{number:02}.jpg", quality=85)
    screenshot(pictures[6], width=pictures[6].width).save(phone / "screenshot_06.png")
    screenshot(pictures[7], width=540).save(phone / "screenshot_07.png")
    ImageOps.mirror(pictures[8]).save(phone / "mirrored_08.jpg", quality=85)
    collage([smaller(one) for one in pictures[9:13]]).save(exports / "collage.jpg", quality=90)


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


def collage(pictures: list[Image.Image]) -> Image.Image:
    """Return four pictures in two rows, cut to one shape."""
    width, height = (min(one.size[side] for one in pictures) for side in (0, 1))
    page = Image.new("RGB", (2 * width, 2 * height), "white")
    for place, one in enumerate(pictures):
        page.paste(ImageOps.fit(one, (width, height)), (place % 2 * width, place // 2 * height))
    return page


if __name__ == "__main__":
    main()
