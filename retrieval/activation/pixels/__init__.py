"""Change the pixels of an image towards a target, and measure the change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.activation.pixels.fidelity import Pixels, linf, psnr, ssim
    from retrieval.activation.pixels.objectives import find_rivals, objective
    from retrieval.activation.pixels.perturbation import perturb
    from retrieval.activation.pixels.visibility import noticeable

__all__ = ["Pixels", "find_rivals", "linf", "noticeable", "objective", "perturb", "psnr", "ssim"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "fidelity": ("Pixels", "linf", "psnr", "ssim"),
            "objectives": ("find_rivals", "objective"),
            "perturbation": ("perturb",),
            "visibility": ("noticeable",),
        },
    )
