"""A family of encoders that tests let command lines and specs name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Encoders of one scheme, made by ``make`` from the model that a spec names, if it names one."""

    scheme: str
    model: str
    make: Callable[[str | None], object]
    install = None
    image = text = True
    differentiable = False

    def available(self) -> bool:
        return True

    def models(self) -> list[str]:
        return [self.model]

    def open(self, model: str | None, version: str | None, *, device: str) -> object:
        return self.make(model)
