"""A stream of images becomes vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.embedding.image_stream import Embedded, cores, embed

__all__ = ["Embedded", "cores", "embed"]

__getattr__ = lazy(__name__, {"image_stream": ("Embedded", "cores", "embed")})
