"""Answer for single images: facts, thumbnails, originals, archives of several."""

from __future__ import annotations

from retrieval.server.api.images import downloads, images
from retrieval.server.api.images.pictures import picture_bytes, picture_row
from retrieval.server.api.images.thumbnails import LARGEST, Thumbnails, entity_tag

__all__ = ["LARGEST", "Thumbnails", "downloads", "entity_tag", "images", "picture_bytes", "picture_row"]
