"""Change the pixels of an image towards a target, and measure the change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.activation.pixels.fidelity import (
        Pixels as Pixels,
        linf as linf,
        psnr as psnr,
        ssim as ssim,
    )
    from retrieval.activation.pixels.objectives import find_rivals as find_rivals, objective as objective
    from retrieval.activation.pixels.perturbation import perturb as perturb
    from retrieval.activation.pixels.visibility import noticeable as noticeable

lazy(__name__)
