"""List the training photographs, split them once and for all, and decode them into one mapped array."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.encoders.families.nano_torch import SIZE

SEED = "nano-1"
HELD_SHARE = 0.15
HELD_CAPTIONS = 1000
# A whole collection, and a sixth of Caltech's ordinary classes, are never trained on: they show what transfers.
# Its two classes of 800 (airplanes, motorbikes) stay in training: they are a fifth of the set.
HELD_SETS = ("clothing",)
HELD_CLASS_SETS = ("caltech101",)
HELD_CLASS_SHARE = 1 / 6
HELD_CLASS_LIMIT = 200
# What the encoder reads: everyday scenes have that much, and small things in them are lost with less.
STORED_SIDE = SIZE
CLUTTER = "BACKGROUND Google"
# Collections of everyday scenes: small, and the nearest to what people search.
EVERYDAY = ("captions", "clip_images", "flickr", "coco", "coco_objects", "bsds")
# How often a photograph of everyday scenes is drawn, where not four times as often as others: there are many of these.
DRAWN = {"flickr": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photograph of the data folder.

    ``file`` is relative to the data folder; ``label`` and ``caption`` are empty where there is none; ``more`` are the other sentences
    that describe it; ``split`` is ``train``, ``held`` (same classes as training, other files) or ``unseen`` (a class or collection
    never trained on).
    """

    file: str
    group: str
    label: str
    caption: str
    split: str
    more: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences that describe it, the caption first; none where there is no caption."""
        return (self.caption, *self.more) if self.caption else ()


def unit_hash(text: str) -> float:
    """Map a string to ``[0, 1)``, the same on every machine and for ever."""
    return int.from_bytes(hashlib.sha256(f"{SEED}:{text}".encode()).digest()[:8], "big") / 2**64


def list_photos(data: Path) -> list[Photo]:
    """List every photograph of the data folder with its label or caption and its split, in a fixed order."""
    photos = []
    for table in sorted((data / "images").glob("*/labels.csv")):
        group = table.parent.name
        with table.open(newline="", encoding="utf-8") as handle:
            rows = sorted(csv.DictReader(handle), key=lambda row: row["file"])
        sizes = Counter(row["label"] for row in rows)
        for row in rows:
            file, label = f"images/{group}/{row['file']}", row["label"]
            split = _split(file, group, label, sizes[label])
            photos.append(Photo(file=file, group=group, label=label, caption="", split=split))
    with (data / "captions" / "captions.csv").open(newline="", encoding="utf-8") as handle:
        captions = sorted(csv.DictReader(handle), key=lambda row: unit_hash(f"captions/{row['file']}"))
    for i, row in enumerate(captions):
        split = "held" if i < HELD_CAPTIONS else "train"
        file = f"captions/{row['file']}"
        photos.append(
            Photo(file=file, group="captions", label="", caption=row["caption"].strip(), split=split)
        )
    for path in sorted((data / "clip_images" / "images").iterdir()):
        file = f"clip_images/images/{path.name}"
        split = "held" if unit_hash(file) < HELD_SHARE else "train"
        photos.append(Photo(file=file, group="clip_images", label="", caption="", split=split))
    return photos + described(data)


def described(data: Path) -> list[Photo]:
    """List the photographs with several sentences each: `HELD_CAPTIONS` of the largest collection are held out, and a share of the others."""
    table = data / "captions_more" / "captions.csv"
    if not table.is_file():
        return []
    said: dict[str, list[str]] = {}
    with table.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            sentence = " ".join(row["caption"].split())
            if sentence and sentence not in said.setdefault(row["file"], []):
                said[row["file"]].append(sentence)
    names = sorted(said, key=lambda name: unit_hash(f"captions_more/{name}"))
    largest = [name for name in names if _collection(name) == "flickr"][:HELD_CAPTIONS]
    held = {*largest, *(n for n in names if _collection(n) != "flickr" and unit_hash(n) < HELD_SHARE)}
    return [
        Photo(
            file=f"captions_more/{name}",
            group=_collection(name),
            label="",
            caption=said[name][0],
            split="held" if name in held else "train",
            more=tuple(said[name][1:]),
        )
        for name in sorted(said)
        if said[name]
    ]


def _collection(name: str) -> str:
    return Path(name).name.partition("_")[0]


def everyday(photos: list[Photo]) -> NDArray[np.bool_]:
    """Say which photographs are of everyday scenes, ``(n,)``."""
    return np.isin([photo.group for photo in photos], EVERYDAY)


def drawn_weights(photos: list[Photo]) -> NDArray[np.float64]:
    """Say how often each training photograph is drawn, ``(n,)``: everyday scenes four times as often as others.

    What people search looks most like them, and there are few (drawn twice as often, they were fitted worse than the rest, and
    no better than ones held out by much), but for those of `DRAWN`.
    """
    usual = np.where(everyday(photos), 4.0, 1.0)
    return np.array([DRAWN.get(photo.group, weight) for photo, weight in zip(photos, usual, strict=True)])


def _split(file: str, group: str, label: str, size: int) -> str:
    if group in HELD_SETS:
        return "unseen"
    rare = size <= HELD_CLASS_LIMIT and group in HELD_CLASS_SETS
    if rare and unit_hash(f"class:{group}:{label}") < HELD_CLASS_SHARE:
        return "unseen"
    return "held" if unit_hash(file) < HELD_SHARE else "train"


def load_rgb(source: Path | io.BytesIO) -> Image.Image:
    """Decode one file to RGB."""
    with Image.open(source) as image:
        return image.convert("RGB")


def squash(image: Image.Image, side: int) -> Image.Image:
    """Resize to a square, keeping all of the content and not its aspect: as nano's preprocessing does."""
    return image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)


def decode_all(
    data: Path,
    photos: list[Photo],
    out: Path,
    *,
    side: int = STORED_SIDE,
    note: Callable[[str], None] = print,
) -> NDArray[np.uint8]:
    """Decode every photograph once into ``out``, an ``.npy`` of ``(n, side, side, 3)`` uint8, and map it.

    A finished array is reused when its size and its list of files (``out`` with the suffix ``.json``) are the same.
    """
    listing = [photo.file for photo in photos]
    names = out.with_suffix(".json")
    if out.exists() and names.exists() and json.loads(names.read_text()) == listing:
        found: NDArray[np.uint8] = np.load(out, mmap_mode="r")
        if found.shape[1] == side:
            return found
    out.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.lib.format.open_memmap(out, mode="w+", dtype=np.uint8, shape=(len(photos), side, side, 3))

    def decode(i: int) -> None:
        pixels[i] = np.asarray(squash(load_rgb(data / listing[i]), side))

    with ThreadPoolExecutor(2) as pool:
        for i, _ in enumerate(pool.map(decode, range(len(photos)))):
            if i % 4000 == 0:
                note(f"decoded {i} of {len(photos)}")
    pixels.flush()
    names.write_text(json.dumps(listing))
    return np.load(out, mmap_mode="r")  # type: ignore[no-any-return]
