"""A stream of images becomes vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.embedding.image_stream import Embedded as Embedded, cores as cores, embed as embed

lazy(__name__)
