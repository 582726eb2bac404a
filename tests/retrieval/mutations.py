"""Damage image files in seeded ways: flipped bits, cuts, shifted chunks, header fields blown up."""

from __future__ import annotations

import io
import random
import struct
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tests.retrieval.pictures import encoded, heic, scene

if TYPE_CHECKING:
    from collections.abc import Callable

_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def originals() -> dict[str, bytes]:
    """Return small sound files of every format and kind that is read, by name; TIFF of all kinds if tifffile is there."""
    picture, small = scene(96, 64), scene(40, 30)
    alpha = small.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(alpha.size))
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray((np.asarray(small.convert("L")).astype(np.uint16) << 8) + 3)
    files = {
        "plain.jpg": encoded(picture, "JPEG", exif=exif),
        "progressive.jpg": encoded(picture, "JPEG", progressive=True, quality=90),
        "grey.jpg": encoded(picture.convert("L"), "JPEG"),
        "cmyk.jpg": encoded(picture.convert("CMYK"), "JPEG"),
        "restarts.jpg": encoded(picture, "JPEG", restart_marker_blocks=2),
        "pair.mpo": encoded(picture, "MPO", save_all=True, append_images=[small]),
        "plain.png": encoded(picture, "PNG", exif=exif),
        "alpha.png": encoded(alpha, "PNG"),
        "palette.png": encoded(small.quantize(16), "PNG", transparency=3),
        "bilevel.png": encoded(small.convert("1"), "PNG"),
        "deep.png": encoded(deep, "PNG"),
        "animated.png": encoded(small, "PNG", save_all=True, append_images=[scene(40, 30, seed=2)]),
        "plain.gif": encoded(picture, "GIF"),
        "animated.gif": encoded(small, "GIF", save_all=True, append_images=[scene(40, 30, seed=2)]),
        "plain.bmp": encoded(small, "BMP"),
        "palette.bmp": encoded(small.quantize(200), "BMP"),
        "plain.webp": encoded(picture, "WEBP", exif=exif),
        "lossless.webp": encoded(alpha, "WEBP", lossless=True),
        "animated.webp": encoded(small, "WEBP", save_all=True, append_images=[scene(40, 30, seed=2)]),
        "plain.avif": encoded(picture, "AVIF"),
        "plain.heic": heic(),
        "plain.tif": encoded(small, "TIFF", exif=exif),
        "lzw.tif": encoded(small, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": encoded(picture, "TIFF", compression="jpeg"),
        "fax.tif": encoded(picture.convert("1"), "TIFF", compression="group4"),
        "pages.tif": encoded(small, "TIFF", save_all=True, append_images=[picture]),
        "deep.tif": encoded(deep, "TIFF"),
    }
    return files | _unusual(small)


def _unusual(small: Image.Image) -> dict[str, bytes]:
    try:
        import tifffile
    except ImportError:
        return {}
    rgb = np.asarray(small)
    files = {}
    kinds: list[tuple[str, np.ndarray, dict[str, object]]] = [
        ("rgb16.tif", rgb.astype(np.uint16) * 257, {"photometric": "rgb", "compression": "deflate", "predictor": True}),
        ("planes16.tif", np.moveaxis(rgb.astype(np.uint16) * 257, -1, 0), {"photometric": "rgb", "planarconfig": "separate"}),
        ("float.tif", (rgb[..., 0] / 255).astype(np.float32), {"photometric": "minisblack", "compression": "zstd"}),
        ("white16.tif", rgb[..., 0].astype(np.uint16) << 4, {"photometric": "miniswhite", "tile": (16, 16)}),
        ("big.tif", rgb.astype(np.uint16) << 4, {"photometric": "rgb", "bigtiff": True, "byteorder": ">", "compression": "lzw"}),
        ("twelve.tif", rgb[..., 0].astype(np.uint16) << 4, {"photometric": "minisblack", "bitspersample": 12}),
        ("jpeg2000.tif", rgb, {"photometric": "rgb", "compression": "jpeg2000"}),
        ("webp.tif", rgb, {"photometric": "rgb", "compression": "webp"}),
        ("jpeg12.tif", rgb.astype(np.uint16) << 4, {"photometric": "rgb", "compression": "jpeg", "bitspersample": 12}),
    ]  # fmt: skip
    for name, values, options in kinds:
        file = io.BytesIO()
        tifffile.imwrite(file, values, metadata=None, **options)  # type: ignore[arg-type]
        files[name] = file.getvalue()
    return files


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return a damaged version of a file: one to three kinds of damage, by chance."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if len(data) < 16:
            return data
        data = rng.choice(_DAMAGES)(data, rng)
    return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _flip_head(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 2, 4))):
        damaged[rng.randrange(min(len(damaged), 160))] = rng.randrange(256)
    return bytes(damaged)


def _flip_tail(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 2, 4))):
        damaged[-1 - rng.randrange(min(len(damaged), 300))] = rng.randrange(256)
    return bytes(damaged)


def _blow_up(data: bytes, rng: random.Random) -> bytes:
    """Write an extreme number where a header or a directory may have its sizes."""
    shape = rng.choice((">H", "<H", ">I", "<I", "<Q"))
    size = struct.calcsize(shape)
    near = rng.choice((64, 64, 256, len(data)))
    place = rng.randrange(min(near, len(data) - size))
    if rng.random() < 0.3:
        place = len(data) - size - place
    value = rng.choice((*_EDGES, rng.randrange(1, 70_000), 16_000, 30_000, 65_500))
    packed = struct.pack(shape, value & ((1 << 8 * size) - 1))
    return data[:place] + packed + data[place + size :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((rng.randrange(1, len(data)), len(data) - rng.randrange(1, 16)))]


def _move(data: bytes, rng: random.Random) -> bytes:
    """Remove, repeat, zero or shuffle in a stretch of the file."""
    begin = rng.randrange(len(data))
    end = min(len(data), begin + rng.choice((1, 4, 64, 1000)))
    piece = data[begin:end]
    put = rng.choice((b"", piece + piece, bytes(len(piece)), rng.randbytes(len(piece)), piece * 50))
    return data[:begin] + put + data[end:]


_DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _flip_head, _flip_tail, _blow_up, _blow_up, _cut, _move,
)  # fmt: skip
