"""Decode an image file into upright RGB pixels, or say why not."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image

from retrieval.errors import ImageError
from retrieval.sources.decoding.budget import DECODED_BYTES
from retrieval.sources.decoding.colours import UPRIGHT, conversion_bytes, mode_bytes, reduced, rgb
from retrieval.sources.decoding.formats import quiet
from retrieval.sources.decoding.image_files import OpenedFile, open_file, orientation_of
from retrieval.sources.decoding.os_reasons import os_reason
from retrieval.sources.decoding.reasons import BROKEN, broken, image_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from retrieval.sources.decoding.file_formats import Page

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[np.uint8]"
"""A path, the bytes of an image file, an open binary file, a Pillow image, or an array of uint8 pixels: grey, RGB or RGBA."""

MAX_PIXELS = DECODED_BYTES.capacity // 4
"""Pixels of four bytes that a decoded image may have: 8,192 squared, 256 MiB."""

_FREE_BYTES = 16 << 20  # of a file, that do not count as memory beside its pixels


def content_hash(data: bytes) -> bytes:
    """Return the BLAKE2b-128 of a file's bytes: equal for exact copies whatever their names."""
    return blake2b(data, digest_size=16).digest()


def read_file(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> bytes:
    """Read an image file's bytes, once.

    Raises:
        ImageError: ``vanished``, ``permission``, ``not-a-file`` (a pipe or device is not opened), ``too-large`` (of more
            bytes than ``max_pixels`` pixels have), ``out-of-memory``, or ``read-error`` (another error of the system).
    """
    with _told(path):
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            refuse_large(path, status.st_size, max_pixels=max_pixels)
        return _bytes_of(path, status, -1)


def refuse_large(name: str | os.PathLike[str], size: int, *, max_pixels: int | None = None) -> None:
    """Refuse an image of more bytes than ``max_pixels`` pixels have, before it is read.

    Raises:
        ImageError: ``too-large``.
    """
    most = 4 * (max_pixels or MAX_PIXELS)
    if size > most:
        raise image_error(
            "too-large",
            name,
            f"has {size:,} bytes, the limit is {most:,}; --max-pixels {-(-size // 4)} reads it",
        )


def read_file_head(path: str | os.PathLike[str], size: int) -> bytes:
    """Read the first ``size`` bytes of an image file, or all where there are fewer; raises as `read_file`."""
    with _told(path):
        return _bytes_of(path, os.stat(path), size)


def _bytes_of(path: str | os.PathLike[str], status: os.stat_result, size: int) -> bytes:
    if not stat.S_ISREG(status.st_mode):
        raise image_error("not-a-file", path, "is not a regular file; name an image file")
    # Should a pipe take the file's place at this moment, opening it must not wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:
        data: bytes | None = file.read(size)
    if data is None:  # a file of the kernel's, such as /proc/kmsg: a regular one, and yet it would wait
        raise image_error("read-error", path, "has nothing to read now")
    return data


@contextmanager
def _told(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except ImageError:  # which is a ValueError, too
        raise
    except ValueError as error:  # a NUL, or half a character
        raise image_error(
            "vanished", ascii(os.fspath(path)), "cannot be read (no file can have this name)"
        ) from error
    except OSError as error:
        raise image_error(
            os_reason(error), path, f"cannot be read ({error.strerror or type(error).__name__})"
        ) from error
    except MemoryError as error:
        raise image_error("out-of-memory", path, "does not fit in memory now") from error


def decode(
    source: ImageSource,
    *,
    decode_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Return upright 8-bit RGB pixels: of an animation the first frame, of a TIFF the largest page, what is transparent over white.

    The orientation that EXIF or XMP states is applied. Deep samples are scaled to eight bits as
    `retrieval.sources.decoding.file_formats.sample_ranges` says. CMYK, YCbCr, Lab, HSV, palette, grey and black-and-white images are converted; colour
    profiles are not applied. A JPEG is decoded at 1/2, 1/4 or 1/8 of its size straight from its cosine transform where that
    leaves enough pixels. Other images that would not fit otherwise are made smaller band by band.

    A JPEG whose end is missing is decoded if at most `MOST_MISSING` of the picture is; ``info["incomplete"]`` of the result
    then says how much.

    Args:
        source: a path, the bytes of a file, an open binary file, a Pillow image (left unchanged), or an array, uint8,
            ``(h, w, 3)`` RGB, ``(h, w, 4)`` RGBA or ``(h, w)`` grey.
        decode_size: the short side that a scaled decode keeps at least; an encoder asks for twice the size that it
            reads, which is then indistinguishable from a full decode. `None`: decode in full.
        max_pixels: how many pixels of four bytes the decoded image may have; grey and palette images have one byte.
        name: what messages call an image that has no path.
    Raises:
        ImageError: with the reason ``empty``, ``truncated``, ``unreadable`` (no image, or a broken one), ``too-large``,
            ``out-of-memory``, ``needs-heif`` or ``needs-tiff`` (an optional decoder is missing), ``unsupported`` (an array of
            another shape, or a kind of TIFF that is not read), or one of `read_file`'s.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, name or "array")
    with quiet():
        if isinstance(source, Image.Image):
            return _from_pillow(source, max_pixels=max_pixels, name=name or "image")
        if isinstance(source, str | os.PathLike):
            data = read_file(source, max_pixels=max_pixels)
        else:
            data = bytes(source) if isinstance(source, bytes | bytearray | memoryview) else source.read()
            source = "image"
        with loaded(data, decode_size=decode_size, max_pixels=max_pixels, name=name or source) as image:
            return image.shown()


def _from_array(array: NDArray[Any], name: str | os.PathLike[str]) -> Image.Image:
    if (
        array.dtype != np.uint8
        or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in {3, 4}))
        or 0 in array.shape
    ):
        found = f"{array.dtype} {array.shape}"
        raise image_error(
            "unsupported",
            name,
            f"is {found}; an image array is uint8, (h, w, 3) RGB, (h, w, 4) RGBA or (h, w) grey",
        )
    return rgb(Image.fromarray(np.ascontiguousarray(array)))


def _from_pillow(image: Image.Image, *, max_pixels: int, name: str | os.PathLike[str]) -> Image.Image:
    _require_room(image.width * image.height * mode_bytes(image.mode), image.size, max_pixels, name)
    try:
        image.load()
        result = rgb(_turned(image, orientation_of(image)))
    except BROKEN as error:
        raise broken(error, b"", name) from error
    return result.copy() if result is image else result


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A decoded image as its file has it.

    Attributes:
        image: in its own mode, not turned upright.
        tags: the same, or what holds the metadata of its file.
        page: of a TIFF file.
        orientation: 1 to 8 as in EXIF.
        factor: by how much it is made smaller before it is converted.
    """

    image: Image.Image
    tags: Image.Image
    page: Page | None
    orientation: int
    factor: int = 1

    def shown(self) -> Image.Image:
        """Return the image as upright RGB; called once, since it gives up the decoded image."""
        image = self.image
        incomplete = image.info.get("incomplete")
        if self.factor > 1:
            image = reduced(image, self.factor, page=self.page)
            result = _turned(image, self.orientation)
        else:
            result = rgb(_turned(image, self.orientation), page=self.page)
        if incomplete is not None:
            result.info["incomplete"] = incomplete
        return result


@contextmanager
def loaded(
    data: bytes,
    *,
    decode_size: int | None,
    max_pixels: int,
    name: str | os.PathLike[str],
    examine: Callable[[OpenedFile], None] | None = None,
) -> Iterator[Loaded]:
    """Decode the bytes of an image file; the memory counts as taken until the block ends.

    ``examine`` is called before the pixels are decoded, and may refuse the file.

    Raises:
        ImageError: as `decode` does, also for what goes wrong within the block.
    """
    opened = open_file(data, name=name)
    try:
        if examine is not None:
            examine(opened)
        opened.draft(decode_size)
        cost = _cost(opened, decode_size)
        _require_room(cost.least + max(0, len(data) - _FREE_BYTES), opened.size, max_pixels, name)
        factor = cost.factor if cost.whole > min(max_pixels, DECODED_BYTES.capacity // 4) else 1
        held = (cost.least if factor > 1 else cost.whole) + cost.codec + max(0, len(data) - _FREE_BYTES)
        with DECODED_BYTES.hold(held):
            image = opened.load(decode_size)  # before the orientation, for which Pillow may read a whole PNG
            yield Loaded(
                image=image,
                tags=image if examine is None else opened.tags or image,
                page=opened.page,
                orientation=opened.orientation,
                factor=factor,
            )
    except ImageError:
        raise
    except BROKEN as error:
        raise broken(error, data, name) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cost:
    """What an image takes in memory: at least, and converted at full size; inside of its codec; the factor that saves the rest."""

    least: int
    whole: int
    codec: int
    factor: int


def _cost(opened: OpenedFile, decode_size: int | None) -> _Cost:
    image, size = opened.image, opened.size
    pixels = size[0] * size[1]
    native = opened.pixel_bytes * pixels + opened.coefficients
    whole = native + pixels * conversion_bytes(
        opened.mode,
        turned=opened.may_turn,
        transparent=image is not None and "transparency" in image.info,
    )
    factor = 1 if decode_size is None else max(1, min(size) // decode_size)
    least = native + 4 * pixels if factor == 1 and opened.mode != "RGB" else native
    return _Cost(least=least, whole=whole, codec=pixels * opened.codec_bytes, factor=factor)


def _require_room(
    size_bytes: int, size: tuple[int, int], max_pixels: int, name: str | os.PathLike[str]
) -> None:
    if size_bytes > 4 * max_pixels:
        raise image_error(
            "too-large",
            name,
            f"has {size[0]} x {size[1]} pixels, the limit is {max_pixels:,} pixels of 4 bytes; "
            f"--max-pixels {-(-size_bytes // 4)} reads it",
        )


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    turn = UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)
