"""Read what is given to be added: keys, vectors, images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.collection.rows.inputs.image_vectors import (
        ImageList as ImageList,
        Images as Images,
        encode_images as encode_images,
    )
    from retrieval.collection.rows.inputs.key_lists import (
        KeyList as KeyList,
        KeysLike as KeysLike,
        shown_key as shown_key,
    )
    from retrieval.collection.rows.inputs.vector_blocks import (
        VectorBlocks as VectorBlocks,
        VectorsLike as VectorsLike,
    )

lazy(__name__)
