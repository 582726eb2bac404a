"""Turn the bytes of an image file into upright RGB pixels, or into the reason why not."""

from __future__ import annotations

import importlib
import io
import os
import stat
import struct
import threading
import zlib
from contextlib import nullcontext
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image

from indexes.distribution import pip_install
from retrieval.errors import ImageError
from retrieval.formats import looks_cut, plugin_for, quiet
from retrieval.walk import os_reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "UPRIGHT",
    "ImageSource",
    "content_hash",
    "decode",
    "open_image",
    "orientation_of",
    "read_file",
]

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[np.uint8]"
"""A path, the bytes of an image file, an open binary file, a Pillow image, or ``(h, w, 3)`` uint8 RGB."""

MAX_PIXELS = 1 << 28
"""Width times height above which an image is refused: 16,384 squared, 1 GiB in Pillow's four bytes a pixel."""

MAX_BYTES = 8 * MAX_PIXELS
"""Size above which a file is refused unread: the most pixels at four channels of 16 bits, uncompressed."""

# Above this many pixels in memory one image is decoded at a time, so that many threads cannot hold many giants.
_LARGE = 1 << 26
_one_giant = threading.Lock()

_ORIENTATION = 0x0112  # EXIF 2.32, tag 274
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_OUT_OF_MEMORY = "out-of-memory"

_WHITE = (255, 255, 255)

# What Pillow and its plugins raise on broken files. Anything else is a bug, and propagates.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    AssertionError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def content_hash(data: bytes) -> bytes:
    """Return the BLAKE2b-128 of a file's bytes: equal for exact copies whatever their names."""
    return blake2b(data, digest_size=16).digest()


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Read an image file's bytes, once.

    Raises:
        ImageError: ``vanished``, ``permission``, ``not-a-file`` (a pipe or device is not opened), ``too-large`` (above
            `MAX_BYTES`), ``out-of-memory``, or ``read-error`` (another error of the system).
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise _error("not-a-file", path, "is not a regular file; name an image file")
        if status.st_size > MAX_BYTES:
            raise _error("too-large", path, f"has {status.st_size:,} bytes, the limit is {MAX_BYTES:,}")
        # Should a pipe take the file's place at this moment, opening it must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise _error(
            os_reason(error), path, f"cannot be read ({error.strerror or type(error).__name__})"
        ) from error
    except MemoryError as error:
        raise _error(_OUT_OF_MEMORY, path, "does not fit in memory now") from error


def decode(
    source: ImageSource,
    *,
    decode_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Return upright 8-bit RGB pixels: of an animation the first frame, what is transparent over white.

    The orientation that EXIF or XMP states is applied. Sixteen bits are scaled to eight; grey images of 32 bits by the
    least of the ranges 1 (floats only), 255 and 65,535 that holds their values, else from their least to their greatest. CMYK, YCbCr, Lab,
    HSV, palette, grey and black-and-white images are converted; colour profiles are not applied. A JPEG is decoded at
    1/2, 1/4 or 1/8 of its size straight from its cosine transform where that leaves enough pixels.

    Args:
        source: a path, the bytes of a file, an open binary file, a Pillow image (left unchanged), or an array, uint8,
            ``(h, w, 3)`` RGB or ``(h, w)`` grey.
        decode_size: the short side that a scaled decode keeps at least; an encoder asks for twice the size that it
            reads, which is then indistinguishable from a full decode. `None`: decode in full.
        max_pixels: width times height above which the image is refused.
        name: what messages call an image that has no path.
    Raises:
        ImageError: with the reason ``empty``, ``truncated``, ``unreadable`` (no image, or a broken one), ``too-large``,
            ``out-of-memory``, ``needs-heif`` (an optional decoder is missing), ``unsupported`` (an array of another shape),
            or one of `read_file`'s.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, name or "array")
    with quiet():
        if isinstance(source, Image.Image):
            return _from_pillow(source, max_pixels=max_pixels, name=name or "image")
        if isinstance(source, str | os.PathLike):
            return _from_bytes(
                read_file(source), decode_size=decode_size, max_pixels=max_pixels, name=name or source
            )
        data = bytes(source) if isinstance(source, bytes | bytearray | memoryview) else source.read()
        return _from_bytes(data, decode_size=decode_size, max_pixels=max_pixels, name=name or "image")


def _from_array(array: NDArray[Any], name: str | os.PathLike[str]) -> Image.Image:
    if (
        array.dtype != np.uint8
        or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3))
        or 0 in array.shape
    ):
        found = f"{array.dtype} {array.shape}"
        raise _error(
            "unsupported", name, f"is {found}; an image array is uint8, (h, w, 3) RGB or (h, w) grey"
        )
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")


def _from_pillow(image: Image.Image, *, max_pixels: int, name: str | os.PathLike[str]) -> Image.Image:
    _require_size(image.size, max_pixels=max_pixels, name=name)
    try:
        image.load()
        result = _rgb(_upright(image))
    except BROKEN as error:
        raise _broken(error, b"", name) from error
    return result.copy() if result is image else result


def _from_bytes(
    data: bytes, *, decode_size: int | None, max_pixels: int, name: str | os.PathLike[str]
) -> Image.Image:
    image = open_image(data, name=name)
    try:
        _require_size(image.size, max_pixels=max_pixels, name=name)
        if decode_size is not None:
            image.draft(None, (decode_size, decode_size))
        giant = image.size[0] * image.size[1] > _LARGE
        with _one_giant if giant else nullcontext():
            image.load()
            return _rgb(_upright(image))
    except ImageError:
        raise
    except BROKEN as error:
        raise _broken(error, data, name) from error


def open_image(data: bytes, *, name: str | os.PathLike[str]) -> Image.Image:
    """Open the bytes of an image file by their signature, its pixels not decoded yet.

    Not Pillow's own `Image.open`: that tries every format that Pillow knows, PostScript among them, and has a cap of its
    own that only a global of the whole process can move.

    Raises:
        ImageError: as `decode` does.
    """
    if not data:
        raise _error("empty", name, "is empty (0 bytes)")
    plugin = plugin_for(data)
    if plugin is None:
        raise _error("unreadable", name, "is no image of a known format, whatever its suffix says")
    try:
        module = importlib.import_module(plugin[0])
    except ImportError as error:
        raise _error("needs-heif", name, f"is HEIC; {pip_install('heif')} reads it") from error
    try:
        image: Image.Image = getattr(module, plugin[1])(io.BytesIO(data), "")
    except ImageError:
        raise
    except BROKEN as error:
        raise _broken(error, data, name) from error
    return image


def _require_size(size: tuple[int, int], *, max_pixels: int, name: str | os.PathLike[str]) -> None:
    if size[0] * size[1] > max_pixels:
        raise _error(
            "too-large", name, f"has {size[0]} x {size[1]} pixels, the limit is {max_pixels:,} in all"
        )


def orientation_of(image: Image.Image) -> int:
    """Return the orientation that the metadata state, 1 to 8; 1, upright, where they state none or cannot be read."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except BROKEN:
        return 1
    return orientation if isinstance(orientation, int) and orientation in UPRIGHT else 1


def _upright(image: Image.Image) -> Image.Image:
    """Apply the orientation that the metadata state."""
    turn = UPRIGHT.get(orientation_of(image))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    premultiplied = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    rgba = (image if premultiplied is None else image.convert(premultiplied)).convert("RGBA")
    alpha = rgba.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return rgba.convert("RGB")
    paper = Image.new("RGB", rgba.size, _WHITE)
    paper.paste(rgba, mask=alpha)
    return paper


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a deep grey image in eight bits, with an alpha channel if one of its values means transparent."""
    low, high = 0.0, 65535.0
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float32)  # (h, w)
    else:
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)  # (h, w)
        least, greatest = float(values.min()), float(values.max())
        tops = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        fitting = [top for top in tops if least >= 0 and greatest <= top]
        low, high = (0.0, fitting[0]) if fitting else (least, greatest)
    scaled = (values - low) * (255.0 / (high - low) if high > low else 0.0)
    grey = Image.fromarray(np.rint(scaled).astype(np.uint8))  # (h, w)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _broken(error: BaseException, data: bytes, name: str | os.PathLike[str]) -> ImageError:
    words = " ".join(str(error).split()) or type(error).__name__
    # Decoders written in C say it in words. Another time there may be room.
    if isinstance(error, MemoryError) or "out of memory" in words.lower():
        return _error(_OUT_OF_MEMORY, name, f"does not fit in memory now ({words})")
    if isinstance(error, Image.DecompressionBombError):
        return _error("too-large", name, f"is too large to decode ({words})")
    if isinstance(error, EOFError) or "truncated" in words.lower() or looks_cut(data):
        return _error("truncated", name, f"is cut short ({words})")
    return _error("unreadable", name, f"is broken ({words})")


def _error(reason: str, name: str | os.PathLike[str], what: str) -> ImageError:
    shown = os.fsencode(name).decode("utf-8", "backslashreplace")
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)
    return ImageError(f"{line}: {what}", reason=reason)
