"""Answer for single images: facts, thumbnails, originals, archives of several."""

from __future__ import annotations

from retrieval.server.api.images import downloads as downloads, images as images
from retrieval.server.api.images.pictures import picture_bytes as picture_bytes, picture_row as picture_row
from retrieval.server.api.images.thumbnails import (
    LARGEST as LARGEST,
    Thumbnails as Thumbnails,
    entity_tag as entity_tag,
)
