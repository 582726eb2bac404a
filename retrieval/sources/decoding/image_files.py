"""Open the bytes of an image file by their signature, and decode its pixels as the file has them."""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image, JpegImagePlugin

from indexes.distribution import pip_install
from retrieval.errors import ImageError
from retrieval.sources.decoding.colours import UPRIGHT, mode_bytes
from retrieval.sources.decoding.file_formats import (
    UnsupportedTiff,
    all_scans_begun,
    block_height,
    choose_page,
    coefficient_bytes,
    describe,
    endings,
    has_raw_signature,
    holds_sensor_data,
    is_plain,
    missing_part,
    pillow_reads,
    preview,
    read_pages,
    read_samples,
    readable_png,
    require_known,
    sample_bytes,
    transparent_value,
    with_first_page,
)
from retrieval.sources.decoding.formats import plugin_for
from retrieval.sources.decoding.reasons import BROKEN, broken, image_error

if TYPE_CHECKING:
    import os

    from retrieval.sources.decoding.file_formats import Page

MOST_MISSING = 1 / 16
"""How much of a JPEG's picture may be missing at its end."""

# What the codecs of some formats hold beside the decoded image, in bytes a pixel.
_CODEC_BYTES = {"WEBP": 8, "AVIF": 10, "HEIF": 10}

_XMP = "XML:com.adobe.xmp"
_ORIENTATION = 0x0112  # EXIF 2.32, tag 274
# Of a histogram of three bands: high bytes that samples of 14 bits or fewer do not have.
_FULL = [at for at in range(768) if at % 256 >= 64]


@dataclass(slots=True, kw_only=True)
class OpenedFile:
    """An image file whose pixels are not decoded yet.

    Attributes:
        data: of the file, as far as it is needed.
        image: as Pillow sees it; None for a TIFF page that is decoded by tifffile.
        page: of a TIFF file.
        pages: how many pages a TIFF file has; 1 for other files.
        coefficients: bytes that a JPEG's decoder holds beside the pixels.
    """

    data: bytes
    name: str | os.PathLike[str]
    image: Image.Image | None
    page: Page | None = None
    pages: int = 1
    coefficients: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as they will be decoded."""
        if self.image is not None:
            return self.image.size
        assert self.page is not None  # noqa: S101 -- for the type checker
        return self.page.width, self.page.height

    @property
    def mode(self) -> str:
        """Pillow's word for the colours."""
        return "RGB" if self.image is None else self.image.mode

    @property
    def pixel_bytes(self) -> int:
        """How many bytes a pixel takes while it is decoded."""
        if self.image is None and self.page is not None:
            return sample_bytes(self.page)
        return mode_bytes(self.mode)

    @property
    def codec_bytes(self) -> int:
        """How many bytes a pixel takes inside of the codec beside that."""
        return 0 if self.image is None else _CODEC_BYTES.get(self.image.format or "", 0)

    @property
    def may_turn(self) -> bool:
        """Say whether there are metadata that may state an orientation."""
        if self.page is not None:
            return self.page.orientation != 1
        return self.image is not None and any(key in self.image.info for key in ("exif", "xmp", _XMP))

    @property
    def orientation(self) -> int:
        """What the metadata state, 1 to 8 as in EXIF; to be asked after `load`."""
        if self.image is not None:
            return orientation_of(self.image)
        return self.page.orientation if self.page is not None else 1

    @property
    def tags(self) -> Image.Image | None:
        """What holds the metadata: the image itself, or a TIFF page as Pillow sees it, if it can."""
        from PIL import TiffImagePlugin

        if self.image is not None or self.page is None:
            return self.image
        try:
            return TiffImagePlugin.TiffImageFile(with_first_page(self.data, self.page), "")
        except BROKEN:
            return None

    def draft(self, decode_size: int | None) -> None:
        """Have a JPEG decoded at a fraction of its size."""
        if decode_size is not None and self.image is not None:
            self.image.draft(None, (decode_size, decode_size))

    def load(self, decode_size: int | None = None) -> Image.Image:
        """Return the decoded image.

        Raises:
            ImageError: ``truncated``, ``unsupported`` or ``needs-tiff``.
            OSError, …: one of `BROKEN`: the file is broken.
        """
        if self.image is None:
            return self._samples()
        try:
            self.image.load()
        except OSError as error:
            if self.image.format in ("JPEG", "MPO") and "truncated" in str(error):
                return self._completed(decode_size, error)
            if self.page is None or not _has_tifffile():
                raise
            try:
                return self._samples()  # tifffile reads kinds that Pillow does not
            except BROKEN:
                raise error from None
        if self.page is not None and max(self.page.bits) == 16 and _nearly_black(self.image):
            raise self.needs_tiff()
        return self.image

    def _completed(self, decode_size: int | None, error: OSError) -> Image.Image:
        """Return what there is of a JPEG that is cut short."""
        for one, two in endings(self.data):
            try:
                image, full = _jpeg(one, decode_size)
                if all_scans_begun(self.data):
                    return image
                other, _ = _jpeg(two, decode_size)
            except BROKEN:
                continue
            block = block_height(self.data, full=full, shown=image.height)
            missing = missing_part(image, other, block=block)
            if missing > MOST_MISSING:
                raise image_error(
                    "truncated", self.name, f"is cut short: {missing:.0%} of the picture is missing"
                )
            if missing > 0:
                image.info["incomplete"] = f"is cut short: {missing:.1%} of the picture is missing"
            return image
        raise error

    def _samples(self) -> Image.Image:
        page = self.page
        assert page is not None  # noqa: S101 -- for the type checker
        if page.missing:
            raise image_error(
                "truncated",
                self.name,
                f"is cut short: {page.missing} of {page.chunks} strips or tiles lie behind its end",
            )
        try:
            return read_samples(self.data, page)
        except UnsupportedTiff as error:
            raise self.unsupported(str(error)) from error
        except ImportError as error:
            raise self.needs_tiff() from error
        except BROKEN:
            raise
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error

    def unsupported(self, what: str) -> ImageError:
        """Return the error for a kind of TIFF that nothing here reads."""
        return image_error(
            "unsupported", self.name, f"is a kind of TIFF that is not read ({what}); convert it"
        )

    def needs_tiff(self) -> ImageError:
        """Return the error for a kind of TIFF that the extra `tiff` reads."""
        assert self.page is not None  # noqa: S101 -- for the type checker
        return image_error(
            "needs-tiff", self.name, f"is a TIFF of {describe(self.page)}; {pip_install('tiff')} reads it"
        )


def open_file(data: bytes, *, name: str | os.PathLike[str]) -> OpenedFile:
    """Open the bytes of an image file by their signature.

    Not Pillow's own `Image.open`: that tries every format that Pillow knows, PostScript among them, and has a cap of its
    own that only a global of the whole process can move.

    Raises:
        ImageError: as `retrieval.sources.decoding.decoder.decode` does.
    """
    if not data:
        raise image_error("empty", name, "is empty (0 bytes)")
    if has_raw_signature(data):
        data = preview(data, name=name)
    plugin = plugin_for(data)
    if plugin is None:
        raise image_error("unreadable", name, "is no image of a known format, whatever its suffix says")
    try:
        if plugin[1] == "TiffImageFile":
            return _open_tiff(data, name)
        if plugin[1] == "PngImageFile":
            return _open_png(data, name)
        try:
            module = importlib.import_module(plugin[0])
        except ImportError as error:
            raise image_error("needs-heif", name, f"is HEIC; {pip_install('heif')} reads it") from error
        reader: Any = _webp_reader() if plugin[1] == "WebPImageFile" else getattr(module, plugin[1])
        image: Image.Image = reader(io.BytesIO(data), "")
    except ImageError:
        raise
    except BROKEN as error:
        raise broken(error, data, name) from error
    coefficients = 0
    if image.format in ("JPEG", "MPO"):
        counted = coefficient_bytes(data)
        if counted is None:
            raise image_error("unreadable", name, "is broken (a JPEG of more than 256 scans)")
        coefficients = counted
    return OpenedFile(data=data, name=name, image=image, coefficients=coefficients)


def orientation_of(image: Image.Image) -> int:
    """Return the orientation that the metadata state, 1 to 8; 1, upright, where they state none or cannot be read."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except BROKEN:
        return 1
    return orientation if isinstance(orientation, int) and orientation in UPRIGHT else 1


def _jpeg(data: bytes, decode_size: int | None) -> tuple[Image.Image, int]:
    """Return a decoded JPEG and the number of rows that it has in full."""
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data), "")
    full = image.height
    if decode_size is not None:
        image.draft(None, (decode_size, decode_size))
    image.load()
    return image, full


def _nearly_black(image: Image.Image) -> bool:
    """Say whether an RGB image of 16 bits, whose high bytes Pillow keeps, may have samples of fewer bits."""
    if image.mode != "RGB":
        return False
    counts = image.histogram()
    return not any(counts[at] for at in _FULL)


@cache
def _webp_reader() -> type[Image.Image]:
    """Return Pillow's reader of WebP, but one that gives up its decoder's two canvases before it copies the frame."""
    from PIL import WebPImagePlugin

    class FirstFrame(WebPImagePlugin.WebPImageFile):
        _decoder: Any

        def _get_next(self) -> Any:
            frame = super()._get_next()
            self._decoder = None
            return frame

    return FirstFrame


def _open_png(data: bytes, name: str | os.PathLike[str]) -> OpenedFile:
    from PIL import PngImagePlugin

    data, said = readable_png(data)
    image = PngImagePlugin.PngImageFile(io.BytesIO(data), "")
    image.info.update(said)
    if "transparency" in image.info:
        image.info["transparency"] = transparent_value(data, image.info["transparency"])
    return OpenedFile(data=data, name=name, image=image)


def _open_tiff(data: bytes, name: str | os.PathLike[str]) -> OpenedFile:
    from PIL import TiffImagePlugin

    pages = read_pages(data)
    if holds_sensor_data(pages):
        try:
            return open_file(preview(data, name=name), name=name)
        except ImageError as error:  # a TIFF file of sensor data that no camera wrote is told as one
            if error.reason not in ("needs-raw", "unsupported") or pages[0].number is None:
                raise
    page = choose_page(pages)
    if page is None:
        raise image_error(
            "truncated" if not pages else "unreadable", name, "is broken (no page of its TIFF can be found)"
        )
    count = sum(other.number is not None for other in pages)
    opened = OpenedFile(data=data, name=name, image=None, page=page, pages=count)
    plain = is_plain(page)
    if plain or (pillow_reads(page) and not _has_tifffile()):
        try:
            opened.image = TiffImagePlugin.TiffImageFile(with_first_page(data, page), "")
        except BROKEN:
            if not page.big and not _has_tifffile():  # a BigTIFF of big-endian byte order is beyond Pillow
                raise
        else:
            return opened
    try:
        require_known(page)
    except UnsupportedTiff as error:
        raise opened.unsupported(str(error)) from error
    if not _has_tifffile():
        raise opened.needs_tiff()
    return opened


def _has_tifffile() -> bool:
    try:
        import imagecodecs  # noqa: F401
        import tifffile  # noqa: F401
    except ImportError:
        return False
    return True
