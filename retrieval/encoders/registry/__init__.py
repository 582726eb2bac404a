"""Find an encoder by its spec: built-in families, plug-ins, objects of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.registry.registry import (
        FamilyInfo,
        canonical_spec,
        installed_families,
        load_encoder,
    )

__all__ = ["FamilyInfo", "canonical_spec", "installed_families", "load_encoder"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "registry": ("FamilyInfo", "canonical_spec", "installed_families", "load_encoder"),
        },
    )
