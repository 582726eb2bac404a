"""Decode TIFF pages with unusual samples (16 bits, floats, planes, other colours) through tifffile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from retrieval.sources.decoding.file_formats.sample_ranges import extremes, sample_range, scaled
from retrieval.sources.decoding.file_formats.tiff_pages import Page, with_first_page

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {
    WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3,
}  # fmt: skip
_NAMES = {
    WHITE_IS_ZERO: "grey (min is white)", BLACK_IS_ZERO: "grey", RGB: "RGB", PALETTE: "palette", 4: "mask", CMYK: "CMYK",
    YCBCR: "YCbCr", LAB: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "raw sensor data (CFA)", 32844: "LogL",
    32845: "LogLuv", 34892: "linear raw data",
}  # fmt: skip
COMPRESSIONS = {
    1: "uncompressed", 2: "CCITT", 3: "CCITT fax 3", 4: "CCITT fax 4", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "deflate",
    32773: "packbits", 32946: "deflate", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50000: "zstd", 50001: "WebP",
    50002: "JPEG XL", 52546: "JPEG XL", 34892: "lossy JPEG", 33003: "JPEG 2000", 33005: "JPEG 2000", 34934: "JPEG XR",
}  # fmt: skip
_JPEG, _OLD_JPEG = 7, 6
# What libtiff inside of Pillow reads.
_PILLOWS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000})
_LOSSLESS = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
_PREDICTED = frozenset({5, 8, 32946, 34925, 50000})


class UnsupportedTiff(Exception):
    """A page that is sound, as far as is known, but of a kind that nothing here reads."""


def describe(page: Page) -> str:
    """Say in a few words what kind of TIFF a page is."""
    bits = "/".join(str(value) for value in sorted(set(page.bits)))
    form = {1: "", 2: "signed ", 3: "floating-point ", 5: "complex integer ", 6: "complex "}.get(
        page.formats[0], ""
    )
    planes = ", one plane a colour" if page.planar else ""
    packed = COMPRESSIONS.get(page.compression, f"compression {page.compression}")
    colours = _NAMES.get(page.colours, f"photometric interpretation {page.colours}")
    return f"{colours}, {page.samples} x {bits} {form}bits{planes}, {packed}"


def is_plain(page: Page) -> bool:
    """Say whether Pillow reads such a page, and reads it right."""
    if page.compression not in _PILLOWS or page.depth > 1 or not set(page.formats) <= {1, 4}:
        return False
    if page.predictor != 1 and page.compression not in _PREDICTED:
        return False
    bits = set(page.bits)
    if page.samples == 1 and page.colours in (WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE):
        return len(page.bits) == 1 and bits <= {1, 2, 4, 8}
    if bits != {8} or len(page.bits) != page.samples or page.planar:
        return False
    if page.colours == BLACK_IS_ZERO:
        return page.samples == 2 and page.extra == (2,)
    if page.colours == RGB:
        return page.samples == 3 or (page.samples == 4 and page.extra in ((0,), (1,), (2,)))
    if page.colours == CMYK:
        return page.samples == 4 and page.inks == 1
    if page.colours == YCBCR:
        return page.samples == 3 and page.compression == _JPEG
    return page.colours == LAB and page.samples == 3


def pillow_reads(page: Page) -> bool:
    """Say whether Pillow hands out the samples of a page that is not plain: grey ones as they are, RGB of 16 bits as 8."""
    if page.compression not in _LOSSLESS or page.depth > 1 or page.planar or page.predictor == 3:
        return False
    if page.predictor == 2 and page.compression not in _PREDICTED:
        return False
    kind = (page.samples, page.bits, page.formats[0])
    if page.colours in (WHITE_IS_ZERO, BLACK_IS_ZERO):
        return kind in ((1, (16,), 1), (1, (32,), 3), (1, (32,), 2))
    return page.colours == RGB and kind == (3, (16, 16, 16), 1)


def sample_bytes(page: Page) -> int:
    """Return how many bytes one pixel takes while it is decoded here: its samples, and the result of 8 bits."""
    return max(1, page.samples) * ((max(page.bits) + 7) // 8) + 4


def read_samples(data: bytes, page: Page) -> Image.Image:
    """Return the page as L, LA, RGB or RGBA (alpha not premultiplied); its orientation is not applied.

    Raises:
        ImportError: tifffile or imagecodecs is not installed.
        UnsupportedTiff: neither reads this kind.
        Exception: whatever they raise on broken files.
    """
    import imagecodecs  # noqa: F401 -- tifffile needs it for every compression
    import tifffile

    logging.getLogger("tifffile").addHandler(
        logging.NullHandler()
    )  # its remarks name no file, and we give a reason
    with tifffile.TiffFile(with_first_page(data, page), _useframes=False) as file:
        tags = file.pages.first
        try:
            values = np.asarray(tags.asarray(maxworkers=1))
        except NotImplementedError as error:
            raise UnsupportedTiff(f"{describe(page)} ({_line(error)})") from error
        except ValueError as error:
            if any(word in str(error) for word in ("not supported", "not implemented", "cannot decompress")):
                raise UnsupportedTiff(f"{describe(page)} ({_line(error)})") from error
            raise
        if tags.axes.startswith("S"):
            values = np.moveaxis(values, 0, -1)
        colormap = tags.colormap if page.colours == PALETTE else None
        values = values.reshape(page.height, page.width, -1)  # (h, w, s)
        reference = tags.tags.valueof(532)  # ReferenceBlackWhite
        coefficients = tags.tags.valueof(529)
    return _picture(values, page, colormap=colormap, reference=reference, coefficients=coefficients)


def require_known(page: Page) -> None:
    """Tell kinds that are not read from numbers that no TIFF has.

    Raises:
        UnsupportedTiff: a kind that is not read.
        ValueError: no kind at all.
    """
    if page.colours not in _NAMES or page.compression not in COMPRESSIONS:
        raise ValueError(f"no TIFF is {describe(page)}")
    if page.samples < _COLOURS.get(page.colours, 1) or not set(page.formats) <= {1, 2, 3, 4, 5, 6}:
        raise ValueError(f"no TIFF is {describe(page)}")
    if page.bits == (5, 6, 5) or page.colours not in _COLOURS or page.depth > 1:
        raise UnsupportedTiff(describe(page))
    if len(set(page.bits)) > 1 or not 1 <= page.bits[0] <= 64:
        raise ValueError(f"no TIFF is {describe(page)}")
    if page.colours == CMYK and page.inks != 1:
        raise UnsupportedTiff(f"{describe(page)}, with other inks")
    if not set(page.formats) <= {1, 2, 3, 4}:
        raise UnsupportedTiff(describe(page))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _picture(
    values: NDArray[Any], page: Page, *, colormap: Any, reference: Any, coefficients: Any
) -> Image.Image:
    count = _COLOURS[page.colours]
    bits = 8 * values.dtype.itemsize if values.dtype.kind == "f" else max(page.bits)
    if page.colours == PALETTE:
        if colormap is None:
            raise ValueError("a palette image without its ColorMap")
        table = np.asarray(colormap).T  # (n, 3)
        table = (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8)
        index = values[..., 0].astype(np.intp, copy=False)
        return Image.fromarray(table[np.clip(index, 0, len(table) - 1)])
    colours = values[..., :count]
    least, greatest = extremes(colours)
    low, high = sample_range(least, greatest, kind=colours.dtype.kind, bits=bits, declared=page.declared)
    inverted = page.colours == WHITE_IS_ZERO
    made = scaled(colours, low, high, inverted=inverted)  # (h, w, c)
    alpha = None
    if values.shape[2] > count and page.extra[:1] in ((1,), (2,)):
        alpha = _alpha(values[..., count], bits=bits, high=high)
        if page.extra[0] == 1:
            made = _straight(made, alpha)
    del values, colours
    if page.colours == CMYK:
        image = Image.fromarray(made, "CMYK").convert("RGB")
    elif page.colours == YCBCR and (page.planar or page.compression not in (_JPEG, _OLD_JPEG)):
        image = _from_ycbcr(made, reference=reference, coefficients=coefficients)
    else:
        image = Image.fromarray(made[..., 0] if count == 1 else made)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image


def _alpha(values: NDArray[Any], *, bits: int, high: float) -> NDArray[np.uint8]:
    """Return opacity as 8 bits: of the range of the colours if it is within it, else of all that its bits can say."""
    greatest = float(values.max(initial=0))
    if values.dtype.kind == "f":
        top = 1.0 if greatest <= 1 else max(high, greatest)
    elif values.dtype.kind == "b":
        top = 1.0
    else:
        full = float((1 << (bits - (values.dtype.kind == "i"))) - 1)
        top = high if 0 < greatest <= high else full
    return scaled(values, 0.0, top)


def _straight(made: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return colours that were multiplied by their opacity without it."""
    result = np.empty_like(made)
    for row in range(len(made)):
        opacity = np.maximum(alpha[row, :, np.newaxis], 1).astype(np.uint16)
        result[row] = np.minimum((made[row].astype(np.uint16) * 255 + opacity // 2) // opacity, 255)
    return result


def _from_ycbcr(made: NDArray[np.uint8], *, reference: Any, coefficients: Any) -> Image.Image:
    """Return RGB of luma and colour differences, by the file's own coefficients and levels if it states any."""
    weights = [float(a) / float(b) for a, b in _pairs(coefficients, 3)] or [0.299, 0.587, 0.114]
    levels = [float(a) / float(b) for a, b in _pairs(reference, 6)] or [
        0.0,
        255.0,
        128.0,
        255.0,
        128.0,
        255.0,
    ]
    red, green, blue = weights
    result = np.empty_like(made)
    for row in range(len(made)):
        line = made[row].astype(np.float32)
        luma, blueness, redness = (
            (line[:, at] - levels[2 * at]) * (top / ((levels[2 * at + 1] - levels[2 * at]) or 1))
            for at, top in enumerate((255.0, 127.0, 127.0))
        )
        r = luma + redness * (2 - 2 * red)
        b = luma + blueness * (2 - 2 * blue)
        g = (luma - red * r - blue * b) / (green or 1)
        result[row] = np.rint(np.clip(np.stack([r, g, b], axis=-1), 0, 255))
    return Image.fromarray(result)


def _pairs(stated: Any, count: int) -> list[tuple[int, int]]:
    """Return rationals; nothing unless there are exactly ``count``, all with a denominator."""
    if not isinstance(stated, tuple) or len(stated) != 2 * count:
        return []
    pairs = [(int(stated[2 * at]), int(stated[2 * at + 1])) for at in range(count)]
    return pairs if all(below for _, below in pairs) else []
