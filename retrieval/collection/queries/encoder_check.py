"""Check that an encoder gives the vectors that a collection holds: by its probes, or by a few stored images."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from retrieval.encoders import LEAST_COSINE, checked_pixels, expect
from retrieval.errors import ImageError, SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from indexes.generation import Manifest
    from indexes.store import Record
    from indexes.vectors import Ids, Vectors
    from retrieval.encoders import Encoder
    from retrieval.sources import Source

_IMAGES = 3
LOOKED_AT = 24
"""Rows whose files are looked at, spread over the collection, until `_IMAGES` unchanged ones are found."""


_SAME: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
"""Encoder objects that gave the stored vectors of some sources in this process: each is compared once."""


def require_same_encoder(encoder: Encoder, manifest: Manifest, compare_rows: Callable[[], None]) -> bool:
    """Refuse an encoder of the collection's fingerprint that is another one all the same.

    A fingerprint of an encoder object is whatever its author wrote, and a runtime may change unseen. Where the manifest has the
    encoder's vectors of probes, these ride in the first batch that it encodes: one comparison for every encoder, which reads
    no image. Collections that have none yet were made by earlier versions: there a few stored images are encoded again.

    Args:
        encoder: of the space of the rows, or of that which they are being moved to.
        manifest: the collection's.
        compare_rows: called where nothing is recorded of it; `require_same_vectors` or nothing.
    Returns:
        Whether something is recorded of it.
    Raises:
        SpaceMismatch: it is; or it will be, by the first batch (see `retrieval.encoders.expect`).
    """
    recorded = expect(encoder, manifest.probes.get(encoder.space.fingerprint))
    if not recorded:
        compare_rows()
    return recorded


def require_same_vectors(
    encoder: Encoder,
    source: Source,
    *,
    ids: Ids,
    record: Callable[[int], Record],
    row: Callable[[int], Vectors],
) -> None:
    """Refuse an encoder of the collection's fingerprint that gives other vectors for the same images.

    Nothing is checked where no image is there unchanged, as with imported vectors.

    Args:
        encoder: of the space of the rows.
        source: where the images lie.
        ids: of live rows, up to `LOOKED_AT`, spread over all.
        record, row: give of a row's id its record, its vector ``(d,)``.
    Raises:
        SpaceMismatch: the median cosine of up to three images is below `LEAST_COSINE`; the message says what was found.
        EncoderError: the encoder does not keep its contract.
    """
    from retrieval.sources.decoding import decode

    with suppress(TypeError):  # an object that cannot be referred to weakly is compared again
        if source.name in _SAME.get(encoder, ()):
            return
    cosines, names = [], []
    for number, key, data in _unchanged(source, ids, record):
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
        with suppress(TypeError):
            _SAME.setdefault(encoder, set()).add(source.name)


def _unchanged(
    source: Source, ids: Ids, record: Callable[[int], Record]
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield rows whose files are as they were, with their keys and bytes."""
    from retrieval.sources.decoding import content_hash

    for number in ids.tolist():
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
