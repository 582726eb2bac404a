"""Encoders: what turns images and words into vectors, by name or as any object that keeps the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.checked import (
        checked_pixels as checked_pixels,
        checked_text as checked_text,
        sound_pixels as sound_pixels,
    )
    from retrieval.encoders.checkpoints import hub_file as hub_file, url_file as url_file
    from retrieval.encoders.devices import (
        BatchSize as BatchSize,
        Session as Session,
        allowed_threads as allowed_threads,
        check_device_name as check_device_name,
        is_out_of_memory as is_out_of_memory,
        onnx_providers as onnx_providers,
        onnx_runtime as onnx_runtime,
        require_device as require_device,
        torch_device as torch_device,
    )
    from retrieval.encoders.encoding import CallableEncoder as CallableEncoder, encode as encode
    from retrieval.encoders.fingerprints import (
        cache_directory as cache_directory,
        fingerprint as fingerprint,
        hash_file as hash_file,
        hash_weights as hash_weights,
        space_fingerprint as space_fingerprint,
    )
    from retrieval.encoders.phrases import encode_phrases as encode_phrases
    from retrieval.encoders.preprocessing import (
        Preprocessing as Preprocessing,
        cropped as cropped,
        differentiable as differentiable,
        normalised as normalised,
        preprocess as preprocess,
    )
    from retrieval.encoders.probes import (
        LEAST_COSINE as LEAST_COSINE,
        expect as expect,
        made_images as made_images,
        note_when_encoding as note_when_encoding,
        vectors_of_probes as vectors_of_probes,
    )
    from retrieval.encoders.protocols import (
        ByteEncoder as ByteEncoder,
        DifferentiableEncoder as DifferentiableEncoder,
        Encoder as Encoder,
        EncoderFamily as EncoderFamily,
        EncoderLike as EncoderLike,
        SpellingEncoder as SpellingEncoder,
        TextEncoder as TextEncoder,
        VocabularyEncoder as VocabularyEncoder,
    )
    from retrieval.encoders.registry import (
        FamilyInfo as FamilyInfo,
        canonical_spec as canonical_spec,
        installed_families as installed_families,
        load_encoder as load_encoder,
    )
    from retrieval.encoders.spelling import Spelling as Spelling
    from retrieval.encoders.vocabulary import Vocabulary as Vocabulary

lazy(__name__)
