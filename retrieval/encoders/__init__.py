"""Encoders: what turns images and words into vectors, by name or as any object that keeps the protocol."""

from retrieval.encoders.protocols import (
    DifferentiableEncoder,
    Encoder,
    EncoderFamily,
    TextEncoder,
    VocabularyEncoder,
)
from retrieval.encoders.registry import FamilyInfo, canonical_spec, families, load_encoder

__all__ = [
    "DifferentiableEncoder",
    "Encoder",
    "EncoderFamily",
    "FamilyInfo",
    "TextEncoder",
    "VocabularyEncoder",
    "canonical_spec",
    "families",
    "load_encoder",
]
