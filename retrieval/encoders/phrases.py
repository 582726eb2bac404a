"""List everyday phrases, for measuring how well an index answers text queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.encoders.checked import checked_text
from retrieval.encoders.protocols import TextEncoder

if TYPE_CHECKING:
    from indexes.vectors import Vectors
    from retrieval.encoders.protocols import Encoder

_SUBJECTS = (
    "a dog", "a cat", "a horse", "a bird", "a fish", "an elephant", "a man", "a woman", "a child", "a crowd of people",
    "a car", "a red bus", "a bicycle", "a train", "a boat", "an airplane", "a house", "a church", "a bridge", "a city street",
    "a mountain", "a beach", "the sea", "a forest", "a river", "snow", "a sunset", "the night sky", "a garden", "a flower",
    "a tree", "an apple", "a pizza", "a cup of coffee", "a birthday cake", "a table", "a chair", "a sofa", "a bed", "a kitchen",
    "a book", "a computer", "a telephone", "a clock", "a guitar", "a ball", "a shirt", "shoes", "a hat", "a pair of glasses",
)  # fmt: skip
_SCENES = (
    "{}",
    "{} in the snow",
    "{} by the water",
    "a black and white photograph of {}",
    "a close-up of {}",
    "{} at night",
)

PHRASES: tuple[str, ...] = tuple(scene.format(subject) for subject in _SUBJECTS for scene in _SCENES)


def encode_phrases(encoder: Encoder) -> Vectors | None:
    """Return the unit vectors of `PHRASES`, ``(300, d)`` float32; ``None`` for an encoder without a text tower."""
    return checked_text(encoder, PHRASES) if isinstance(encoder, TextEncoder) else None
