"""Make image files for tests, good and broken ones, as bytes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

ORIENTATION = 0x0112


def scene(width: int = 96, height: int = 64, *, seed: int = 0) -> Image.Image:
    """Return a smooth RGB picture without any symmetry: gradients, a dark corner, a bright disc; another for another seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    tints = rng.uniform(40, 200, size=3)
    pixels = np.stack([x * 200, y * 200, (1 - x) * y * 200], axis=-1) * 0.5 + tints * 0.4  # (h, w, 3)
    pixels[(x < 0.3) & (y < 0.25)] *= 0.2
    pixels[(x - 0.75) ** 2 + (y - 0.6) ** 2 < 0.03] = (250, 240, 60)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return a file's bytes in Pillow's format ``form``."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def jpeg(image: Image.Image | None = None, *, orientation: int | None = None, quality: int = 95) -> bytes:
    """Return a JPEG; with ``orientation`` its EXIF says so and the stored pixels stay as they are."""
    options: dict[str, Any] = {}
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    return encoded(image or scene(), "JPEG", quality=quality, subsampling=0, **options)


def png(image: Image.Image | None = None, **options: Any) -> bytes:
    """Return a PNG."""
    return encoded(image or scene(), "PNG", **options)


def stored_turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return the pixels that a camera stores so that a viewer who obeys ``orientation`` (1 to 8) shows ``image``."""
    turn = Image.Transpose
    back = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }
    return image if orientation == 1 else image.transpose(back[orientation])


def animated(form: str) -> bytes:
    """Return an animation ("GIF" or "WEBP"): a red frame, then a blue one."""
    red, blue = Image.new("RGB", (32, 24), (220, 0, 0)), Image.new("RGB", (32, 24), (0, 0, 220))
    return encoded(red, form, save_all=True, append_images=[blue], duration=100)


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """Return a PNG of a few bytes that claims enormous dimensions."""
    chunks = (
        b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0),
        b"IDAT" + zlib.compress(bytes(1000)),
        b"IEND",
    )
    framed = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def broken() -> dict[str, tuple[bytes, str]]:
    """Return kinds of broken files: file name -> (bytes, the reason expected)."""
    whole = jpeg()
    picture = png()
    middle = len(picture) // 2
    return {
        "empty.jpg": (b"", "empty"),
        "half.jpg": (whole[: len(whole) // 2], "truncated"),
        "header-only.jpg": (whole[:20], "truncated"),
        "half.png": (picture[:middle], "truncated"),
        "half.webp": (encoded(scene(), "WEBP")[:400], "truncated"),
        "half.gif": (encoded(scene(), "GIF")[:1500], "truncated"),
        "half.bmp": (encoded(scene(), "BMP")[:3000], "truncated"),
        "flipped.png": (
            picture[:middle]
            + bytes(255 - byte for byte in picture[middle : middle + 64])
            + picture[middle + 64 :],
            "unreadable",
        ),
        "text.jpg": (b"<html><body>404 Not Found</body></html>", "unreadable"),
        "zeros.tif": (bytes(1000), "unreadable"),
        "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unreadable"),
        "bomb.png": (bomb(), "too-large"),
    }


def write_broken(folder: Path) -> dict[str, str]:
    """Write every kind of broken file into ``folder``; return file name -> reason expected."""
    reasons = {}
    for name, (data, reason) in broken().items():
        (folder / name).write_bytes(data)
        reasons[name] = reason
    return reasons
