"""Read of an image file what the rules and checks look at: size, compression, sharpness, hashes, how busy each part is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.curation.duplicates.images.perceptual_hash import picture_hash
from retrieval.sources.decoding import loaded, quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from retrieval.sources.decoding import OpenedFile

GRID: Final = 16
"""Cells a side in which `ImageFacts.busy` looks."""

_DECODE: Final = 512
_GREY: Final = 256
_SIDEWAYS: Final = 5
_CAMERA: Final = (0x010F, 0x0110)
_LOSSLESS: Final = frozenset({"PNG", "BMP", "TIFF", "GIF", "PPM", "TGA", "QOI"})
_LOSSY: Final = 90
_STANDARD_SUM: Final = 3_688
"""Sum of the luminance table of JPEG's standard, which programs scale: quality 50."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What is known of one image.

    Attributes:
        width, height: of the upright image.
        size_bytes: of its file.
        quality: what compression left, 1 to 100; 100 for formats without loss.
        sharpness: root mean square of the Laplacian at the size that it was decoded at.
        has_camera: the file says with what it was taken.
        pixels: hash of the upright pixels; empty where it was not decoded in full.
        looks: perceptual hashes, 512 bytes.
        busy: how much each cell of a grid varies, ``GRID × GRID`` bytes.
    """

    width: int
    height: int
    size_bytes: int
    quality: int
    sharpness: float
    has_camera: bool
    pixels: bytes
    looks: bytes
    busy: bytes

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads."""
        facts = {
            name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(self).items()
        }
        return json.dumps(facts).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> ImageFacts:
        """Read what `to_bytes` wrote."""
        facts: dict[str, Any] = json.loads(data)
        for name in ("pixels", "looks", "busy"):
            facts[name] = bytes.fromhex(facts[name])
        return cls(**facts)


def read_facts(
    data: bytes,
    *,
    name: str,
    known: Callable[[bytes], ImageFacts | None] = lambda _: None,
    use: Callable[[Image.Image], Any] | None = None,
) -> tuple[ImageFacts, Any]:
    """Decode an image at about 512 pixels and read its facts.

    Args:
        data: of the file.
        name: what messages call it.
        known: gives the facts of an image with the same hash of pixels, which are taken over; None where there is none.
        use: is called with the decoded RGB image, unless such facts are known; what it returns is returned, too.
    Raises:
        ImageError: it cannot be read.
    """
    seen: list[tuple[tuple[int, int], int, bool]] = []

    def examine(opened: OpenedFile) -> None:
        seen.append((opened.size, *_compression(opened)))

    with (
        quiet(),
        loaded(data, decode_size=_DECODE, max_pixels=_max_pixels(), name=name, examine=examine) as image,
    ):
        turned = _SIDEWAYS <= image.orientation <= _SIDEWAYS + 3
        shown = image.shown()
    (width, height), quality, camera = seen[0]
    if turned:
        width, height = height, width
    pixels = pixel_hash(shown) if shown.size == (width, height) else b""
    same = known(pixels) if pixels else None
    if same is not None:
        return replace(same, size_bytes=len(data), quality=quality, has_camera=camera), None
    grey = np.asarray(shown.convert("L"), dtype=np.float32)  # (h, w)
    facts = ImageFacts(
        width=width,
        height=height,
        size_bytes=len(data),
        quality=quality,
        sharpness=_sharpness(grey),
        has_camera=camera,
        pixels=pixels,
        looks=picture_hash(shown),
        busy=_busy(shown),
    )
    return facts, None if use is None else use(shown)


def pixel_hash(image: Image.Image) -> bytes:
    """Return a hash of an upright RGB image's size and pixels."""
    digest = blake2b(f"{image.width} {image.height} ".encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.digest()


def _max_pixels() -> int:
    from retrieval.sources.decoding import MAX_PIXELS

    return MAX_PIXELS


def _compression(opened: OpenedFile) -> tuple[int, bool]:
    """Return what compression left, and whether the camera is told."""
    image = opened.tags
    if image is None:
        return 100, False
    camera = False
    try:
        exif = image.getexif()
        camera = any(exif.get(tag) for tag in _CAMERA)
    except Exception:  # noqa: BLE001 - broken metadata, of which there are many kinds
        camera = False
    tables = getattr(image, "quantization", None)
    if tables:
        return _jpeg_quality(sum(tables[min(tables)])), camera
    return (100 if (image.format or "") in _LOSSLESS else _LOSSY), camera


def _jpeg_quality(total: int) -> int:
    """Return the quality, 1 to 100, that would give a luminance table of this sum."""
    scale = 100 * total / _STANDARD_SUM
    quality = 5000 / scale if scale > 100 else (200 - scale) / 2
    return int(min(max(round(quality), 1), 100))


def _sharpness(grey: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    if min(grey.shape) < 3:
        return 0.0
    centre = grey[1:-1, 1:-1]
    laplacian = 4 * centre - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(np.sqrt(np.mean(laplacian**2)))


def _busy(image: Image.Image) -> bytes:
    """Return the standard deviation of the brightness in each cell of a grid."""
    grey = np.asarray(image.convert("L").resize((_GREY, _GREY)), dtype=np.float32)
    side = _GREY // GRID
    cells = grey.reshape(GRID, side, GRID, side).transpose(0, 2, 1, 3).reshape(GRID * GRID, side * side)
    deviations: np.ndarray[Any, np.dtype[np.float32]] = cells.std(axis=1)
    return deviations.clip(0, 255).astype(np.uint8).tobytes()
