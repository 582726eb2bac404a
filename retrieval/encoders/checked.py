"""Check vectors where they leave an encoder: number, width, finiteness, length; of the first ones, what the probes get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.vectors import unit_rows
from retrieval.encoders.probes import note_vectors, riders_of_images, riders_of_words
from retrieval.encoders.protocols import ByteEncoder, TextEncoder
from retrieval.errors import CapabilityMissing, EncoderError, ShapeError, VectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.encoders.protocols import Encoder


def checked_pixels(encoder: Encoder, batch: NDArray[np.float32]) -> Vectors:
    """Return ``encoder.encode_pixels(batch)``, checked.

    Args:
        batch: ``(b, ...)`` float32, stacked `preprocess` arrays.
    Returns:
        ``(b, d)`` float32 unit rows.
    Raises:
        EncoderError: not ``b`` rows of the encoder's own width, not real numbers, not finite, or a zero row.
        SpaceMismatch: the probes that ride along get other vectors than were recorded (see `retrieval.encoders.expect`).
    """
    return _unit(encoder, _encoded_pixels(encoder, batch), "encode_pixels")


def sound_pixels(encoder: Encoder, batch: NDArray[Any]) -> tuple[Vectors, list[int]]:
    """Return the unit rows of ``encoder.encode_pixels(batch)`` that are vectors, and the places of those that are none.

    A row is none if it is zero or has a number that is not finite.

    Args:
        batch: ``(b, ...)`` float32, stacked `preprocess` arrays; of a `ByteEncoder` also uint8 ones of `preprocess_bytes`.
    Returns:
        ``(s, d)`` float32 unit rows in order, and b - s places in ``batch``.
    Raises:
        EncoderError: not ``b`` rows of the encoder's own width, or not real numbers.
        SpaceMismatch: as `checked_pixels`.
    """
    rows = _encoded_pixels(encoder, batch)
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
        EncoderError, SpaceMismatch: as `checked_pixels`.
    """
    if not isinstance(encoder, TextEncoder):
        raise CapabilityMissing(
            f"the encoder {encoder.space.name} understands no words; "
            f"query by image, or build another collection with an encoder that has a text tower"
        )
    riders = riders_of_words(encoder)
    asked = [*texts, *riders] if riders else texts
    rows = np.asarray(encoder.encode_text(asked))
    _require_shape(encoder, rows, count=len(asked), what="encode_text")
    if riders:
        note_vectors(encoder, "text", rows[len(texts) :])
    return _unit(encoder, rows[: len(texts)], "encode_text")


def _encoded_pixels(encoder: Encoder, batch: NDArray[Any]) -> NDArray[Any]:
    """Encode a batch, and with it the probes that somebody waits for."""
    in_bytes = batch.dtype == np.uint8 and isinstance(encoder, ByteEncoder)
    riders = riders_of_images(encoder, in_bytes=in_bytes)
    asked = batch if riders is None else np.concatenate((batch, riders))  # (b, ...) or (b + p, ...)
    rows = np.asarray(
        encoder.encode_bytes(asked)
        if in_bytes and isinstance(encoder, ByteEncoder)
        else encoder.encode_pixels(asked)
    )
    _require_shape(encoder, rows, count=len(asked), what="encode_pixels")
    if riders is not None:
        note_vectors(encoder, "image", rows[len(batch) :])
    return rows[: len(batch)]


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
