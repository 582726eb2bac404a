"""Compare an encoder with itself at another time: by its vectors of two made images and two phrases.

A fingerprint is whatever an encoder's author wrote, and a runtime may go wrong without changing it. So a collection records
the vectors that its encoder gave these probes, as `vectors_of_probes` returns them, and tells every encoder that it uses what
it recorded, by `expect`. Nothing is encoded for that alone: the probes ride in the first batch of images, or of words, that
leaves the encoder by `retrieval.encoders.checked`. An encoder object is asked once in a process.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from retrieval.encoders.protocols import ByteEncoder, TextEncoder
from retrieval.errors import RetrievalError, SpaceMismatch, StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from indexes.vectors import Vectors
    from retrieval.encoders.protocols import Encoder

    Recorded: TypeAlias = Mapping[str, Any]

Kind: TypeAlias = Literal["image", "text"]

LEAST_COSINE = 0.98
"""Between two vectors of one image by one encoder; other devices and precisions stay above."""

PHRASES_ASKED = ("a dog on a beach", "a bus in the snow")

_EDITION = 1
"""Of the probes: vectors of others are not compared with these."""

_NAMES: dict[Kind, tuple[str, ...]] = {
    "image": ("the first made image", "the second made image"),
    "text": tuple(f"the words {phrase!r}" for phrase in PHRASES_ASKED),
}


@dataclass(slots=True)
class _Memory:
    """What is known of one encoder in this process."""

    seen: dict[Kind, Vectors] = field(default_factory=dict)
    wanted: set[Kind] = field(default_factory=set)
    expected: list[Recorded] = field(default_factory=list)


_MEMORIES: WeakKeyDictionary[Any, _Memory] = WeakKeyDictionary()


def made_images() -> list[Image.Image]:
    """Return the two images: made by integer arithmetic, so that they are the same everywhere and for ever.

    One is a landscape of smooth and of textured parts, one a mosaic of colours; neither is square, symmetric or grey, so that
    another crop, another order of channels or another normalisation gives other vectors.
    """
    from PIL import Image

    y, x = np.mgrid[0:144, 0:192]  # (h, w)
    sky = np.stack((90 + y // 2, 140 + 2 * y // 5, 230 - y // 3), axis=-1)  # (h, w, 3)
    grass = np.stack((60 + (7 * x + 3 * y) % 40, 110 + (5 * x + 11 * y) % 48, 40 + y // 8), axis=-1)
    sun = np.stack((240 + 0 * x, 205 + (x + y) % 16, 60 + 0 * x), axis=-1)
    roof = np.stack((200 + 0 * x, 40 + (3 * x + y) % 32, 30 + y // 6), axis=-1)
    scene = np.where((8 * y > 5 * 144 + x // 2)[..., np.newaxis], grass, sky)
    scene = np.where(((x - 150) ** 2 + (y - 34) ** 2 < 22**2)[..., np.newaxis], sun, scene)
    scene = np.where(((abs(x - 58) < y - 44) & (y < 118))[..., np.newaxis], roof, scene)
    y, x = np.mgrid[0:176, 0:128]
    tile = 3 * (x // 22) + 5 * (y // 25)
    shade = (x * y // 300) % 24
    mosaic = np.stack(
        (30 + 53 * tile % 200 + shade, 20 + 91 * tile % 210 + shade, 200 - 37 * tile % 180), axis=-1
    )
    return [Image.fromarray(pixels.astype(np.uint8)) for pixels in (scene, mosaic)]


def expect(encoder: Encoder, recorded: Recorded | None) -> bool:
    """Refuse an encoder that gives the probes other vectors than were recorded, when it next encodes images, or words.

    One that has been asked in this process already is compared at once.

    Args:
        encoder: of the fingerprint that they were recorded for.
        recorded: what `vectors_of_probes` returned once; None if nothing was recorded.
    Returns:
        Whether there is anything to compare with.
    Raises:
        SpaceMismatch: it gave others before; otherwise `retrieval.encoders.checked` raises this.
        StoreCorrupt: what was recorded cannot be read.
    """
    if recorded is None or recorded.get("edition") != _EDITION:
        return False
    memory = _memory(encoder)
    if memory is None:  # nothing can be remembered of it
        for kind in _kinds(encoder):
            _compare(encoder, kind, _ask(encoder, kind), recorded)
        return True
    for kind, rows in memory.seen.items():
        _compare(encoder, kind, rows, recorded)
    if recorded not in memory.expected and len(memory.seen) < len(_kinds(encoder)):
        memory.expected.append(recorded)
        memory.wanted.update(kind for kind in _kinds(encoder) if kind not in memory.seen)
    return True


def note_when_encoding(encoder: Encoder) -> None:
    """Take the probes' vectors from the batches that the encoder encodes next, for `vectors_of_probes`."""
    memory = _memory(encoder)
    if memory is not None:
        memory.wanted.update(kind for kind in _kinds(encoder) if kind not in memory.seen)


def vectors_of_probes(encoder: Encoder) -> Recorded:
    """Return what a manifest records of an encoder's vectors for the probes; those not noted yet are encoded now.

    Each is a vector's direction in bytes, which costs less than 0.001 of the cosine and half of what float16 takes.
    """
    memory = _memory(encoder)
    recorded: dict[str, Any] = {"edition": _EDITION}
    for kind in _kinds(encoder):
        rows = memory.seen.get(kind) if memory is not None else None
        if rows is None:
            try:
                rows = _ask(encoder, kind)
            except RetrievalError:
                if kind == "image":
                    raise
                continue  # a text tower that cannot be had here: of images there is something to record
            note_vectors(encoder, kind, rows)
        recorded[kind] = [binascii.b2a_base64(_packed(row).tobytes(), newline=False).decode() for row in rows]
    return recorded


def riders_of_images(encoder: Encoder, *, in_bytes: bool = False) -> NDArray[Any] | None:
    """Return ``(p, ...)`` preprocessed probes to encode with the next batch of images; None if nobody waits for them.

    Args:
        encoder: to encode them.
        in_bytes: they are to be as a `ByteEncoder` takes them.
    """
    if not _is_due(encoder, "image"):
        return None
    if in_bytes and isinstance(encoder, ByteEncoder):
        return np.stack([encoder.preprocess_bytes(image) for image in made_images()])  # (p, h, w, 3)
    return _pixels(encoder)


def riders_of_words(encoder: Encoder) -> Sequence[str]:
    """Return the phrases to encode with the next words; none if nobody waits for them."""
    return PHRASES_ASKED if _is_due(encoder, "text") else ()


def note_vectors(encoder: Encoder, kind: Kind, rows: Any) -> None:
    """Compare the probes' vectors with what is expected, and remember them.

    Args:
        encoder: gave them.
        kind: whether the probes are images or words.
        rows: ``(p, d)``, as they left the encoder.
    Raises:
        SpaceMismatch: others were recorded.
    """
    memory = _memory(encoder)
    if memory is None:
        return
    vectors: Vectors = np.asarray(rows, dtype=np.float32)
    for recorded in memory.expected:
        _compare(encoder, kind, vectors, recorded)
    memory.seen[kind] = vectors
    memory.wanted.discard(kind)
    if not memory.wanted:
        memory.expected.clear()


def _memory(encoder: Encoder) -> _Memory | None:
    """Return what is remembered of an encoder; None where nothing can be: it has no hash or no weak reference."""
    with suppress(TypeError):
        return _MEMORIES.setdefault(encoder, _Memory())
    return None


def _is_due(encoder: Encoder, kind: Kind) -> bool:
    with suppress(TypeError):
        memory = _MEMORIES.get(encoder)
        return memory is not None and kind in memory.wanted
    return False


def _kinds(encoder: Encoder) -> tuple[Kind, ...]:
    return ("image", "text") if isinstance(encoder, TextEncoder) else ("image",)


def _ask(encoder: Encoder, kind: Kind) -> Vectors:
    if kind == "text" and isinstance(encoder, TextEncoder):
        return np.asarray(encoder.encode_text(PHRASES_ASKED), dtype=np.float32)
    return np.asarray(encoder.encode_pixels(_pixels(encoder)), dtype=np.float32)


def _pixels(encoder: Encoder) -> NDArray[np.float32]:
    return np.stack([encoder.preprocess(image) for image in made_images()])  # (p, ...)


def _packed(row: Vectors) -> NDArray[np.int8]:
    """Return the direction of a vector in whole numbers; all zeros for what is no vector."""
    largest = float(np.max(np.abs(row), initial=0.0))
    if not np.isfinite(row).all() or largest == 0.0:
        return np.zeros(len(row), dtype=np.int8)
    return np.asarray(np.rint(row * (127 / largest)), dtype=np.int8)


def _compare(encoder: Encoder, kind: Kind, rows: Vectors, recorded: Recorded) -> None:
    if kind not in recorded:
        return
    space = encoder.space
    for name, row, text in zip(_NAMES[kind], rows, recorded[kind], strict=True):
        before = _unpacked(text, dim=space.dim)
        if not before.any():
            continue
        length = float(np.linalg.norm(row)) * float(np.linalg.norm(before))
        cosine = float(row @ before) / length if length > 0 else 0.0
        if not cosine >= LEAST_COSINE:  # nor where it is no number
            raise SpaceMismatch(
                f"the encoder {space.name} gives {name} another vector than when this collection was built (cosine {cosine:.2f}, "
                f"at least {LEAST_COSINE} is expected), though both have the fingerprint {space.fingerprint[:12]}…: its weights, "
                "preprocessing or runtime have changed; use the encoder that built the collection, or give this one a "
                "fingerprint of its own and build another collection"
            )


def _unpacked(text: Any, *, dim: int) -> NDArray[np.float32]:
    try:
        row = np.frombuffer(binascii.a2b_base64(text, strict_mode=True), dtype=np.int8)
    except (TypeError, ValueError) as error:
        raise StoreCorrupt(
            f"the manifest's vectors of probes cannot be read ({error}); restore it from a backup"
        ) from error
    if len(row) != dim:
        raise StoreCorrupt(
            f"the manifest's vectors of probes are {len(row)} wide, expected {dim}; restore it from a backup"
        )
    return row.astype(np.float32)
