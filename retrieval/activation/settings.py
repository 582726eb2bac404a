"""Check the settings of an activation run: steps, strength, least PSNR, format and quality of the copies."""

from __future__ import annotations

import math
from dataclasses import dataclass

from retrieval.activation.originals import FORMATS
from retrieval.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a run changes images and saves them; each as in `retrieval.activate`.

    Raises:
        OptionError: a value that cannot be.
    """

    steps: int
    strength: float
    robust: bool
    min_psnr: float
    format: str
    quality: int | None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise OptionError(f"steps is {self.steps}; it must be at least 1")
        if not (math.isfinite(self.strength) and self.strength > 0):
            raise OptionError(f"strength is {self.strength}; it must be above 0 (3 is usual)")
        if not (math.isfinite(self.min_psnr) and self.min_psnr > 0):
            raise OptionError(f"min-psnr is {self.min_psnr}; it must be above 0 dB (38 is usual)")
        if self.format not in FORMATS:
            raise OptionError(f"format {self.format!r} is none of {', '.join(FORMATS)}")
        if self.quality is not None and self.format == "png":
            raise OptionError("quality has no meaning for png, which loses nothing; choose jpeg or webp")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"quality is {self.quality}; it lies between 1 and 100")
