"""Check that an encoder object gives the vectors that a collection holds, by encoding a few stored images again."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from retrieval.encoders import checked_pixels
from retrieval.errors import ImageError, SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from indexes.store import Record
    from indexes.vectors import Vectors
    from retrieval.encoders import Encoder
    from retrieval.sources import Source

__all__ = ["LEAST_COSINE", "require_same_vectors", "trust"]

LEAST_COSINE = 0.98
"""Between an image's stored vector and the one that the encoder gives it now; other devices and precisions stay above."""

_IMAGES = 3
_LOOKED_AT = 24
"""Rows whose files are looked at, spread over the collection, until `_IMAGES` unchanged ones are found."""


_TRUSTED: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
"""Encoder objects that made or matched the vectors of some sources in this process: each is compared once."""


def trust(encoder: Encoder, source: Source) -> None:
    """Remember that an encoder makes the vectors of a source's images, so that it need not be compared."""
    with suppress(TypeError):  # an object that cannot be referred to weakly is compared again
        _TRUSTED.setdefault(encoder, set()).add(source.name)


def _is_trusted(encoder: Encoder, source: Source) -> bool:
    with suppress(TypeError):
        return source.name in _TRUSTED.get(encoder, ())
    return False


def require_same_vectors(
    encoder: Encoder,
    source: Source,
    *,
    count: int,
    live: Callable[[int], Any],
    record: Callable[[int], Record],
    row: Callable[[int], Vectors],
) -> None:
    """Refuse an encoder of the collection's fingerprint that gives other vectors for the same images.

    A fingerprint of an encoder object is whatever its author wrote. Nothing is checked where no image is there unchanged,
    as with imported vectors.

    Args:
        encoder: of the space of the rows.
        source: where the images lie.
        count: how many rows there are.
        live, record, row: give of a row's id whether it has no tombstone, its record, its vector ``(d,)``.
    Raises:
        SpaceMismatch: the median cosine of up to three images is below `LEAST_COSINE`; the message says what was found.
        EncoderError: the encoder does not keep its contract.
    """
    from retrieval.sources.decoding import decode

    if _is_trusted(encoder, source):
        return
    cosines, names = [], []
    for number, key, data in _unchanged(source, count, live, record):
        try:
            image = decode(data, decode_size=getattr(encoder, "decode_size", None))
        except ImageError:
            continue
        vector = checked_pixels(encoder, encoder.preprocess(image)[np.newaxis])[0]  # (d,)
        stored = np.asarray(row(number), dtype=np.float32)  # (d,)
        cosines.append(float(vector @ stored / max(float(np.linalg.norm(stored)), 1e-12)))
        names.append(source.link(key))
        if len(cosines) == _IMAGES:
            break
    if cosines and float(np.median(cosines)) < LEAST_COSINE:
        worst = int(np.argmin(cosines))
        raise SpaceMismatch(
            f"the encoder {encoder.space.name} gives {names[worst]} another vector than the collection holds (cosine "
            f"{cosines[worst]:.2f}, at least {LEAST_COSINE} is expected), though both have the fingerprint "
            f"{encoder.space.fingerprint[:12]}…; use the encoder that built the collection, or give this one a fingerprint of "
            "its own and build another collection"
        )
    if cosines:
        trust(encoder, source)


def _unchanged(
    source: Source, count: int, live: Callable[[int], Any], record: Callable[[int], Record]
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield rows whose files are as they were, with their keys and bytes."""
    from retrieval.sources.decoding import content_hash

    for number in np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).astype(np.int64)).tolist():
        if not live(number):
            continue
        known = record(number)
        entry = source.find(source.link(known.key)) if known.stamp else None
        if entry is None or entry.stamp != known.stamp:
            continue
        try:
            data = source.read(entry)
        except ImageError:
            continue
        if content_hash(data) == known.content:
            yield number, known.key, data
