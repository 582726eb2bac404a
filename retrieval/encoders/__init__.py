"""Encoders: what turns images and words into vectors, by name or as any object that keeps the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.checked import checked_pixels, checked_text, sound_pixels
    from retrieval.encoders.checkpoints import hub_file, url_file
    from retrieval.encoders.devices import (
        BatchSize,
        Session,
        allowed_threads,
        check_device_name,
        is_out_of_memory,
        onnx_providers,
        onnx_runtime,
        require_device,
        torch_device,
    )
    from retrieval.encoders.encoding import CallableEncoder, encode
    from retrieval.encoders.fingerprints import (
        cache_directory,
        fingerprint,
        hash_file,
        hash_weights,
        space_fingerprint,
    )
    from retrieval.encoders.phrases import encode_phrases
    from retrieval.encoders.preprocessing import (
        Preprocessing,
        cropped,
        differentiable,
        normalised,
        preprocess,
    )
    from retrieval.encoders.probes import (
        LEAST_COSINE,
        expect,
        made_images,
        note_when_encoding,
        vectors_of_probes,
    )
    from retrieval.encoders.protocols import (
        ByteEncoder,
        DifferentiableEncoder,
        Encoder,
        EncoderFamily,
        EncoderLike,
        TextEncoder,
        VocabularyEncoder,
    )
    from retrieval.encoders.registry import FamilyInfo, canonical_spec, installed_families, load_encoder
    from retrieval.encoders.vocabulary import Vocabulary

__all__ = [
    "LEAST_COSINE",
    "BatchSize",
    "ByteEncoder",
    "CallableEncoder",
    "DifferentiableEncoder",
    "Encoder",
    "EncoderFamily",
    "EncoderLike",
    "FamilyInfo",
    "Preprocessing",
    "Session",
    "TextEncoder",
    "Vocabulary",
    "VocabularyEncoder",
    "allowed_threads",
    "cache_directory",
    "canonical_spec",
    "check_device_name",
    "checked_pixels",
    "checked_text",
    "cropped",
    "differentiable",
    "encode",
    "encode_phrases",
    "expect",
    "fingerprint",
    "hash_file",
    "hash_weights",
    "hub_file",
    "installed_families",
    "is_out_of_memory",
    "load_encoder",
    "made_images",
    "normalised",
    "note_when_encoding",
    "onnx_providers",
    "onnx_runtime",
    "preprocess",
    "require_device",
    "sound_pixels",
    "space_fingerprint",
    "torch_device",
    "url_file",
    "vectors_of_probes",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "checked": ("checked_pixels", "checked_text", "sound_pixels"),
            "checkpoints": ("hub_file", "url_file"),
            "devices": (
                "BatchSize",
                "Session",
                "allowed_threads",
                "check_device_name",
                "is_out_of_memory",
                "onnx_providers",
                "onnx_runtime",
                "require_device",
                "torch_device",
            ),
            "encoding": ("CallableEncoder", "encode"),
            "fingerprints": (
                "cache_directory",
                "fingerprint",
                "hash_file",
                "hash_weights",
                "space_fingerprint",
            ),
            "phrases": ("encode_phrases",),
            "preprocessing": ("Preprocessing", "cropped", "differentiable", "normalised", "preprocess"),
            "probes": ("LEAST_COSINE", "expect", "made_images", "note_when_encoding", "vectors_of_probes"),
            "protocols": (
                "ByteEncoder",
                "DifferentiableEncoder",
                "Encoder",
                "EncoderFamily",
                "EncoderLike",
                "TextEncoder",
                "VocabularyEncoder",
            ),
            "registry": ("FamilyInfo", "canonical_spec", "installed_families", "load_encoder"),
            "vocabulary": ("Vocabulary",),
        },
    )
