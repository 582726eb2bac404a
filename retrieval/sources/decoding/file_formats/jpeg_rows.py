"""Read JPEG files that are cut short: complete their ends, and find how much of the picture is missing."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_END = b"\xff\xd9"
_ENDS = 1 << 15  # twice this many bytes: as long as the longest segment, which may be cut itself
_NOISE = bytes(random.Random(0).randrange(255) for _ in range(256))  # no 0xFF, which would begin a marker
_BLEEDING = 2  # of 16 rows, the last that show a little of the colours of the block below
_MOST_SCANS = 256  # a progressive file has about 10; each costs a pass over the whole picture


def endings(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return versions of a JPEG whose end is missing that a decoder may read to the end, the best first.

    Each is a pair that differs in what follows the data: nothing, which a decoder shows as grey, and noise. Where the two
    pictures are equal, they come from the data.
    """
    noise = _NOISE
    if data.find(b"\xff\xdd") > 0:  # it has restart markers, and a decoder looks for the next one first
        noise += b"".join(bytes((0xFF, 0xD0 + at)) + _NOISE for at in range(8))
    whole = data.removesuffix(b"\xff")
    versions = [whole]
    table = data.rfind(
        b"\xff\xc4"
    )  # between the scans of a progressive file: cut in the middle it would be an error
    if table > data.find(b"\xff\xda") > 0:
        versions.append(data[:table])
    return [(start + _END * _ENDS, start + noise + _END * _ENDS) for start in versions]


def all_scans_begun(data: bytes) -> bool:
    """Say whether a progressive JPEG is cut behind its first scans: the picture is there in all its rows, only coarser."""
    frame = _frame(data)
    if frame is None or not frame.progressive:
        return False
    return data.count(b"\xff\xda") > (1 if frame.in_scan >= frame.count else frame.count)


def missing_part(image: Image.Image, other: Image.Image, *, block: int) -> float:
    """Return how much of a picture, 0 to 1, has no data behind it.

    Args:
        image, other: decoded from both versions of `endings`.
        block: the height in pixels of a row of blocks, in which a JPEG is stored.
    """
    height, width = image.height, image.width
    for top in range(0, height, block):
        box = (0, top, width, min(top + block, height))
        one, two = (np.asarray(picture.crop(box)).astype(np.int16) for picture in (image, other))
        kept = len(one) if box[3] == height else max(1, len(one) - _BLEEDING * block // 16)
        different = np.abs(one - two)[:kept].reshape(kept, width, -1).max(axis=(0, 2)) > 0  # (w,)
        if different.any():
            left = int(np.argmax(different))
            below = height - box[3]
            return (below * width + (box[3] - top) * (width - left)) / (height * width)
    return 0.0


def block_height(data: bytes, *, full: int, shown: int) -> int:
    """Return the height of a row of blocks in a picture of ``full`` rows that is decoded to ``shown`` rows."""
    frame = _frame(data)
    down = 1 if frame is None else max((value & 15 for value in frame.samplings), default=1) or 1
    return max(1, 8 * down * shown // max(1, full))


def coefficient_bytes(data: bytes) -> int | None:
    """Return what a decoder holds of a JPEG's coefficients beside the pixels: of all, if it has several scans; else nothing.

    None: more scans than any honest file has; each costs a pass over the picture.
    """
    frame = _frame(data)
    if frame is None or (not frame.progressive and frame.in_scan >= frame.count):
        return 0
    if data.count(b"\xff\xda") > _MOST_SCANS:
        return None
    across = max((value >> 4 for value in frame.samplings), default=1) or 1
    down = max((value & 15 for value in frame.samplings), default=1) or 1
    samples = sum((value >> 4) * (value & 15) for value in frame.samplings) / (across * down)
    return int(2 * frame.width * frame.height * samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What a JPEG's header says: ``count`` components, of which ``in_scan`` are in the first scan."""

    progressive: bool
    width: int
    height: int
    count: int
    samplings: list[int]
    in_scan: int


def _frame(data: bytes) -> _Frame | None:
    """Return the first frame of a JPEG and its first scan; None if they cannot be found."""
    place, found = 2, None
    while place + 10 <= len(data) and data[place] == 0xFF:
        kind = data[place + 1]
        if kind == 0xFF:
            place += 1
            continue
        if kind == 0x01 or 0xD0 <= kind <= 0xD8:
            place += 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            found = place
        if kind == 0xDA:
            if found is None:
                return None
            height, width, count = struct.unpack_from(">HHB", data, found + 5)
            return _Frame(
                progressive=data[found + 1] in (0xC2, 0xC6, 0xCA, 0xCE),
                width=width,
                height=height,
                count=count,
                samplings=[data[at] for at in range(found + 11, min(found + 10 + 3 * count, len(data)), 3)],
                in_scan=data[place + 4],
            )
        place += 2 + max(length, 2)
    return None
