"""Encode images and words as they are: one or many, decoded and in batches."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from retrieval.encoders.checked import checked_pixels, checked_text
from retrieval.errors import EncoderError
from retrieval.hints import attribute_of

if TYPE_CHECKING:
    from indexes.vectors import Vectors
    from retrieval.encoders.protocols import Encoder

_IMAGES_AT_ONCE = 32
_TEXTS_AT_ONCE = 256


def encode(encoder: Encoder, items: Any) -> Vectors:
    """Return the vector of an image or of words, or those of a list of images and words.

    Encoder classes have it as their methods by `CallableEncoder`.

    Args:
        encoder: any encoder; one with a text tower where there are words.
        items: a `str` is words; a `Path`, bytes, a PIL image, a uint8 array or an open binary file is an image. A list, a tuple
            or an array ``(n, h, w, 3)`` is many.
    Returns:
        ``(d,)`` float32 of unit length; ``(n, d)`` for many, in order.
    Raises:
        ImageError: an image cannot be read.
        CapabilityMissing: words, and the encoder has no text tower.
        EncoderError: something that is neither, or the encoder does not keep its contract.
    """
    many = isinstance(items, list | tuple) or (isinstance(items, np.ndarray) and items.ndim == 4)
    parts = list(items) if many else [items]
    vectors = np.empty((len(parts), encoder.space.dim), dtype=np.float32)  # (n, d)
    words = [at for at, part in enumerate(parts) if isinstance(part, str)]
    for start in range(0, len(words), _TEXTS_AT_ONCE):
        places = words[start : start + _TEXTS_AT_ONCE]
        vectors[places] = checked_text(encoder, [parts[at] for at in places])
    images = [at for at, part in enumerate(parts) if not isinstance(part, str)]
    for start in range(0, len(images), _IMAGES_AT_ONCE):
        places = images[start : start + _IMAGES_AT_ONCE]
        vectors[places] = checked_pixels(encoder, np.stack([_pixels(encoder, parts[at]) for at in places]))
    return vectors if many else np.asarray(vectors[0])


class CallableEncoder:
    """Gives an encoder class the methods ``encoder(image)`` and ``encoder.encode([…])``.

    A base class, where the house has protocols, because each encoder class would have to write both methods again.
    """

    if not TYPE_CHECKING:  # a type checker would take every name for one that exists
        __getattr__ = attribute_of

    def __call__(self, items: Any) -> Vectors:
        """Return the vector of an image or of words, or those of a list, as `encode` does."""
        return encode(cast("Encoder", self), items)

    def encode(self, items: Any) -> Vectors:
        """Return the vector of an image or of words, or those of a list, as `retrieval.encoders.encode` does."""
        return encode(cast("Encoder", self), items)


def _pixels(encoder: Encoder, image: Any) -> Any:
    from retrieval.sources.decoding import decode

    known = isinstance(image, os.PathLike | bytes | bytearray | memoryview | np.ndarray)
    if not known and not hasattr(image, "convert") and not hasattr(image, "read"):
        raise EncoderError(
            f"{type(image).__name__} is neither words nor an image; give a str, or a Path, bytes, a PIL image or a uint8 array"
        )
    return encoder.preprocess(decode(image, decode_size=getattr(encoder, "decode_size", None)))
