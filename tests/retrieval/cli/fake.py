"""A family of encoders that a command line can name."""

from __future__ import annotations

from retrieval.testing import FakeEncoder


class Family:
    """`FakeEncoder` as the scheme ``fake``, so that a command line can name it."""

    scheme = "fake"
    install = None
    image = text = True
    differentiable = False

    def available(self) -> bool:
        return True

    def models(self) -> list[str]:
        return ["fake@1"]

    def open(self, model, version, *, device):
        return FakeEncoder()


FAMILY = Family()
