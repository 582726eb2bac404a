"""The image side that encoders of the families open_clip and timm share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.encoders import CallableEncoder, cropped, differentiable, normalised, preprocess
from retrieval.encoders.families.torch_models import image_tower, running
from retrieval.encoders.towers import CardTowers, CpuTowers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image

    from indexes.vectors import Space, Vectors
    from retrieval.encoders import Preprocessing
    from retrieval.encoders.families.torch_models import TorchModel
    from retrieval.encoders.towers import Tower


class TorchEncoder(CallableEncoder):
    """A model of a library, where it runs fastest: see `retrieval.encoders.towers`.

    Args:
        model: loads it.
        space: of its vectors.
        how: its preprocessing.
        folder: of its exported graphs.
        device: torch's name.
        encode: maps the model and pixels ``(b, 3, h, w)`` to features ``(b, d)``.
        towers: others by name, such as ``text``.
    """

    def __init__(
        self,
        model: TorchModel,
        *,
        space: Space,
        how: Preprocessing,
        folder: Path,
        device: str,
        encode: Callable[[Any, Any], Any],
        towers: Mapping[str, Tower] | None = None,
    ) -> None:
        self._model, self._space, self._how, self._device = model, space, how, device
        every = {"image": image_tower(how, encode), **(towers or {})}
        self._towers = running(model, every, folder=folder, how=how, device=device)

    @property
    def space(self) -> Space:
        """The space of the vectors."""
        return self._space

    @property
    def device(self) -> str:
        """Where the model runs, such as ``cpu`` or ``cuda:0``."""
        return str(self._device)

    @property
    def trouble(self) -> str | None:
        """Why the model runs slower than it might, in one line; None where nothing is amiss."""
        return self._towers.trouble if isinstance(self._towers, CpuTowers) else None

    @property
    def decode_size(self) -> int:
        """Twice the size that the model's evaluation resizes to."""
        return self._how.decode_size

    def preprocess(self, image: Image.Image) -> NDArray[np.float32]:
        """Return ``(3, h, w)`` float32, as the library's own evaluation transform does."""
        return preprocess(image, self._how)

    def encode_pixels(self, batch: NDArray[np.float32]) -> Vectors:
        """Return ``(b, d)`` float32 unit rows for ``(b, 3, h, w)`` arrays."""
        return self._towers.encode("image", batch)

    def preprocess_bytes(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return ``(h, w, 3)`` uint8: as `preprocess`, but not normalised."""
        return cropped(image, self._how)

    def encode_bytes(self, batch: NDArray[np.uint8]) -> Vectors:
        """Return ``(b, d)`` float32 unit rows for arrays of `preprocess_bytes`, normalised on the card where there is one."""
        if isinstance(self._towers, CardTowers):
            return self._towers.encode("image", batch)
        return self._towers.encode("image", np.stack([normalised(pixels, self._how) for pixels in batch]))

    def bytes_array(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return memory for such arrays, from which the device copies fast."""
        towers = self._towers
        return towers.array(shape) if isinstance(towers, CardTowers) else np.empty(shape, np.uint8)

    def _differentiable(self, part: str | None = None) -> torch.nn.Module:
        """Return the model, or the method of it that reads pixels, with resize and normalisation inside, on its device."""
        network = self._model() if self._device == "cpu" else self._model.taken()
        return differentiable(self._how, getattr(network, part) if part else network, network).to(
            self._device
        )
