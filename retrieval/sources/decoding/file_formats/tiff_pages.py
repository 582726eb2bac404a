"""Read what a TIFF file says of its pages, and choose the page to show: the largest."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_MOST_PAGES = 10_000
_MOST_VALUES = 4096  # of a tag; strips and tiles excepted
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType: a smaller version of another page, a mask for one
_SHAPES = {
    1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I",
    16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
_OFFSETS, _LENGTHS, _TILE_OFFSETS, _TILE_LENGTHS = 273, 279, 324, 325
_SUBIFDS = 330
_WANTED = frozenset({
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 279, 280, 281, 284, 317, 322, 324, 325, 330, 332, 338, 339, 340,
    341, 32997,
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One picture of a TIFF file, by its tags.

    Attributes:
        place: offset of its directory in the file.
        number: which page it is in the file's chain, from 0; None for a page below another one.
        bits, formats: of each sample; a format is 1 unsigned, 2 signed, 3 floating point.
        colours: PhotometricInterpretation.
        extra: what the samples beyond the colours mean: 0 nothing said, 1 premultiplied alpha, 2 alpha.
        planar: each colour has a plane of its own.
        inks: InkSet; 1 is CMYK.
        kind: NewSubfileType.
        depth: how many pictures lie one behind the other in a volume.
        orientation: 1 to 8 as in EXIF.
        predictor: 1 none, 2 differences, 3 differences of floats.
        big: it is a BigTIFF.
        declared: the range that the file states for its samples.
        missing: how many of its strips or tiles lie beyond the end of the file, of ``chunks``.
    """

    place: int
    number: int | None
    width: int
    height: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    colours: int
    compression: int
    samples: int
    extra: tuple[int, ...]
    planar: bool
    inks: int
    kind: int
    depth: int
    orientation: int
    predictor: int
    big: bool
    declared: tuple[float, float] | None
    chunks: int
    missing: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


@dataclass(slots=True)
class _File:
    data: bytes
    order: str
    big: bool
    seen: set[int] = field(default_factory=set)

    def number(self, shape: str, place: int) -> Any:
        return struct.unpack_from(self.order + shape, self.data, place)[0]


def read_pages(data: bytes) -> list[Page]:
    """Return the pages of a TIFF or BigTIFF, those below others (SubIFDs) included, as far as they can be read."""
    order = "<" if data[:2] == b"II" else ">"
    file = _File(data, order, data[2:4] in (b"+\0", b"\0+"))
    pages: list[Page] = []
    try:
        place = file.number("Q", 8) if file.big else file.number("I", 4)
    except struct.error:
        return []
    number = 0
    while place and place not in file.seen and len(pages) < _MOST_PAGES:
        place = _add(file, place, number, pages)
        number += 1
    return pages


def choose_page(pages: list[Page]) -> Page | None:
    """Return the largest page, of equals the first; masks and reduced versions only if there is nothing else."""
    whole = [page for page in pages if page.pixels and not page.kind & (_REDUCED | _MASK)]
    return max(whole or [page for page in pages if page.pixels], key=lambda page: page.pixels, default=None)


def with_first_page(data: bytes, page: Page) -> io.BytesIO:
    """Return the file with ``page`` as its first one; the bytes are copied unless it is that already."""
    file = io.BytesIO(data)
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    if struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0] != page.place:
        file.seek(8 if big else 4)
        file.write(struct.pack(order + ("Q" if big else "I"), page.place))
        file.seek(0)
    return file


def _add(file: _File, place: int, number: int | None, pages: list[Page]) -> int:
    """Add the page at ``place`` and those below it; return where the next one is, 0 if nowhere."""
    file.seen.add(place)
    entry, width = (20, 8) if file.big else (12, 4)
    try:
        count = file.number("Q" if file.big else "H", place)
        first = place + (8 if file.big else 2)
        last = first + entry * count
        tags = {}
        for at in range(first, min(last, len(file.data) - entry + 1), entry):
            tag = file.number("H", at)
            if tag in _WANTED:
                tags[tag] = _values(file, at, width)
    except struct.error:
        return 0
    below = tags.get(_SUBIFDS, ())
    pages.append(_page(file, place, number, tags))
    for child in below:
        if isinstance(child, int) and child and child not in file.seen and len(pages) < _MOST_PAGES:
            _add(file, child, None, pages)
    try:
        following: int = file.number("Q" if file.big else "I", last)
    except struct.error:
        return 0
    return following


def _values(file: _File, at: int, width: int) -> tuple[Any, ...]:
    """Return the values of the tag at ``at``; none where they lie beyond the file or make no sense."""
    tag, kind = file.number("H", at), file.number("H", at + 2)
    count = file.number("Q" if width == 8 else "I", at + 4)
    shape = _SHAPES.get(kind)
    if shape is None:
        return ()
    size = struct.calcsize("<" + shape) * count
    place = at + (12 if width == 8 else 8)
    if size > width:
        place = file.number("Q" if width == 8 else "I", place)
    if place + size > len(file.data):
        return ()
    if tag in (_OFFSETS, _LENGTHS, _TILE_OFFSETS, _TILE_LENGTHS) and kind in (3, 4, 16):
        array = np.frombuffer(file.data, np.dtype(file.order + shape), count, place)
        return (array,)
    if count > _MOST_VALUES or shape in ("s", "II", "ii"):
        return ()
    return struct.unpack_from(f"{file.order}{count}{shape}", file.data, place)


def _page(file: _File, place: int, number: int | None, tags: dict[int, tuple[Any, ...]]) -> Page:
    def one(tag: int, default: int) -> int:
        values = tags.get(tag, ())
        return int(values[0]) if values and isinstance(values[0], int) else default

    samples = one(277, 1)
    kind = one(254, 0) & 0xFFFF
    if 254 not in tags and one(255, 1) == 2:
        kind = _REDUCED
    chunks, missing = _beyond(file, tags)
    return Page(
        place=place,
        number=number,
        width=max(0, one(256, 0)),
        height=max(0, one(257, 0)),
        bits=tags.get(258) or (1,),
        formats=tags.get(339) or (1,),
        colours=one(262, 0),
        compression=one(259, 1),
        samples=samples,
        extra=tuple(value for value in tags.get(338, ()) if isinstance(value, int)),
        planar=one(284, 1) == 2 and samples > 1,
        inks=one(332, 1),
        kind=kind,
        depth=one(32997, 1),
        orientation=one(274, 1),
        predictor=one(317, 1),
        big=file.big,
        declared=_declared(tags),
        chunks=chunks,
        missing=missing,
    )


def _declared(tags: dict[int, tuple[Any, ...]]) -> tuple[float, float] | None:
    """Return the range that the samples are said to have; None where none, or none that makes sense, is stated."""
    for low_tag, high_tag in ((340, 341), (280, 281)):
        highs = [float(value) for value in tags.get(high_tag, ()) if isinstance(value, int | float)]
        lows = [float(value) for value in tags.get(low_tag, ()) if isinstance(value, int | float)] or [0.0]
        if highs and np.isfinite([*lows, *highs]).all() and min(lows) < max(highs):
            return min(lows), max(highs)
    return None


def _beyond(file: _File, tags: dict[int, tuple[Any, ...]]) -> tuple[int, int]:
    """Return the number of strips or tiles, and how many of them do not lie within the file."""
    for offsets_tag, lengths_tag in ((_TILE_OFFSETS, _TILE_LENGTHS), (_OFFSETS, _LENGTHS)):
        offsets, lengths = tags.get(offsets_tag), tags.get(lengths_tag)
        if offsets and lengths and isinstance(offsets[0], np.ndarray) and isinstance(lengths[0], np.ndarray):
            count = min(len(offsets[0]), len(lengths[0]))
            ends = offsets[0][:count].astype(np.float64) + lengths[0][:count].astype(np.float64)
            return count, int((ends > len(file.data)).sum())
    return 0, 0
