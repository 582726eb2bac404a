"""Images made easier to find before they are published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.activation.activation import activate
    from retrieval.activation.originals import Original
    from retrieval.activation.results import Activated

__all__ = ["Activated", "Original", "activate"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "activation": ("activate",),
            "originals": ("Original",),
            "results": ("Activated",),
        },
    )
