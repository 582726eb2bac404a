"""Where vectors of an encoder enter: their number, width, finiteness and length are checked here, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from indexes.arrays import unit_rows
from retrieval.encoders.protocols import TextEncoder
from retrieval.errors import CapabilityMissing, EncoderError, ShapeError, VectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from indexes.arrays import Vectors
    from retrieval.encoders.protocols import Encoder

__all__ = ["checked_pixels", "checked_text"]


def checked_pixels(encoder: Encoder, batch: NDArray[np.float32]) -> Vectors:
    """Return ``encoder.encode_pixels(batch)``, checked.

    Args:
        batch: ``(b, ...)`` float32, stacked `preprocess` arrays.
    Returns:
        ``(b, d)`` float32 unit rows.
    Raises:
        EncoderError: not ``b`` rows of the encoder's own width, not real numbers, not finite, or a zero row.
    """
    return _checked(encoder, encoder.encode_pixels(batch), count=len(batch), what="encode_pixels")


def checked_text(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Return ``encoder.encode_text(texts)``, checked: ``(t, d)`` float32 unit rows.

    Raises:
        CapabilityMissing: the encoder has no text tower.
        EncoderError: as `checked_pixels`.
    """
    if not isinstance(encoder, TextEncoder):
        raise CapabilityMissing(
            f"the encoder {encoder.space.name} understands no words; "
            f"query by image, or use an encoder with text, such as nano"
        )
    return _checked(encoder, encoder.encode_text(texts), count=len(texts), what="encode_text")


def _checked(encoder: Encoder, vectors: object, *, count: int, what: str) -> Vectors:
    space = encoder.space
    rows = np.asarray(vectors)
    if rows.ndim != 2 or rows.shape != (count, space.dim):
        raise EncoderError(
            f"encoder {space.name}: {what} returned shape {rows.shape}, expected ({count}, {space.dim}); "
            f"its space and its output must agree"
        )
    try:
        return unit_rows(rows, dim=space.dim, what=f"encoder {space.name}: {what}")
    except (ShapeError, VectorError) as error:
        raise EncoderError(str(error)) from error
