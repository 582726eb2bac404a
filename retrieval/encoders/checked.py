"""Check vectors where they leave an encoder: number, width, finiteness, length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.vectors import unit_rows
from retrieval.encoders.protocols import TextEncoder
from retrieval.errors import CapabilityMissing, EncoderError, ShapeError, VectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.encoders.protocols import Encoder

__all__ = ["checked_pixels", "checked_text", "sound_pixels"]


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


def sound_pixels(encoder: Encoder, batch: NDArray[np.float32]) -> tuple[Vectors, list[int]]:
    """Return the unit rows of ``encoder.encode_pixels(batch)`` that are vectors, and the places of those that are none.

    A row is none if it is zero or has a number that is not finite.

    Args:
        batch: ``(b, ...)`` float32, stacked `preprocess` arrays.
    Returns:
        ``(s, d)`` float32 unit rows in order, and b - s places in ``batch``.
    Raises:
        EncoderError: not ``b`` rows of the encoder's own width, or not real numbers.
    """
    rows = np.asarray(encoder.encode_pixels(batch))
    _require_shape(encoder, rows, count=len(batch), what="encode_pixels")
    try:
        return _unit(encoder, rows, "encode_pixels"), []
    except EncoderError as error:
        if not isinstance(error.__cause__, VectorError):
            raise
    with np.errstate(over="ignore"):
        single = rows.astype(np.float32)
    lengths = np.einsum("nd,nd->n", single, single, dtype=np.float64)  # (b,)
    good = np.isfinite(lengths) & (lengths > 0)
    return _unit(encoder, rows[good], "encode_pixels"), [int(at) for at in np.flatnonzero(~good)]


def checked_text(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Return ``encoder.encode_text(texts)``, checked: ``(t, d)`` float32 unit rows.

    Raises:
        CapabilityMissing: the encoder has no text tower.
        EncoderError: as `checked_pixels`.
    """
    if not isinstance(encoder, TextEncoder):
        raise CapabilityMissing(
            f"the encoder {encoder.space.name} understands no words; "
            f"query by image, or build another collection with an encoder that has a text tower"
        )
    return _checked(encoder, encoder.encode_text(texts), count=len(texts), what="encode_text")


def _checked(encoder: Encoder, vectors: object, *, count: int, what: str) -> Vectors:
    rows = np.asarray(vectors)
    _require_shape(encoder, rows, count=count, what=what)
    return _unit(encoder, rows, what)


def _require_shape(encoder: Encoder, rows: NDArray[Any], *, count: int, what: str) -> None:
    space = encoder.space
    if rows.ndim != 2 or rows.shape != (count, space.dim):
        raise EncoderError(
            f"encoder {space.name}: {what} returned shape {rows.shape}, expected ({count}, {space.dim}); "
            f"its space and its output must agree"
        )


def _unit(encoder: Encoder, rows: NDArray[Any], what: str) -> Vectors:
    try:
        return unit_rows(rows, dim=encoder.space.dim, what=f"encoder {encoder.space.name}: {what}")
    except (ShapeError, VectorError) as error:
        raise EncoderError(str(error)) from error
