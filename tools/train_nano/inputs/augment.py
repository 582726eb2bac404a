"""Strong augmentation on whole batches of tensors: every copy that nano must still recognise."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F


def jpeg(pixels: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Compress one ``(h, w, 3)`` uint8 image as JPEG of quality 8 to 50, at its own size or enlarged first."""
    side = pixels.shape[0]
    image = Image.fromarray(pixels)
    if generator.random() < 0.5:
        larger = int(side * generator.uniform(1.2, 1.8))
        image = image.resize((larger, larger), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=int(generator.integers(8, 50)))
    return np.asarray(Image.open(stream).resize((side, side), Image.Resampling.BILINEAR))


def _uniform(n: int, low: float, high: float, like: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=g).to(like.device) * (high - low) + low


def _chosen(n: int, share: float, like: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return (torch.rand(n, generator=g) < share).to(like.device)


def random_affine(x: torch.Tensor, side: int, g: torch.Generator, *, harder: bool = False) -> torch.Tensor:
    """Crop, stretch, rotate and flip each image at once, resampled to ``(b, 3, side, side)``.

    A third of the images, and most that are turned, keep their whole frame; other crops keep 15 % to 100 % of the area.
    Half are turned: a fifth by a multiple of 90 degrees, a quarter by up to 40, the others by a few. What lies
    outside the frame is black, or now and then another tone. ``harder`` turns a third by a multiple of 90 degrees, cuts a fifth down to 16 % to 30 %, most
    at their middle, and puts a tenth between bars, as the screen of a telephone does.
    """
    n = len(x)
    kind = torch.rand(n, generator=g).to(x.device)
    quarters, slight, few = (0.33, 0.55, 0.61) if harder else (0.2, 0.45, 0.53)
    # A copy is rarely cut down and turned at once: a small tower that only sees both together learns neither.
    whole = _chosen(n, 0.33, x, g) | ((kind < slight) & _chosen(n, 0.6, x, g))
    area = torch.where(
        whole, torch.ones_like(whole, dtype=x.dtype), _uniform(n, math.log(0.15), 0.0, x, g).exp()
    )
    stretch = torch.where(whole, torch.zeros_like(area), _uniform(n, -0.15, 0.15, x, g))
    scale_x, scale_y = area.sqrt() * stretch.exp(), area.sqrt() / stretch.exp()  # half extents of the crop
    outer = _chosen(n, 0.06, x, g)  # a frame around the whole picture, as screenshots have
    frame = _uniform(n, 1.05, 1.5, x, g)
    scale_x, scale_y = torch.where(outer, frame, scale_x), torch.where(outer, frame, scale_y)
    room_x, room_y = (1 - scale_x).abs(), (1 - scale_y).abs()
    middle = (~_chosen(n, 0.3, x, g)).to(x.dtype)  # three in ten crops are central
    shift_x = _uniform(n, -1, 1, x, g) * room_x * middle
    shift_y = _uniform(n, -1, 1, x, g) * room_y * middle
    angle = torch.zeros_like(area)
    angle = torch.where(kind < few, _uniform(n, -8, 8, x, g), angle)
    angle = torch.where(kind < slight, _uniform(n, -40, 40, x, g), angle)
    quarter = torch.randint(1, 4, (n,), generator=g).to(x.device).to(x.dtype) * 90
    angle = torch.where(kind < quarters, quarter, angle) * (math.pi / 180)
    if harder:
        upright = (kind >= quarters) & ~outer
        deep = upright & _chosen(n, 0.35, x, g)
        side_x = side_y = _uniform(n, 0.16, 0.3, x, g).sqrt()
        scale_x, scale_y = torch.where(deep, side_x, scale_x), torch.where(deep, side_y, scale_y)
        off_middle = (~_chosen(n, 0.6, x, g)).to(x.dtype)
        shift_x = torch.where(deep, _uniform(n, -1, 1, x, g) * (1 - side_x) * off_middle, shift_x)
        shift_y = torch.where(deep, _uniform(n, -1, 1, x, g) * (1 - side_y) * off_middle, shift_y)
        barred = upright & ~deep & _chosen(n, 0.25, x, g)
        high = _uniform(n, 1.15, 2.2, x, g)
        scale_x, scale_y = (
            torch.where(barred, torch.ones_like(area), scale_x),
            torch.where(barred, high, scale_y),
        )
        shift_x = torch.where(barred, torch.zeros_like(area), shift_x)
        shift_y = torch.where(barred, _uniform(n, -1, 1, x, g) * (high - 1), shift_y)
        angle = torch.where(deep | barred, torch.zeros_like(angle), angle)
    flip = torch.where(_chosen(n, 0.5, x, g), -1.0, 1.0).to(x.dtype)
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack(
        [
            torch.stack([scale_x * cos * flip, -scale_x * sin, shift_x], 1),
            torch.stack([scale_y * sin * flip, scale_y * cos, shift_y], 1),
        ],
        1,
    )  # (b, 2, 3)
    grid = F.affine_grid(theta, [n, 3, side, side], align_corners=False)
    tone = torch.where(_chosen(n, 0.3, x, g), _uniform(n, 0, 1, x, g), torch.zeros_like(area))[
        :, None, None, None
    ]
    return F.grid_sample(x - tone, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + tone


def random_colour(x: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Change brightness (up to twice), contrast, saturation and tint of each image in [0, 1]; one in five turns grey."""
    n = len(x)
    change = _chosen(n, 0.6, x, g)
    one, zero = torch.ones(n, device=x.device), torch.zeros(n, device=x.device)
    bright = torch.where(change, _uniform(n, math.log(0.55), math.log(2.0), x, g).exp(), one)
    contrast = torch.where(change, _uniform(n, 0.6, 1.4, x, g), one)
    colour = torch.where(change, _uniform(n, 0.3, 1.5, x, g), one)
    colour = torch.where(_chosen(n, 0.2, x, g), zero, colour)
    tint = 1 + 0.08 * torch.randn(n, 3, generator=g).to(x.device) * change[:, None]

    def wide(v: torch.Tensor) -> torch.Tensor:
        return v.view(n, -1, 1, 1)

    x = (x * wide(bright) * wide(tint)).clamp(0, 1)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * wide(contrast) + mean
    luma = (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return (luma + (x - luma) * wide(colour)).clamp(0, 1)


def random_hue(x: torch.Tensor, g: torch.Generator, *, share: float = 0.2) -> torch.Tensor:
    """Turn the hues of a ``share`` of the images by up to 80 degrees of the colour circle (the chroma of YIQ turned)."""
    n = len(x)
    angle = torch.where(
        _chosen(n, share, x, g), _uniform(n, -1.4, 1.4, x, g), torch.zeros(n, device=x.device)
    )
    to_yiq = x.new_tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    turn = torch.eye(3, device=x.device).repeat(n, 1, 1)
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -angle.sin(), angle.sin()
    whole = torch.linalg.inv(to_yiq) @ turn @ to_yiq  # (b, 3, 3)
    return torch.einsum("bij,bjhw->bihw", whole, x).clamp(0, 1)


def _blur(x: torch.Tensor, sigma: float) -> torch.Tensor:
    radius = max(1, math.ceil(2.5 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=x.device) / sigma) ** 2)
    taps = (taps / taps.sum()).to(x.dtype)
    rows, columns = taps.view(1, 1, 1, -1).repeat(3, 1, 1, 1), taps.view(1, 1, -1, 1).repeat(3, 1, 1, 1)
    x = F.conv2d(F.pad(x, (radius, radius, 0, 0), mode="replicate"), rows, groups=3)
    return F.conv2d(F.pad(x, (0, 0, radius, radius), mode="replicate"), columns, groups=3)


def random_softening(x: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Blur an eighth of the batch, shrink an eighth to 36 to 72 px and enlarge it again, and add noise to a tenth."""
    n, side = len(x), x.shape[-1]
    order = torch.randperm(n, generator=g).to(x.device)
    eighth = n // 8
    pieces = [x[order[2 * eighth :]]]
    for part in torch.split(order[: 2 * eighth], max(1, eighth // 2)):
        piece = x[part]
        draw = torch.rand(2, generator=g).tolist()
        if draw[0] < 0.5:
            piece = _blur(piece, (0.5 + 1.6 * draw[1]) * side / 112)
        else:
            small = int(36 + 36 * draw[1])
            piece = F.interpolate(piece, size=(small, small), mode="bilinear", antialias=True)
            piece = F.interpolate(piece, size=(side, side), mode="bilinear")
        pieces.append(piece)
    x = torch.cat(pieces)[torch.argsort(torch.cat([order[2 * eighth :], order[: 2 * eighth]]))]
    noisy = torch.randperm(n, generator=g)[: n // 10]
    x[noisy.to(x.device)] += 0.06 * torch.randn((len(noisy), *x.shape[1:]), generator=g).to(x.device)
    return x


def random_overlay(x: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Cover a part of every sixth image by a rectangle of one tone, or of another image of the batch."""
    n, side = len(x), x.shape[-1]
    x = x.clone()
    for i in torch.randperm(n, generator=g)[: n // 6].tolist():
        draw = torch.rand(8, generator=g)
        h, w = (int(side * (0.1 + 0.4 * float(v))) for v in draw[:2])
        top, left = int(float(draw[2]) * (side - h)), int(float(draw[3]) * (side - w))
        if draw[4] < 0.5:
            x[i, :, top : top + h, left : left + w] = draw[5:8].to(x.device)[:, None, None]
        else:
            x[i, :, top : top + h, left : left + w] = x[(i + 1) % n, :, :h, :w].clone()
    return x


def augment(
    pixels: NDArray[np.uint8], side: int, *, seed: int, device: torch.device, harder: bool = False
) -> torch.Tensor:
    """Turn ``(b, s, s, 3)`` uint8 into ``(b, 3, side, side)`` float32 in [0, 1], each image altered at random.

    The same seed gives the same alterations on a CPU. ``harder`` adds what copies were missed after: small crops, screens, turned hues.
    """
    numbers = np.random.default_rng(seed)
    g = torch.Generator().manual_seed(seed)
    hard = pixels.copy()
    for i in np.flatnonzero(numbers.random(len(hard)) < 0.14):
        hard[i] = jpeg(hard[i], numbers)
    x = torch.from_numpy(hard).to(device).permute(0, 3, 1, 2).float() / 255
    x = random_affine(x, side, g, harder=harder)
    if harder:
        x = random_hue(x, g)
    return random_softening(random_overlay(random_colour(x, g), g), g).clamp(0, 1)


def plain(pixels: NDArray[np.uint8], side: int, *, device: torch.device) -> torch.Tensor:
    """Turn ``(b, s, s, 3)`` uint8 into ``(b, 3, side, side)`` float32 in [0, 1]."""
    x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
    if x.shape[-1] != side:  # a CPU scales bytes eight times as fast as floats
        x = F.interpolate(x, size=(side, side), mode="bicubic", antialias=True)
    return x.to(device).float() / 255


def mirrored(x: torch.Tensor) -> torch.Tensor:
    """Mirror every other one of ``(b, c, h, w)`` pictures or maps, in place."""
    x[::2] = x[::2].flip(-1)
    return x


def light(pixels: NDArray[np.uint8], side: int, *, seed: int, device: torch.device) -> torch.Tensor:
    """Turn ``(b, s, s, 3)`` uint8 into ``(b, 3, side, side)`` float32 in [0, 1]; half mirrored, a third recoloured."""
    g = torch.Generator().manual_seed(seed)
    x = mirrored(plain(pixels, side, device=device))
    third = len(x) // 3
    return torch.cat([random_colour(x[:third], g), x[third:]]) if third else x


def normalised(x: torch.Tensor) -> torch.Tensor:
    """Shift [0, 1] to the range that the tower reads; the same constants as `nano.preprocess`."""
    return (x - 0.5) / 0.25
