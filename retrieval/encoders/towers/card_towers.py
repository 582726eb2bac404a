"""Run a torch model's towers on an accelerator: half-precision weights, channels last, bytes normalised there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch
    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.encoders import Preprocessing
    from retrieval.encoders.towers.tower import Tower

COMPILE_AFTER = 50_000
"""Images encoded by a process after which compiling is tried: it takes half a minute or more."""

LEAST_COSINE_OF_HALVES = 0.999
"""Between a vector by float32 weights and one by float16 weights; below it the weights stay float32."""

_LEAST_GAIN = 1.05  # times as fast that a compiled tower must be
_TRIALS = 3


class CardTowers:
    """The towers of one torch model on one accelerator.

    Args:
        network: loads the torch model, anew with each call.
        towers: by name, such as ``image`` and ``text``.
        device: torch's name of it.
        how: how pixels are normalised.
        half: whether weights are float16; by default on CUDA.

    Attributes:
        half: whether they are.
        compiled: the shape of image batches for which a compiled tower is used; None where compiling did not win, or was not
            tried yet.
    """

    half: bool
    compiled: tuple[int, ...] | None

    def __init__(
        self,
        network: Callable[[], Any],
        towers: Mapping[str, Tower],
        *,
        device: str,
        how: Preprocessing,
        half: bool | None = None,
    ) -> None:
        self._load, self._towers, self._device, self._how = network, dict(towers), device, how
        self._lock = forks.Lock()
        self.half = device.startswith("cuda") if half is None else half
        self._network: Any = None
        self._colours: Any = None  # mean and deviation of each channel, (3,) each, there
        self._encoded, self._tried = 0, False
        self._fast: Any = None
        self.compiled = None

    def encode(self, name: str, inputs: NDArray[Any]) -> Vectors:
        """Return ``(b, d)`` float32 unit rows of a tower's inputs.

        Args:
            name: of the tower.
            inputs: what the tower takes, or pixels ``(b, h, w, 3)`` uint8, which are normalised on the device.
        """
        import torch

        network = self._placed()
        try:
            with torch.inference_mode():
                given = self._given(network, inputs)
                rows: Vectors = _unit(self._run(network, name, given)).cpu().numpy()
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()  # blocks of the larger batch would stand in the smaller one's way
            raise
        return rows

    def array(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return memory for bytes that are going to the device: pinned where it is CUDA, so that copying takes no detour."""
        import torch

        made: NDArray[np.uint8] = torch.empty(
            shape, dtype=torch.uint8, pin_memory=self._device.startswith("cuda")
        ).numpy()
        return made

    def _placed(self) -> Any:
        if self._network is None:
            with self._lock:
                if self._network is None:
                    self._network = self._made()
        return self._network

    def _made(self) -> Any:
        """Load the model, and halve its weights if that hardly changes its vectors."""
        network = self._moved()
        if not self.half:
            return network
        import torch

        with torch.inference_mode():
            asked = {name: tower.example() for name, tower in self._towers.items()}
            right = {name: self._vectors(network, name, asked[name]) for name in asked}
            network = network.half()
            near = [self._vectors(network, name, asked[name]) for name in asked]
        least = min(
            float((one * other).sum(dim=-1).min()) for one, other in zip(right.values(), near, strict=True)
        )
        if least >= LEAST_COSINE_OF_HALVES:  # not so where it is no number either
            return network
        self.half = False
        return self._moved()  # the halved weights have lost digits

    def _moved(self) -> Any:
        import torch

        return self._load().to(self._device).to(memory_format=torch.channels_last)

    def _vectors(self, network: Any, name: str, inputs: NDArray[Any]) -> torch.Tensor:
        return _unit(self._towers[name].encode(network, self._given(network, inputs)))

    def _given(self, network: Any, inputs: NDArray[Any]) -> torch.Tensor:
        """Return inputs on the device, in the precision of the weights."""
        import torch

        given = torch.from_numpy(np.ascontiguousarray(inputs)).to(self._device, non_blocking=True)
        kind = next(network.parameters()).dtype
        if given.dtype == torch.uint8:  # (b, h, w, 3)
            if self._colours is None:
                self._colours = tuple(
                    255 * torch.tensor(values, device=self._device)
                    for values in (self._how.mean, self._how.std)
                )
            mean, std = self._colours
            made: torch.Tensor = ((given - mean) / std).to(kind).permute(0, 3, 1, 2)
            return made  # (b, 3, h, w), channels last
        if given.is_floating_point():
            last = torch.channels_last if given.ndim == 4 else torch.contiguous_format
            return given.to(kind, memory_format=last)
        return given

    def _run(self, network: Any, name: str, given: torch.Tensor) -> Any:
        encode = self._towers[name].encode
        if name != "image":
            return encode(network, given)
        if self._fast is not None and tuple(given.shape) == self.compiled:
            return self._fast(given)
        features = encode(network, given)
        self._encoded += len(given)
        if self._encoded >= COMPILE_AFTER and not self._tried:
            self._tried = True
            self._try_to_compile(lambda pixels: encode(network, pixels), given)
        return features

    def _try_to_compile(self, plain: Callable[[Any], Any], given: torch.Tensor) -> None:
        """Compile the image tower for batches of this shape, and keep that if it is faster and gives the same."""
        import torch

        try:
            fast = torch.compile(plain, dynamic=False)
            same = float((_unit(fast(given)) * _unit(plain(given))).sum(dim=-1).min())
            gain = self._seconds(plain, given) / self._seconds(fast, given)
        except torch.OutOfMemoryError:
            return
        except Exception:  # noqa: BLE001 - an attempt: compilers are missing in as many ways as there are machines
            return
        if same >= LEAST_COSINE_OF_HALVES and gain >= _LEAST_GAIN:
            self._fast, self.compiled = fast, tuple(given.shape)

    def _seconds(self, run: Callable[[Any], Any], given: torch.Tensor) -> float:
        import torch

        best = np.inf
        for _ in range(_TRIALS):
            began = time.perf_counter()
            run(given)
            if self._device.startswith("cuda"):
                torch.cuda.synchronize(self._device)
            best = min(best, time.perf_counter() - began)
        return best


def _unit(features: torch.Tensor) -> torch.Tensor:
    """Return unit rows in float32, whatever the precision of the features."""
    import torch

    return torch.nn.functional.normalize(features.float(), dim=-1)
