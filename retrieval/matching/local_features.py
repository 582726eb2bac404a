"""Describe a picture for comparisons: a small grey copy, and local features of it."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.errors import StoreCorrupt
from retrieval.matching.opencv import opencv

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SIDE = 256
"""Pixels of the longer side of the grey copy. Smaller pictures are enlarged to it."""
MOST_BYTES = 8192
"""Bytes that `Features.to_bytes` takes at most."""

_SHARE = 0.75  # of that side: the features are looked for in a smaller copy, which halves the time
_SIGMA = 1.2  # pixels: the blur that SIFT begins with, less than its usual 1.6, so that the finest features stay equally fine
_LAYERS = 2  # an octave; three find no more copies
_POINTS = 300
_CONTRAST = 0.015
_SMALLEST = 12  # pixels of the shorter side, below which no local features are looked for
_THUMBNAIL = 16
_MAGIC = b"MF1\0"
_KEPT = (
    (1.0, 85),
    (1.0, 70),
    (1.0, 55),
    (1.0, 40),
    (0.7, 40),
    (0.5, 30),
    (0.35, 20),
    (0.2, 10),
)  # scale, quality


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """What `compare` needs to know of a picture.

    Args:
        grey: the picture, ``(height, width)`` uint8, its longer side `SIDE` pixels.
        points: ``(n, 4)`` float32: x, y, diameter in pixels, and angle in degrees, clockwise.
        descriptors: ``(n, 128)`` float32 unit rows: root SIFT.
        thumbnail: the whole picture as ``(16, 16)`` float32, its mean 0 and its norm 1; all 0 where the picture is blank.
    """

    grey: NDArray[np.uint8]
    points: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    thumbnail: NDArray[np.float32]

    def to_bytes(self) -> bytes:
        """Return the features as at most `MOST_BYTES` bytes; what is lost does not change a clear verdict.

        The grey picture is kept, and `from_bytes` looks for the local features again: that takes milliseconds, while reading
        and decoding a photograph takes longer.
        """
        picture = Image.fromarray(self.grey)
        for scale, quality in _KEPT:  # noise takes more bytes than any photograph, and is kept smaller
            file = io.BytesIO()
            small = (
                picture.resize([max(1, round(scale * side)) for side in picture.size])
                if scale < 1
                else picture
            )
            small.save(file, "WEBP", quality=quality, method=2)
            if len(_MAGIC) + 4 + file.tell() <= MOST_BYTES:
                break
        return _MAGIC + struct.pack("<HH", *picture.size) + file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Features:
        """Return the features that `to_bytes` wrote.

        Raises:
            StoreCorrupt: ``data`` is something else, or damaged.
        """
        try:
            if data[:4] != _MAGIC:
                raise ValueError("it begins otherwise")
            size = struct.unpack("<HH", data[4:8])
            with Image.open(io.BytesIO(data[8:]), formats=["WEBP"]) as picture:
                if max(*size, *picture.size) > SIDE or min(size) < 1:
                    raise ValueError(f"a picture of {picture.size} for one of {size} pixels")
                grey = np.array(picture.convert("L").resize(size, Image.Resampling.BICUBIC))
        except (ValueError, OSError, struct.error, SyntaxError) as error:
            raise StoreCorrupt(f"these bytes are not features of a picture: {error}") from error
        return _described(grey)


def features(image: Picture) -> Features:
    """Describe a picture.

    Args:
        image: of any mode and size; left unchanged. What is transparent is taken for white.
    Raises:
        MissingExtra: OpenCV is not installed.
    """
    return _described(_grey(image))


def _grey(image: Picture) -> NDArray[np.uint8]:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    elif image.mode not in {"L", "RGB"}:
        image = image.convert("RGB")
    scale = SIDE / max(image.size)
    width, height = (max(1, round(scale * side)) for side in image.size)
    if scale > 1:
        image = image.convert("L")
    image = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.array(image.convert("L"))


def _described(grey: NDArray[np.uint8]) -> Features:
    cv2 = opencv()
    points = np.empty((0, 4), np.float32)
    descriptors = np.empty((0, 128), np.float32)
    if min(grey.shape) >= _SMALLEST:
        reduced = cv2.resize(grey, None, fx=_SHARE, fy=_SHARE, interpolation=cv2.INTER_AREA)
        found, rows = _sift(cv2).detectAndCompute(reduced, None)
        if len(found):
            points = np.array([(*point.pt, point.size, point.angle) for point in found], np.float32)  # (n, 4)
            sides = np.array(reduced.shape[::-1]) / grey.shape[::-1]
            points[:, :2] = (points[:, :2] + 0.5) / sides - 0.5
            points[:, 2] /= _SHARE
            sums = rows.sum(axis=1, keepdims=True)
            descriptors = np.sqrt(rows / np.maximum(sums, 1e-6))  # (n, 128)
    small = cv2.resize(grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    norm = float(np.linalg.norm(small))
    # Below two grey levels a pixel, what is left is noise.
    thumbnail = small / norm if norm > 2 * _THUMBNAIL else np.zeros_like(small)  # (16, 16)
    return Features(grey=grey, points=points, descriptors=descriptors, thumbnail=thumbnail)


def _sift(cv2: Any) -> Any:
    return cv2.SIFT_create(
        nfeatures=_POINTS,
        contrastThreshold=_CONTRAST,
        sigma=_SIGMA,
        nOctaveLayers=_LAYERS,
        enable_precise_upscale=True,
    )
