"""Encode the words and images of queries: texts in batches, images decoded ahead of the encoder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.collection.queries.inputs import existing
from retrieval.collection.queries.regions import Cut, cut_out
from retrieval.encoders import checked_pixels, checked_text
from retrieval.errors import EncoderError, ImageError, RetrievalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image

    from indexes.vectors import Vectors
    from retrieval.collection.queries.terms import Term
    from retrieval.encoders import Encoder

_TEXTS = 256
"""Texts that are encoded together."""


def encode_texts(texts: Sequence[str], encoder: Encoder) -> list[Vectors | RetrievalError]:
    """Encode texts, each different one once.

    Returns:
        for each its ``(1, d)`` unit row, or its error.
    Raises:
        CapabilityMissing: the encoder has no text tower.
        EncoderError: it does not keep its contract.
    """
    found: dict[str, Vectors | RetrievalError] = {}
    different = list(dict.fromkeys(texts))
    for start in range(0, len(different), _TEXTS):
        some = different[start : start + _TEXTS]
        found.update(zip(some, _text_batch(some, encoder), strict=True))
    return [found[one] for one in texts]


def _text_batch(texts: Sequence[str], encoder: Encoder) -> Sequence[Vectors | RetrievalError]:
    try:
        return np.split(checked_text(encoder, texts), len(texts))
    except EncoderError:
        if len(texts) == 1:
            raise
    one_by_one: list[Vectors | RetrievalError] = []
    for text in texts:  # one of them has no vector
        try:
            one_by_one.append(checked_text(encoder, [text]))
        except EncoderError as error:
            one_by_one.append(error)
    return one_by_one


def encode_images(images: Sequence[Any], encoder: Encoder) -> list[Vectors | RetrievalError]:
    """Encode images; several are decoded in threads ahead of the encoder, and each file or object is read once.

    Args:
        images: paths, bytes, open binary files, pictures, arrays.
        encoder: its `preprocess` is called from several threads.
    Returns:
        for each its ``(1, d)`` unit row, or its error.
    Raises:
        EncoderError: the encoder does not keep its contract.
    """
    if len(images) == 1:
        return [_image(images[0], encoder)]
    from retrieval.embedding import embed

    names = [os.fspath(one) if isinstance(one, str | os.PathLike) else id(one) for one in images]
    different = dict(zip(names, images, strict=True))
    found: dict[Any, Vectors | RetrievalError] = {}
    by_content: dict[bytes, Vectors] = {}
    batches = embed(
        different,
        encoder,
        open_image=lambda one: _content(different[one]),
        known=by_content.__contains__,
        size_of=lambda one: _size(different[one]),
        name_of=lambda one: _name(different[one]),
    )
    for batch in batches:
        vectors = np.split(batch.vectors, len(batch.items)) if batch.items else []
        by_content.update(zip(batch.contents, vectors, strict=True))
        found.update(zip(batch.items, vectors, strict=True))
        found.update((one, by_content[content]) for one, content in batch.reused)
        found.update(batch.failed)
    return [found[one] for one in names]


def open_picture(term: Term, *, root: Path) -> Image:
    """Decode the image of a term, or the part of it that is meant.

    Args:
        term: an image.
        root: a second folder in which a relative path may lie.
    Raises:
        ImageError: it cannot be read, or the part lies outside.
    """
    from retrieval.sources.decoding import decode

    value = term.value
    if isinstance(value, str | os.PathLike):
        value = existing(os.fspath(value), root) or value
    picture = value if term.region is None else Cut(value, term.region)
    return decode(_content(picture), name=_name(picture))


def _image(image: Any, encoder: Encoder) -> Vectors | RetrievalError:
    from retrieval.sources.decoding import decode

    try:
        pixels = encoder.preprocess(
            decode(_content(image), decode_size=getattr(encoder, "decode_size", None), name=_name(image))
        )
    except ImageError as error:
        return error
    return checked_pixels(encoder, pixels[np.newaxis])


def _content(image: Any) -> Any:
    """Return the bytes of a file, or the picture or array as it is, or the part of it that is meant.

    Raises:
        ImageError: the file cannot be read, or the part lies outside.
    """
    if isinstance(image, Cut):
        from retrieval.sources.decoding import decode

        return cut_out(decode(_content(image.source), name=_name(image)), image.region, name=_name(image))
    if isinstance(image, str | os.PathLike):
        return _file(os.fspath(image))
    if not hasattr(image, "read"):
        return image
    try:
        image.seek(0)  # two encoders may read it
        data = image.read()
    except (OSError, ValueError) as error:
        raise ImageError(
            f"an open file cannot be read ({error}); open it again", reason="read-error"
        ) from error
    if not isinstance(data, bytes):
        raise ImageError("an open file gives text; open it with the mode 'rb'", reason="read-error")
    return data


def _file(path: str) -> bytes:
    """Read an image file, or one picture of a film or document."""
    from retrieval.sources import FIRST_BYTES, recognise
    from retrieval.sources.decoding import read_file, read_file_head
    from retrieval.sources.media import part_bytes, part_example, split_path

    part = split_path(path) if "#" in path else None
    if part is not None:
        return part_bytes(part[0], part[1], name=path)
    example = part_example(path)
    if example is not None:
        head = read_file_head(path, FIRST_BYTES)
        if head and recognise(head, size=os.stat(path).st_size) != "image":
            raise ImageError(
                f"{path}: holds several pictures; ask by one of them, such as {example}", reason="unreadable"
            )
    return read_file(path)


def _size(image: Any) -> int:
    if isinstance(image, Cut):
        return _size(image.source)
    if isinstance(image, str | os.PathLike):
        try:
            return os.stat(image).st_size
        except OSError:  # told when it is read
            return 1
    return 1


def _name(image: Any) -> str:
    if isinstance(image, Cut):
        return _name(image.source)
    return os.fspath(image) if isinstance(image, str | os.PathLike) else "image"
