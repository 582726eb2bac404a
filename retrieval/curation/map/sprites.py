"""Pack small pictures of many images into sheets: WebP images of 32 by 32 cells, 32 pixels each."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from indexes.engine import ThreadPool, allowed_cores
from retrieval.errors import ImageError
from retrieval.sources.decoding import decode
from retrieval.sources.media import decode_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from retrieval.collection.answers import Origin

SIZE: Final = 32
ACROSS: Final = 32
"""Cells of a sheet in each direction."""

_PER_SHEET: Final = ACROSS * ACROSS
_QUALITIES: Final = (80, 70, 60, 50, 40, 30)
_EFFORT: Final = 4
_THREADS: Final = 8
_SHAPE_STEPS: Final = 64
"""Codes of a shape for each doubling of width over height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprites:
    """Small pictures of images, in the images' order.

    Attributes:
        sheets: WebP files. Each picture is stretched to its cell; cells follow each other line by line.
        shapes: ``(n,)`` uint8: 128 for a square picture, 64 more where it is twice as wide; 0 where there is no picture.
        faults: why there is none, by the image's place.
        left_out: images behind the last sheet that there was room for.
    """

    sheets: tuple[bytes, ...]
    shapes: NDArray[np.uint8]
    faults: dict[int, str]
    left_out: int = 0


def sprite_sheets(
    images: Sequence[str | Origin],
    *,
    most_bytes: int,
    told: Callable[[int], None] = lambda _: None,
) -> Sprites:
    """Make the sheets of some images, as fine as there is room for.

    Args:
        images: where each is read from: a path, or an origin; empty for a row without a file.
        most_bytes: of all sheets together. If the coarsest are too large, the last images get no picture.
        told: is called with how many images are done.
    """
    sheets: list[bytes] = []
    shapes = np.zeros(len(images), dtype=np.uint8)
    faults: dict[int, str] = {}
    if not any(images):
        return Sprites(sheets=(), shapes=shapes, faults=faults)
    room = most_bytes
    number = -(-len(images) // _PER_SHEET)
    with ThreadPool(max_workers=min(_THREADS, allowed_cores())) as pool:
        for start in range(0, len(images), _PER_SHEET):
            some = images[start : start + _PER_SHEET]
            cells = np.full((_PER_SHEET, SIZE, SIZE, 3), 128, dtype=np.uint8)
            for place, (cell, found) in enumerate(pool.map(_cell, some)):
                if cell is None:
                    if found:
                        faults[start + place] = str(found)
                else:
                    cells[place], shapes[start + place] = cell, found
            sheet = _fitted(_laid_out(cells, len(some)), room // (number - len(sheets)))
            if sheet is None:
                shapes[start:] = 0
                return Sprites(
                    sheets=tuple(sheets), shapes=shapes, faults=faults, left_out=len(images) - start
                )
            sheets.append(sheet)
            room -= len(sheet)
            told(start + len(some))
    return Sprites(sheets=tuple(sheets), shapes=shapes, faults=faults)


def _cell(image: str | Origin) -> tuple[NDArray[np.uint8] | None, Any]:
    """Return an image as a cell, ``(32, 32, 3)``, and the code of its shape; or None and why there is none."""
    if not image:
        return None, ""
    try:
        picture = (
            decode_path(image, decode_size=2 * SIZE)
            if isinstance(image, str)
            else decode(image.read(), decode_size=2 * SIZE)
        )
    except ImageError as error:
        return None, error.reason
    shape = round(_SHAPE_STEPS * float(np.log2(picture.width / picture.height))) + 128
    small = picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS, reducing_gap=2)
    return np.asarray(small, dtype=np.uint8), min(max(shape, 1), 255)


def _laid_out(cells: NDArray[np.uint8], count: int) -> Image.Image:
    """Return a sheet of cells; lines without a picture are left out."""
    lines = -(-count // ACROSS)
    grid = cells.reshape(ACROSS, ACROSS, SIZE, SIZE, 3)[:lines]
    return Image.fromarray(grid.transpose(0, 2, 1, 3, 4).reshape(lines * SIZE, ACROSS * SIZE, 3))


def _fitted(sheet: Image.Image, most: int) -> bytes | None:
    """Return the finest file of a sheet that has at most so many bytes; None where the coarsest has more."""
    for quality in _QUALITIES:
        data = io.BytesIO()
        sheet.save(data, "WEBP", quality=quality, method=_EFFORT)
        if data.tell() <= most:
            return data.getvalue()
    return None
