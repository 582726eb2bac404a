"""Ask each collection once before clients do, so that the first request is as fast as the second."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from PIL import Image

from retrieval.collection.queries import image, row, text
from retrieval.display import small_jpeg
from retrieval.encoders import TextEncoder
from retrieval.errors import RetrievalError

if TYPE_CHECKING:
    from retrieval.collection import Collection
    from retrieval.server.catalogue import Catalogue

_SIDE = 64


def warm_up(catalogue: Catalogue) -> None:
    """Load encoders and indexes; a collection that cannot be asked in one way may be asked in another."""
    for name in catalogue.names:
        _ask(catalogue.newest(name).collection)


def _ask(collection: Collection) -> None:
    import io

    file = io.BytesIO()
    Image.new("RGB", (_SIDE, _SIDE), (120, 130, 140)).save(file, "JPEG")
    with suppress(RetrievalError):
        small_jpeg(file.getvalue(), size=(_SIDE, _SIDE))
    with suppress(RetrievalError):
        encoder = collection.encoder
        collection.search(image(file.getvalue()), k=1)
        if isinstance(encoder, TextEncoder):
            collection.search(text("a photograph"), k=1)
    if len(collection):
        with suppress(RetrievalError):
            collection.search(row(collection.id_of(next(iter(collection)))), k=1)
