"""Losses and fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.training.learned_rotation import fit_prefix_rotation

__all__ = ["fit_prefix_rotation"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "learned_rotation": ("fit_prefix_rotation",),
        },
    )
