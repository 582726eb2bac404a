"""One module for each kind of encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.families.nano import NanoEncoder

__all__ = ["NanoEncoder"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(__name__, {"nano": ("NanoEncoder",)})
