"""Optimise the pixel change that moves an image's vector to its target (torch).

Active indexing (Fernandez et al. 2023, arXiv 2210.10620): each pixel may change by a bound that a just-noticeable-difference
map sets, ``bound * tanh(delta)``; delta is found by Adam on the cosine between the image's vector and its point. Pixels
change at the image's own resolution; resizing and the rest of the encoder's preprocessing are part of the graph. What an
encoder reads has far fewer pixels than a photograph, so delta is found for a smaller image, of about twice the encoder's
side, and drawn out to all pixels at the end: finer detail would be lost on the encoder, and cost PSNR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from retrieval.activation.pixels.random_edits import TRANSFORMATIONS
from retrieval.activation.pixels.visibility import LUMA
from retrieval.encoders import allowed_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from retrieval.activation import Original

SHARE = 0.15
"""Of the noticeable difference, what channels may change by at strength 1 (root mean square over the three)."""

RMS = 0.665
"""Grey levels that a picture may change by on average (root mean square) at strength 1, however much would go unseen."""

RATE = 1.0  # of Adam: in ten steps the tanh saturates wherever the gradient is large and keeps its sign
EVEN = 3.0
"""Adam's epsilon, against gradients of a root mean square of 1 a picture.

Adam as published moves every pixel alike, which is best where each may change by so much; here the change of the whole
picture is limited too (PSNR), and is best spent where it does most: steps are nearly proportional to the gradient. At the
same 42.1 dB the cosine rises by a fifth more.
"""
EASE = 0.5
"""Exponent by which pixels that may change by more move less readily.

At 0 a pixel's step is as the square of its bound, and nearly all of what PSNR leaves is spent on edges; at 1 it is as the
gradient alone, which gains the most for a PSNR, but even areas are where SSIM falls first.
"""
START = 1e-6
VIEWS = 3  # transformed copies a step with `robust`, beside the image itself


class Loss(Protocol):
    """How far vectors are from where they should be."""

    def __call__(self, vectors: torch.Tensor, *, altered: bool) -> torch.Tensor:
        """Return ``(views, n)`` of ``(views * n, d)`` unit rows, all pictures' first views before all second ones.

        Args:
            vectors: of the pictures, and then of altered copies.
            altered: the first views are altered too.
        """
        ...


def perturb(
    module: torch.nn.Module,
    loss: Loss,
    pictures: Sequence[Original],
    *,
    steps: int,
    strength: float,
    robust: bool,
    side: int | None = None,
    seed: int = 0,
) -> list[NDArray[np.float32]]:
    """Return by how much each pixel should change.

    Args:
        module: from pixels to vectors, as `DifferentiableEncoder.torch_module` returns it.
        loss: less is better.
        pictures: ``n``, of any sizes.
        steps: of Adam.
        strength: factor of the perceptual bound.
        robust: average over the picture and randomly altered copies at each step, so that copies gain too; otherwise every
            other step looks at one altered copy in the picture's place.
        side: short side in pixels of what delta is found for, where pictures are larger; None: their own.
        seed: of the transformations and of the start.
    Returns:
        for each picture ``(h, w, 3)`` float32, in grey levels of 255.
    """
    device = _device(module)
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    canvases = [_Canvas(picture, strength, side, device, generator) for picture in pictures]
    adam = torch.optim.Adam(
        [canvas.delta for canvas in canvases], lr=RATE, eps=EVEN, fused=device.type in ("cpu", "cuda")
    )
    with allowed_threads():
        for step in range(steps):
            shown = [canvas.shown() for canvas in canvases]
            altered = not robust and step % 2 == 1
            views = [] if altered else [shown]
            for _ in range(VIEWS if robust else int(altered)):
                chosen = rng.integers(len(TRANSFORMATIONS), size=len(shown))
                views.append(
                    [TRANSFORMATIONS[kind](image, rng) for kind, image in zip(chosen, shown, strict=True)]
                )
            vectors = _vectors(module, [image for view in views for image in view])  # (views · n, d)
            adam.zero_grad(set_to_none=True)
            torch.autograd.backward(loss(vectors, altered=altered).mean(dim=0).sum())
            for canvas in canvases:
                canvas.even_out()
            adam.step()
    return [canvas.change() for canvas in canvases]


class _Canvas:
    """One picture on the device, with what may be added to it; smaller while delta is sought."""

    def __init__(
        self,
        picture: Original,
        strength: float,
        side: int | None,
        device: torch.device,
        generator: torch.Generator,
    ) -> None:
        self.whole = picture.noticeable  # (h, w)
        height, width = _smaller(self.whole.shape[0], self.whole.shape[1], side)
        self.base = _planes(_resized(picture.pixels, height, width), device)  # (1, 3, h', w')
        self.alpha = None
        if picture.alpha is not None:
            self.alpha = _planes(_resized(picture.alpha, height, width)[..., np.newaxis], device)
        shares = _shares()
        together = float(np.dot(shares, LUMA))  # a grey image's one channel may do to luminance what three do
        weights = torch.tensor([together] if picture.grey else shares).view(1, -1, 1, 1)
        self.weights = (strength / 255 * weights).to(device)  # (1, 3 or 1, 1, 1)
        self.most = strength * RMS / 255
        self.bound, self.ease = self._limits(_resized(self.whole, height, width))
        start = START * torch.randn(self.bound.shape, generator=generator)
        self.delta = start.to(device).requires_grad_()

    def shown(self) -> torch.Tensor:
        """Return the changed picture as the encoder sees it."""
        return self._over_white((self.base + self._added(self.bound, self.ease, self.delta)).clamp(0, 1))

    def even_out(self) -> None:
        """Scale the gradient to a root mean square of 1."""
        grad = self.delta.grad
        if grad is not None:
            grad /= grad.square().mean().sqrt().clamp_min(1e-30)

    def change(self) -> NDArray[np.float32]:
        """Return what is added to the picture at its own size, in grey levels."""
        with torch.no_grad():
            bound, ease, delta = self.bound, self.ease, self.delta
            if delta.shape[-2:] != self.whole.shape:
                bound, ease = self._limits(self.whole)
                delta = F.interpolate(delta, size=self.whole.shape, mode="bicubic", align_corners=False)
            added = (255 * self._added(bound, ease, delta)).expand(1, 3, -1, -1)[0].permute(1, 2, 0)
        result: NDArray[np.float32] = added.cpu().numpy()
        return result

    def _limits(self, map_: NDArray[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return by how much pixels may change, ``(1, 3 or 1, h, w)``, and how readily they do, ``(1, 1, h, w)``."""
        noticeable = torch.from_numpy(map_).to(self.weights.device).view(1, 1, *map_.shape)
        return self.weights * noticeable, (noticeable.mean() / noticeable) ** EASE

    def _added(self, bound: torch.Tensor, ease: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
        """Return what is added: within the bound, and within what the whole picture may change by."""
        added = bound * torch.tanh(ease * delta)  # (1, 3 or 1, h, w)
        scale = self.most / added.detach().square().mean().sqrt().clamp_min(1e-12)
        return added * scale.clamp_max(1.0)

    def _over_white(self, planes: torch.Tensor) -> torch.Tensor:
        return planes if self.alpha is None else self.alpha * planes + (1 - self.alpha)


def _smaller(height: int, width: int, side: int | None) -> tuple[int, int]:
    """Return the size of a picture whose short side is ``side``, or its own where that is no more."""
    short = min(height, width)
    if side is None or short <= side:
        return height, width
    return round(height * side / short), round(width * side / short)


def _resized(array: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Shrink ``(h, w)`` or ``(h, w, 3)`` without aliasing."""
    if array.shape[:2] == (height, width):
        return array
    return np.array(Image.fromarray(array).resize((width, height), Image.Resampling.BOX))


def _shares() -> list[float]:
    """Return each channel's part of the bound: the less it adds to luminance, the less it shows.

    By the root, where the publication takes the inverse itself: nearly all change would then be blue, the channel to which
    encoders pay the least heed and of which JPEG keeps the least.
    """
    inverse = np.sqrt(1 / np.array(LUMA))
    return [float(share) for share in SHARE * inverse / np.sqrt(np.mean(inverse**2))]


def _planes(pixels: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).permute(2, 0, 1)[None].to(device)


def _vectors(module: torch.nn.Module, images: Sequence[torch.Tensor]) -> torch.Tensor:
    """Encode ``(1, 3, h, w)`` images of several sizes: in one batch where the module has its two parts."""
    preprocess, tower = getattr(module, "preprocess", None), getattr(module, "tower", None)
    if preprocess is None or tower is None:
        return torch.cat([module(image) for image in images])
    rows: torch.Tensor = tower(torch.cat([preprocess(image) for image in images]))
    return rows


def _device(module: torch.nn.Module) -> torch.device:
    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return torch.device("cpu")
