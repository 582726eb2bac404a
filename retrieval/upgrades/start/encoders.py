"""Decide between which encoders a collection can be upgraded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.vectors import linear_maps
from retrieval.encoders import canonical_spec, expect, load_encoder
from retrieval.errors import EncoderError, OptionError, RetrievalError
from retrieval.upgrades.start.succession import require_another
from retrieval.upgrades.trial import Extension

if TYPE_CHECKING:
    from indexes.generation import Manifest
    from indexes.vectors import Space
    from retrieval.encoders import Encoder, EncoderLike


def new_encoder(encoder: EncoderLike, manifest: Manifest, *, device: str) -> tuple[Encoder, str | None]:
    """Load the new encoder and refuse what can be no upgrade."""
    kept = manifest.upgrades[-1] if manifest.upgrades else {}
    if kept.get("previous"):
        raise OptionError(
            f"the vectors of {kept['old'] or kept['old_space']['name']} are still kept for a rollback; give them up first "
            "with `finish_upgrade`"
        )
    spec = canonical_spec(encoder) if isinstance(encoder, str) else getattr(encoder, "spec", None)
    if isinstance(encoder, str) and spec == manifest.encoder:
        raise OptionError(f"the collection holds vectors of {spec} already; name another encoder")
    loaded = load_encoder(encoder, device=device)
    if not (
        callable(getattr(loaded, "preprocess", None)) and callable(getattr(loaded, "encode_pixels", None))
    ):
        raise EncoderError(
            f"{loaded.space.name} reads no images, so it cannot encode a gallery; name another"
        )
    if manifest.space.same_as(loaded.space):
        raise OptionError(
            f"{loaded.space.name} gives vectors of the collection's own space {manifest.space}; there is nothing to upgrade"
        )
    require_another(loaded, manifest)
    return loaded, spec


def old_encoder_of(encoder: EncoderLike | None, manifest: Manifest, *, device: str) -> Encoder | None:
    """Return the old encoder, None if it cannot be had: what is stored can still be measured by labels."""
    if encoder is None:
        if manifest.encoder is None:
            return None
        try:
            loaded = load_encoder(manifest.encoder, device=device)
        except RetrievalError:
            return None
    else:
        loaded = load_encoder(encoder, device=device)
    manifest.space.require(loaded.space, what=f"the encoder {loaded.space.name}")
    expect(loaded, manifest.probes.get(loaded.space.fingerprint))
    return loaded


def extension_of(encoder: Encoder, space: Space) -> Extension | None:
    """Return how the encoder asks galleries of an old space that it was trained to extend; None for any other space."""
    if not any(space.same_as(known) for known in getattr(encoder, "extends", ())):
        return None
    maps = getattr(encoder, "maps_back", None)
    if maps is None:
        return Extension(image=linear_maps.extension(encoder.space, space))
    image, text = maps(space)
    return Extension(image=image, text=text)
