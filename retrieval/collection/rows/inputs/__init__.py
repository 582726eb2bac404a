"""Read what is given to be added: keys, vectors, images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.rows.inputs.image_vectors import ImageList, Images, encode_images
    from retrieval.collection.rows.inputs.key_lists import KeyList, KeysLike, shown_key
    from retrieval.collection.rows.inputs.vector_blocks import VectorBlocks, VectorsLike

__all__ = [
    "ImageList",
    "Images",
    "KeyList",
    "KeysLike",
    "VectorBlocks",
    "VectorsLike",
    "encode_images",
    "shown_key",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "image_vectors": ("ImageList", "Images", "encode_images"),
            "key_lists": ("KeyList", "KeysLike", "shown_key"),
            "vector_blocks": ("VectorBlocks", "VectorsLike"),
        },
    )
