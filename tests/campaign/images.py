"""Mutate images of every format that is read; build an index over each batch."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaign import events, world
from tests.campaign.frame import Fault, Tally, clean
from tests.retrieval.folders import ids_by_key

BATCH = 100
PEAK = 400 << 20
SECONDS = 120.0
EXTREMES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00", b"\x00\x00", b"\xff\xff",
            b"\x80\x00", b"\x00\x80", b"\x40\x00\x00\x00", b"\x00\x00\x00\x40", b"\xff")  # fmt: skip


def specimens() -> dict[str, tuple[str, bytes]]:
    """Return good files by name: the suffix and the bytes."""
    from PIL import Image

    picture = Image.open(io.BytesIO(world.picture(7, side=48))).convert("RGB")
    other = Image.open(io.BytesIO(world.picture(8, side=48))).convert("RGB")
    alpha = picture.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(picture.size))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    deep = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) << 8)
    real = Image.fromarray(np.asarray(picture.convert("L")).astype(np.float32) / 255)
    found: dict[str, tuple[str, bytes]] = {}

    def add(name: str, suffix: str, image: Any, form: str, **options: Any) -> None:
        file = io.BytesIO()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            image.save(file, form, **options)
            found[name] = (suffix, file.getvalue())

    many: dict[str, Any] = {"save_all": True, "append_images": [other, picture]}
    add("jpeg", "jpg", picture, "JPEG")
    add("jpeg progressive", "jpeg", picture, "JPEG", progressive=True, exif=exif)
    add("jpeg grey", "jpe", picture.convert("L"), "JPEG", subsampling=0)
    add("jpeg cmyk", "jfif", picture.convert("CMYK"), "JPEG")
    add("jpeg restarts", "jpg", picture.resize((200, 150)), "JPEG", restart_marker_blocks=4, optimize=True)
    add("mpo", "jpg", picture, "MPO", save_all=True, append_images=[other])
    add("png", "png", picture, "PNG")
    add("png palette", "png", picture.quantize(16), "PNG", transparency=3)
    add("png bits", "png", picture.convert("1"), "PNG")
    add("png deep", "png", deep, "PNG")
    add("png alpha", "png", alpha, "PNG", exif=exif)
    add("apng", "apng", picture, "PNG", **many)
    add("gif", "gif", picture.quantize(32), "GIF")
    add("gif animated", "gif", picture, "GIF", **many)
    add("webp", "webp", picture, "WEBP", exif=exif)
    add("webp lossless", "webp", alpha, "WEBP", lossless=True)
    add("webp animated", "webp", picture, "WEBP", **many)
    add("bmp", "bmp", picture, "BMP")
    add("bmp palette", "bmp", picture.quantize(16), "BMP")
    for way in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma"):
        add(f"tiff {way}", "tif", picture, "TIFF", compression=way)
    add("tiff bits", "tiff", picture.convert("1"), "TIFF", compression="group4")
    add("tiff deep", "tiff", deep, "TIFF")
    add("tiff float", "tiff", real, "TIFF")
    add("tiff pages", "tif", picture, "TIFF", **many)
    add("avif", "avif", picture, "AVIF")
    add("avif alpha", "avif", alpha, "AVIF", quality=50)
    with contextlib.suppress(Exception):
        import pi_heif  # it reads only; a file must come from elsewhere

        del pi_heif
    with contextlib.suppress(Exception):
        import pillow_heif

        file = io.BytesIO()
        pillow_heif.from_pillow(picture).save(file)
        found["heic"] = ("heic", file.getvalue())
    return found


def flip(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Flip one to twenty bits."""
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def flip_head(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Flip bits of the first 200 bytes."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data[rng.randrange(min(200, len(data)))] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Cut the end off."""
    del data[
        rng.choice(
            (rng.randrange(len(data)), rng.randrange(min(64, len(data))), len(data) - 1 - rng.randrange(8))
        ) :
    ]


def extreme(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Write an extreme number somewhere, or anywhere in the head."""
    for _ in range(rng.choice((1, 1, 3))):
        value = rng.choice(EXTREMES)
        at = rng.randrange(rng.choice((len(data), min(128, len(data)))))
        data[at : at + len(value)] = value


def sizes(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Replace what looks like the image's width or height by another number."""
    forms = (">I", "<I", ">H", "<H")
    for side in (48, 200, 150):
        for form in rng.sample(forms, len(forms)):
            pattern = struct.pack(form, side)
            places = [
                place
                for place in range(min(1000, len(data)))
                if data[place : place + len(pattern)] == pattern
            ]
            if places and rng.random() < 0.7:
                at = rng.choice(places)
                limit = 0xFFFF if form.endswith("H") else 0x7FFFFFFF
                value = rng.choice((0, 1, 47, 49, 3000, 16_000, 40_000, 65_535, 1 << 20, limit)) & limit
                data[at : at + len(pattern)] = struct.pack(form, value)
                return


def insert(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Put random bytes, or a piece of the file, in between."""
    at = rng.randrange(len(data))
    if rng.random() < 0.5:
        data[at:at] = rng.randbytes(rng.choice((1, 2, 7, 64, 5000)))
    else:
        first = rng.randrange(len(data))
        data[at:at] = data[first : first + rng.randrange(1, 400)] * rng.choice((1, 1, 50))


def remove(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Take a piece out."""
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 17, 300))]


def zeros(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Blank a piece."""
    at, length = rng.randrange(len(data)), rng.choice((4, 64, 512))
    data[at : at + length] = bytes([rng.choice((0, 255))]) * len(data[at : at + length])


def cross(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Go on as another file does."""
    other = rng.choice(others)
    at = rng.randrange(min(len(data), 4 * 64))
    data[at:] = other[rng.choice((at, 0, rng.randrange(len(other)))) :]


def grow(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Put another file, or a great deal of nothing, behind it."""
    data += rng.choice((rng.choice(others), bytes(100_000), rng.randbytes(1000)))


MUTATIONS: tuple[Callable[[bytearray, random.Random, list[bytes]], None], ...] = (
    flip, flip, flip_head, flip_head, cut, extreme, extreme, sizes, sizes, insert, remove, zeros, cross, grow,
)  # fmt: skip


class Part:
    """A batch of mutated images a round, with a good one in between."""

    def __init__(self, work: Path, tally: Tally) -> None:
        self._work, self._tally = work, tally
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._specimens = specimens()
        self._bytes = [data for _, data in self._specimens.values()]
        self._peak = 0

    def round(self, rng: random.Random, number: int) -> None:
        """Build over a batch; then look at each alone where the batch went wrong."""
        files = dict(self._mutated(rng, place) for place in range(BATCH))
        files[f"good {number}.png"] = world.picture(number)
        try:
            self._check(files, f"good {number}.png", again=number % 5 == 0)
        except Fault as fault:
            self._blame(files, fault)
        for name in files:
            self._tally.count(
                name.split(" ", 1)[1].rsplit(" ", 1)[0] if not name.startswith("good") else "good", done=1
            )

    def _mutated(self, rng: random.Random, place: int) -> tuple[str, bytes]:
        kind = rng.choice(list(self._specimens))
        suffix, data = self._specimens[kind]
        made = bytearray(data)
        names = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            if not made:
                break
            mutation = rng.choice(MUTATIONS)
            mutation(made, rng, self._bytes)
            names.append(mutation.__name__)
        return f"{place:03} {kind} {'+'.join(names)}.{suffix}", bytes(made)

    def _check(self, files: dict[str, bytes], good: str | None, *, again: bool) -> None:
        home = self._work / "home"
        world.shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        for name, data in files.items():
            (home / name).write_bytes(data)
        ended = events.run(lambda: indexed(home, good, again=again), seconds=SECONDS)
        clean(ended, "a build over mutated images")
        self._peak = max(self._peak, ended.peak)
        self._tally.facts["peak MB"] = self._peak >> 20
        if ended.peak > PEAK:
            raise Fault(f"a build over mutated images takes more than {PEAK >> 20} MB\n{ended.peak >> 20} MB")

    def _blame(self, files: dict[str, bytes], fault: Fault) -> None:
        """Find the images that the fault needs."""
        guilty = []
        named = [name for name in files if repr(name) in str(fault)]
        for name in named[:5] or files:
            data = files[name]
            try:
                self._check({"good.png": world.picture(1), name: data}, "good.png", again=True)
            except Fault as alone:
                kind = name.split(" ", 1)[1].rsplit(".", 1)[0].rsplit(" ", 1)[0]
                what, _, detail = str(alone).partition("\n")
                guilty.append(name)
                self._tally.fault(f"{what} ({kind})", f"{name}\n{detail}\nbytes: {data[:600].hex()}")
        if not guilty:
            raise Fault(f"{fault}\nno image of the batch does it alone")


def indexed(home: Path, good: str | None, *, again: bool) -> None:
    """Build over a folder; every file must be indexed or listed."""
    import retrieval
    from retrieval.sources.skipped_list import read_skipped

    report = retrieval.build_index(home, encoder=world.OLD)
    with retrieval.open(home) as collection:
        keys = dict(ids_by_key(collection).items())
        listed = {key.decode() for key in read_skipped(home / ".retrieve")}
        names = {path.name for path in home.iterdir() if path.is_file()}
        if lost := names - set(keys) - listed:
            raise Fault(f"an image is neither indexed nor listed\n{sorted(lost)}")
        if both := set(keys) & listed:
            raise Fault(f"an image is indexed and listed\n{sorted(both)}")
        if report.images != len(keys) or report.skipped != len(listed):
            raise Fault(
                f"a build counts otherwise than it lists\n{report.images}, {report.skipped}; {len(keys)}, {len(listed)}"
            )
        rows = collection.vectors(np.array(sorted(keys.values())))
        if not np.isfinite(rows).all() or np.abs(np.linalg.norm(rows, axis=1) - 1).max() > world.CLOSE:
            raise Fault("an image got a vector that is no unit vector")
        if good is not None:
            wanted = world.vector_of((home / good).read_bytes(), world.OLD)
            if np.abs(collection.vectors(np.array([keys[good]]))[0] - wanted).max() > world.CLOSE:
                raise Fault("a good image among mutated ones got another's vector")
    if again:
        second = retrieval.build_index(home)
        if (
            second.encoded
            or second.removed
            or second.images != report.images
            or second.skipped != report.skipped
        ):
            raise Fault(f"a build that changes nothing does something\n{second}")
