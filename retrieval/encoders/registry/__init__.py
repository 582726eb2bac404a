"""Find an encoder by its spec: built-in families, plug-ins, objects of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.registry.registry import (
        FamilyInfo as FamilyInfo,
        canonical_spec as canonical_spec,
        installed_families as installed_families,
        load_encoder as load_encoder,
    )

lazy(__name__)
