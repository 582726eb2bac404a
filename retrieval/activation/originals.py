"""Read an image with its metadata, and write its copy in the same format."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from retrieval.activation.pixels import noticeable
from retrieval.errors import ImageError
from retrieval.sources.decoding import BROKEN, MAX_PIXELS, UPRIGHT, describe, loaded, quiet

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from retrieval.activation.pixels import Pixels
    from retrieval.sources.decoding import OpenedFile

FORMATS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
"""Formats of published copies, with their suffixes."""

JPEG_QUALITY = 95
LONGEST = 32  # times the short side; beyond it an encoder sees next to nothing of what is changed

_ORIENTATION = 0x0112
_BACK = UPRIGHT | {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}  # the others undo themselves
_COLOUR_MODES = (
    "RGB",
    "RGBA",
    "RGBX",
    "RGBa",
    "P",
    "PA",
    "L",
    "LA",
    "La",
    "1",
    "I;16",
    "I;16B",
    "I;16L",
    "I;16N",
)
_GREY_MODES = ("L", "LA", "La", "1", "I;16", "I;16B", "I;16L", "I;16N")
_TOLD = (270, 271, 272, 305, 306, 315, 33432)  # description, make, model, software, time, artist, copyright
_EXIF_PART, _GPS_PART = 0x8769, 0x8825
_XMP = "XML:com.adobe.xmp"
_UNREADABLE = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """An image as it is shown, and what its file says beside the pixels.

    Attributes:
        pixels: ``(h, w, 3)`` uint8 RGB, upright.
        alpha: ``(h, w)`` uint8; None for an opaque image.
        grey: the file has one channel of luminance.
        seen: ``(h, w, 3)`` uint8, what is transparent over white: what an encoder sees.
        noticeable: ``(h, w)`` float32, the change that shows at each pixel.
        orientation: how the file stores it, 1 to 8 as in EXIF.
        exif, icc, xmp: raw metadata; None where there are none.
        dpi: dots per inch, if stated.
        notes: what a published copy will not have as this file does.
    """

    pixels: Pixels
    alpha: NDArray[np.uint8] | None
    grey: bool
    seen: Pixels
    noticeable: NDArray[np.float32]
    orientation: int
    exif: bytes | None
    icc: bytes | None
    xmp: bytes | None
    dpi: tuple[float, float] | None
    notes: tuple[str, ...] = ()


def read_original(data: bytes, *, name: str | os.PathLike[str]) -> Original:
    """Read an image file's bytes.

    Args:
        data: of the file.
        name: for messages.
    Raises:
        ImageError: no readable image, or one that a copy could not do justice to, with the reason ``animated``, ``pages``,
            ``colour-mode`` (CMYK, Lab, 32 bits) or ``too-long``.
    """
    notes: tuple[str, ...] = ()

    def examine(opened: OpenedFile) -> None:
        nonlocal notes
        _require_plain(opened)
        notes = _notes(opened)

    with (
        quiet(),
        loaded(data, decode_size=None, max_pixels=MAX_PIXELS, name=name, examine=examine) as picture,
    ):
        image, orientation = picture.image, picture.orientation
        exif, icc, xmp = _metadata(picture.tags, orientation)
        if exif == _UNREADABLE:
            exif, notes = None, (*notes, "its EXIF cannot be read and is left out")
        seen = np.asarray(picture.shown())  # (h, w, 3)
        pixels, alpha = seen, None
        if image.has_transparency_data and not image.mode.startswith("I"):
            premultiplied = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
            rgba = image if premultiplied is None else image.convert(premultiplied)
            upright = rgba.convert("RGBA")
            if orientation != 1:
                upright = upright.transpose(UPRIGHT[orientation])
            both = np.asarray(upright)  # (h, w, 4)
            if int(both[..., 3].min()) < 255:
                pixels, alpha = np.ascontiguousarray(both[..., :3]), np.ascontiguousarray(both[..., 3])
    return Original(
        pixels=pixels,
        alpha=alpha,
        grey=image.mode in _GREY_MODES,
        seen=seen,
        noticeable=noticeable(seen),
        orientation=orientation,
        exif=exif,
        icc=icc,
        xmp=xmp,
        dpi=_resolution(picture.tags.info.get("dpi")),
        notes=notes,
    )


def published(original: Original, pixels: Pixels, *, form: str, quality: int | None) -> bytes:
    """Return the file of a changed copy: its metadata and its orientation are the original's.

    Args:
        original: what it is a copy of.
        pixels: ``(h, w, 3)`` uint8 RGB, upright; a grey image's channels are equal.
        form: one of `FORMATS`.
        quality: 1 to 100 of JPEG, by default `JPEG_QUALITY`, or of lossy WebP, which is lossless by default; not for PNG.
    Raises:
        ImageError: the format cannot hold it: too many pixels a side, or too many bytes of metadata.
    """
    if original.grey:
        image = Image.fromarray(np.ascontiguousarray(pixels[..., 0]))
    else:
        image = Image.fromarray(pixels)
    if original.alpha is not None:
        alpha = Image.fromarray(original.alpha)
        if form == "jpeg":
            paper = Image.new(image.mode, image.size, "white")
            paper.paste(image, mask=alpha)
            image = paper
        else:
            image.putalpha(alpha)
    if original.orientation != 1:
        image = image.transpose(_BACK[original.orientation])
    icc = None if original.grey and form == "webp" else original.icc  # a grey profile does not fit WebP's RGB
    options: dict[str, Any] = {"exif": original.exif, "icc_profile": icc}
    if form == "jpeg":
        # Chroma at full size: at half of it, most of what was changed would be gone.
        options |= {"quality": quality or JPEG_QUALITY, "subsampling": 0, "optimize": True}
    if form == "webp":
        options |= {"lossless": True} if quality is None else {"quality": quality}
        options |= {"exact": True}
    if original.dpi is not None and form != "webp":
        options |= {"dpi": original.dpi}
    if original.xmp is not None:
        if form == "png":
            chunks = PngImagePlugin.PngInfo()
            chunks.add_itxt(_XMP, original.xmp.decode("utf-8", "replace"))
            options |= {"pnginfo": chunks}
        else:
            options |= {"xmp": original.xmp}
    file = io.BytesIO()
    try:
        image.save(file, form.upper(), **{key: value for key, value in options.items() if value is not None})
    except BROKEN as error:
        raise ImageError(
            f"cannot be written as {form} ({error}); choose another `format`", reason="format"
        ) from error
    return file.getvalue()


def lossless(form: str, quality: int | None) -> bool:
    """Say whether a format of copies keeps every pixel."""
    return form == "png" or (form == "webp" and quality is None)


def _require_plain(opened: OpenedFile) -> None:
    name, image = opened.name, opened.image
    frames = opened.pages if image is None or image.format == "TIFF" else int(getattr(image, "n_frames", 1))
    if frames > 1 and (image is None or image.format != "MPO"):
        word, reason = ("pages", "pages") if opened.page is not None else ("frames", "animated")
        raise ImageError(
            f"{name}: has {frames} {word}, and a copy would have one; activate a still image", reason=reason
        )
    page = opened.page
    if (
        page is not None
        and image is None
        and not (set(page.formats) <= {1, 4} and max(page.bits) <= 16 and page.colours < 5)
    ):
        raise ImageError(
            f"{name}: is {describe(page)}, which a copy in 8-bit RGB would not keep; convert it first",
            reason="colour-mode",
        )
    if opened.mode not in _COLOUR_MODES:
        raise ImageError(
            f"{name}: is {opened.mode}, which a copy in 8-bit RGB would not keep; convert it first",
            reason="colour-mode",
        )
    width, height = opened.size
    if max(width, height) > LONGEST * min(width, height):
        raise ImageError(
            f"{name}: is {width} x {height} pixels, more than {LONGEST} times as long as wide; "
            "cut it into parts first",
            reason="too-long",
        )


def _notes(opened: OpenedFile) -> tuple[str, ...]:
    notes = []
    image = opened.image
    if image is not None and image.format == "MPO" and int(getattr(image, "n_frames", 1)) > 1:
        notes.append("the file's further pictures are left out")
    if (depth := _depth(opened)) > 8:
        notes.append(f"{depth} bits a channel became 8")
    return tuple(notes)


def _depth(opened: OpenedFile) -> int:
    """Return how many bits a channel has in the file, also where Pillow hands out 8."""
    if opened.page is not None:
        return max(opened.page.bits)
    if opened.image is not None and opened.image.format == "PNG":
        return opened.data[24]  # of IHDR, after width and height
    return 16 if opened.mode.startswith("I;16") else 8


def _metadata(image: Image.Image, orientation: int) -> tuple[bytes | None, bytes | None, bytes | None]:
    raw = image.info.get("exif")
    exif = raw if isinstance(raw, bytes) and raw else None
    try:
        if exif is None or _stated(exif) != orientation:
            exif = _restated(image.getexif(), orientation, has=exif is not None)
    except BROKEN:
        exif = _UNREADABLE
    icc = image.info.get("icc_profile")
    xmp = image.info.get("xmp") or image.info.get(_XMP)
    if isinstance(xmp, str):
        xmp = xmp.encode()
    return (
        exif,
        icc if isinstance(icc, bytes) and icc else None,
        xmp if isinstance(xmp, bytes) and xmp else None,
    )


def _resolution(stated: object) -> tuple[float, float] | None:
    """Return dots per inch across and down, None where that is no number."""
    if not isinstance(stated, tuple) or len(stated) != 2:
        return None
    try:
        across, down = float(stated[0]), float(stated[1])
    except BROKEN:
        return None
    return (across, down) if math.isfinite(across) and math.isfinite(down) and min(across, down) > 0 else None


def _restated(tags: Image.Exif, orientation: int, *, has: bool) -> bytes | None:
    """Return EXIF for what the file states elsewhere (XMP, a TIFF's own tags), None if that is nothing."""
    if has:
        tags[_ORIENTATION] = orientation
        return tags.tobytes()
    told = Image.Exif()
    for tag in _TOLD:
        if tag in tags:
            told[tag] = tags[tag]
    for part in (_EXIF_PART, _GPS_PART):
        if inside := tags.get_ifd(part):
            told.get_ifd(part).update(inside)
    if orientation != 1:
        told[_ORIENTATION] = orientation
    return told.tobytes() if len(told) or told.get_ifd(_EXIF_PART) or told.get_ifd(_GPS_PART) else None


def _stated(exif: bytes) -> int:
    tags = Image.Exif()
    tags.load(exif)
    value = tags.get(_ORIENTATION)
    return value if isinstance(value, int) and value in UPRIGHT else 1
