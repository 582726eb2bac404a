"""Encode images that are added by hand: paths, bytes, Pillow images and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from indexes.vectors import stored_rows
from retrieval.collection.rows.inputs.key_lists import KeyList, as_key
from retrieval.columns import header_columns, pack
from retrieval.errors import ImageError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from PIL import Image

    from indexes.vectors import Halves
    from retrieval.collection.rows.by_hand import Contents
    from retrieval.encoders import Encoder
    from retrieval.sources.decoding import ImageSource

Images: TypeAlias = "ImageSource | Iterable[ImageSource]"
"""Images as callers give them: one, a list or a stream."""


class _Item(NamedTuple):
    """One image and its place in the list."""

    place: int
    image: ImageSource


class ImageList:
    """Images with the keys that their rows get.

    A path's key is the path as it was given; any other image's key is its row's id.

    Args:
        images: paths, bytes of files, open binary files, Pillow images, ``(h, w, 3)`` or ``(h, w)`` uint8 arrays; one of
            these, or a list or stream of them.
        keys: one for each; None for those above.
        ids: gives the decimal texts of the next so many ids.
    """

    def __init__(self, images: Any, keys: Any, *, ids: Callable[[int], Sequence[bytes]]) -> None:
        single = _is_image(images)
        self._images: Iterable[Any] = [images] if single else images
        if not hasattr(self._images, "__iter__"):
            raise ShapeError(f"images: {type(images).__name__} is no image and no list of images")
        self._given = None if keys is None else KeyList(keys, one=True)
        self._ids = ids
        self._paths: list[bytes | None] = []

    def __iter__(self) -> Iterator[_Item]:
        """Yield the images in order; once, if they are a stream."""
        self._paths = []
        for place, image in enumerate(self._images):
            self._paths.append(_path_key(image))
            yield _Item(place, image)

    def keys(self) -> KeyList | None:
        """Return the keys, so that taken ones are known before anything is encoded; None for those of a stream."""
        if self._given is not None:
            return self._given
        if isinstance(self._images, Iterator):
            return None
        self._paths = [_path_key(image) for image in self._images]
        return self._named()

    def require_keys(self, count: int) -> KeyList:
        """Return the keys of all images that were yielded.

        Raises:
            ShapeError: their number is not that of the keys.
            OptionError: two images have the same key.
        """
        names = self._named() if self._given is None else self._given
        if len(names) != count:
            raise ShapeError(f"{count:,} images but {len(names):,} keys; give one key an image")
        return names

    def _named(self) -> KeyList:
        ids = self._ids(len(self._paths))
        return KeyList([path or number for path, number in zip(self._paths, ids, strict=True)])


def encode_images(
    images: Iterable[_Item], encoder: Encoder, store: Contents, *, headers: bool
) -> tuple[Halves, list[bytes], list[bytes]]:
    """Encode images in batches; exact copies of an image, and of what the store holds, are encoded once.

    Args:
        images, encoder: those.
        store: the rows that there are.
        headers: look at what files say of their images, too.
    Returns:
        unit rows ``(n, d)`` float16, the hashes of what was encoded, and packed columns, in the order of the images.
    Raises:
        ImageError: one cannot be read, or the encoder gives no vector for it; the message names it.
        EncoderError: the encoder does not keep its contract.
    """
    from retrieval.embedding import embed

    vectors: dict[bytes, Halves] = {}
    contents: dict[int, bytes] = {}
    columns: dict[int, bytes] = {}
    pixels: dict[int, bytes] = {}  # hashes of those that are no file's bytes

    def known(content: bytes) -> bool:
        return content in vectors or len(store.find_content(content)) > 0

    def opened(item: _Item) -> ImageSource:
        image = _opened(item)
        if headers and isinstance(image, bytes):
            columns[item.place] = pack(header_columns(image), {})
        if not isinstance(image, bytes):
            image, pixels[item.place] = _upright(image, _name(item))
        return image

    with closing(embed(images, encoder, open_image=opened, known=known, name_of=_name)) as batches:
        for batch in batches:
            for _, error in batch.failed:
                raise error
            for item, of_bytes, vector in zip(batch.items, batch.contents, batch.vectors, strict=True):
                content = of_bytes or pixels[item.place]
                vectors[content] = stored_rows(vector[np.newaxis])[0]
                contents[item.place] = content
            for item, content in batch.reused:
                if content not in vectors:
                    number = int(store.find_content(content)[0])
                    vectors[content] = store.rows(number, number + 1)[0]
                contents[item.place] = content
    ordered = [contents[place] for place in range(len(contents))]
    rows = np.empty((len(ordered), store.dim), dtype=np.float16)  # (n, d)
    for place, content in enumerate(ordered):
        rows[place] = vectors[content]
    return rows, ordered, [columns.get(place, b"") for place in range(len(ordered))]


def _is_image(value: Any) -> bool:
    """Say whether something is one image, rather than a list of them."""
    if isinstance(value, str | os.PathLike | bytes | bytearray | memoryview):
        return True
    if isinstance(value, np.ndarray):
        return value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (3, 4))
    return hasattr(value, "convert") or hasattr(value, "read")


def _path_key(image: Any) -> bytes | None:
    return as_key(image) if isinstance(image, str | os.PathLike) else None


def _opened(item: _Item) -> ImageSource:
    """Return what is decoded: a file's bytes, or the image itself."""
    from retrieval.sources.decoding import read_file

    image = item.image
    if isinstance(image, str | os.PathLike):
        return read_file(image)
    if isinstance(image, bytearray | memoryview):
        return bytes(image)
    if hasattr(image, "read") and not hasattr(image, "convert"):
        return bytes(image.read())
    if isinstance(image, bytes | np.ndarray) or hasattr(image, "convert"):
        return image
    what = f"is {type(image).__name__}; an image is a path, bytes, a Pillow image or a uint8 array"
    raise ImageError(f"{_name(item)}: {what}", reason="unsupported", what=what)


def _upright(image: Any, name: str) -> tuple[Image.Image, bytes]:
    """Return an image's RGB pixels and their hash: equal for the same pixels, whether of Pillow or an array."""
    from retrieval.sources.decoding import content_hash, decode

    shown = decode(image, name=name)
    return shown, content_hash(f"{shown.width} {shown.height} ".encode() + shown.tobytes())


def _name(item: _Item) -> str:
    if isinstance(item.image, str | os.PathLike):
        return os.fsdecode(item.image)
    return f"image {item.place + 1}"
