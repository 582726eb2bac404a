"""A plug-in with two encoders, old and new, that cost nothing: what the campaign's collections are built with."""

from functools import cache

import numpy as np

from retrieval.errors import UnknownEncoder
from retrieval.testing import GRID, FakeEncoder

WIDTHS = {"old": 32, "new": 40}


class Small(FakeEncoder):
    """A `FakeEncoder` that can be followed back to pixels."""

    device = "cpu"

    def torch_module(self):
        """Return the projection as a module."""
        import torch
        from torch.nn import functional

        weights = torch.from_numpy(np.asarray(self._projection, dtype=np.float32))  # (f, d)

        class Module(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("weights", weights)

            def forward(self, pixels):
                small = functional.adaptive_avg_pool2d(pixels, GRID) - 0.5  # (b, 3, 8, 8)
                flat = small.permute(0, 2, 3, 1).flatten(1)  # (b, f - 1)
                ones = torch.full((len(flat), 1), 0.1)
                return functional.normalize(torch.cat([flat, ones], dim=1) @ self.weights)  # (b, d)

        return Module().eval()


@cache
def encoder(model):
    """Return the encoder of a name."""
    return Small(name=f"campaign:{model}", dim=WIDTHS[model])


class Family:
    """The family ``campaign``."""

    scheme = "campaign"
    install = None
    image = text = differentiable = True

    def available(self):
        """Say that nothing is missing."""
        return True

    def models(self):
        """Return the specs."""
        return [f"campaign:{model}" for model in WIDTHS]

    def open(self, model, version, *, device):
        """Return an encoder; it is on the CPU whatever is asked."""
        del version, device
        if model not in WIDTHS:
            raise UnknownEncoder(f"campaign has no {model}: {', '.join(WIDTHS)}")
        return encoder(model)


FAMILY = Family()
