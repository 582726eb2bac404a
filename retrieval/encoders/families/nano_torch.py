"""The image tower of `nano` as a torch module, for training and active indexing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from retrieval.encoders.families.nano_text import map_tensors

WIDTHS = (48, 112, 256, 512)
DIM = 256
MEANING = DIM - 1  # components of the tower that a Querybank keeps; the last one says least
# Of a Querybank: chosen on training photographs among temperatures of 0.05 to 0.2 and weights of 0.25 to 1.5.
TEMPERATURE = 0.05
POPULARITY_WEIGHT = 0.5
STEM_STRIDE = 4
HEAD_STAGES = 2
QUERYBANK = "querybank."  # before its tensors' names
SIZE = 160  # px, the side of what preprocessing gives


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """The middle of an image that the tower looks at.

    ``size`` px a side out of `SIZE`, scaled to ``side`` px; its unit vector counts ``weight``.
    """

    size: int
    side: int
    weight: float


# The middle and its weight were chosen on training photographs among middles of 72 to 112 px and weights of 0.4 to 0.8: it raises copies
# found first by 0.05. The whole has a size that the tower trains at; at 96 px both together are a fifth less arithmetic, and small things are told less well.
CROPS = (Crop(size=SIZE, side=112, weight=1.0), Crop(size=80, side=80, weight=0.6))


class ConvNorm(nn.Module):
    """A convolution with bias, followed by batch norm while training; export folds the norm into the convolution."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d | nn.Identity

    def __init__(
        self, width_in: int, width_out: int, size: int, stride: int, padding: int, *, norm: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, size, stride, padding, bias=not norm)
        self.norm = nn.BatchNorm2d(width_out) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve, then normalise while training."""
        out: torch.Tensor = self.norm(self.conv(x))
        return out


class Block(nn.Module):
    """The basic residual block (He et al., 2015) with a pooled shortcut (He et al., 2018, variant D)."""

    first: ConvNorm
    second: ConvNorm
    pool: nn.AvgPool2d | nn.Identity
    shortcut: nn.Identity | ConvNorm

    def __init__(self, width_in: int, width_out: int, stride: int, *, norm: bool) -> None:
        super().__init__()
        self.first = ConvNorm(width_in, width_out, 3, stride, 1, norm=norm)
        self.second = ConvNorm(width_out, width_out, 3, 1, 1, norm=norm)
        self.pool = (
            nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
        )
        same = width_in == width_out and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(width_in, width_out, 1, 1, 0, norm=norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the shortcut to two convolutions."""
        y = self.second(F.relu(self.first(x)))
        return F.relu(y + self.shortcut(self.pool(x)))


class Head(nn.Linear):
    """A linear map and, where ``hidden`` is not 0, what a layer of so many hidden units adds to it.

    The layer tells what depends on several channels at once. It adds nothing before it is trained.
    """

    inner: nn.Linear | None
    outer: nn.Linear | None

    def __init__(self, width_in: int, width_out: int, *, hidden: int = 0) -> None:
        super().__init__(width_in, width_out)
        self.inner = nn.Linear(width_in, hidden) if hidden else None
        self.outer = nn.Linear(hidden, width_out, bias=False) if hidden else None
        if self.outer is not None:
            nn.init.zeros_(self.outer.weight)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the base's name
        """Embed ``(..., c)``: ``(..., d)``."""
        out = super().forward(input)
        if self.inner is None or self.outer is None:
            return out
        added: torch.Tensor = self.outer(F.relu(self.inner(input)))
        return out + added


class ImageTower(nn.Module):
    """A ten-layer residual network of four stages, one block each; the head reads the last two.

    Small things are gone from the last stage's mean, and not yet from that of the stage before (multi-stage features: Sermanet
    et al., 2013, "Pedestrian detection with unsupervised multi-stage feature learning").

    Input: preprocessed RGB, ``(b, 3, s, s)`` float32. ``forward`` gives unit rows ``(b, dim)``; ``raw`` gives them
    before normalisation, for losses that normalise each prefix on its own.
    """

    stem: ConvNorm
    stages: nn.ModuleList
    head: Head

    def __init__(
        self, widths: Sequence[int] = WIDTHS, *, dim: int = DIM, hidden: int = 0, norm: bool = False
    ) -> None:
        super().__init__()
        self.stem = ConvNorm(3, widths[0], 7, STEM_STRIDE, 2, norm=norm)
        before = [widths[0], *widths[:-1]]
        self.stages = nn.ModuleList(
            Block(b, w, 1 if i == 0 else 2, norm=norm)
            for i, (b, w) in enumerate(zip(before, widths, strict=True))
        )
        self.head = Head(sum(widths[-HEAD_STAGES:]), dim, hidden=hidden)

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return what the last two stages see in each place: ``(b, 256, p, p)`` and ``(b, 512, q, q)``."""
        x = F.relu(self.stem(x))  # (b, 48, s/4, s/4)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found[-HEAD_STAGES:]

    def means(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the head reads: the means of the last two stages over all places, ``(b, 768)``."""
        return pooled(self.maps(x))

    def read(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed what `maps` gave, without normalising: ``(b, 256)``."""
        out: torch.Tensor = self.head(pooled(maps))
        return out

    def raw(self, x: torch.Tensor) -> torch.Tensor:
        """Embed without normalising: ``(b, 256)``."""
        return self.read(self.maps(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embed: ``(b, 256)`` unit rows."""
        return F.normalize(self.raw(x), dim=1)


def pooled(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Join the means over all places of some stages' maps."""
    return torch.cat([seen.mean((2, 3)) for seen in maps], 1)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a shipped tower's weights, whose norms are folded into its convolutions, as float32."""
    tensors = map_tensors(path).items()
    return {
        name: torch.from_numpy(array.astype(np.float32))
        for name, array in tensors
        if not name.startswith(QUERYBANK)
    }


def widths_of(state: Mapping[str, torch.Tensor]) -> list[int]:
    """Return the widths of a folded tower's stages."""
    return [state[f"stages.{i}.second.conv.bias"].shape[0] for i in range(len(WIDTHS))]


def hidden_of(state: Mapping[str, torch.Tensor]) -> int:
    """Return the hidden units of the head whose weights ``state`` holds."""
    return len(state.get("head.inner.bias", ()))


def folded_tower(state: Mapping[str, torch.Tensor]) -> ImageTower:
    """Return the tower whose folded weights ``state`` holds, in evaluation mode."""
    tower = ImageTower(widths_of(state), dim=len(state["head.bias"]), hidden=hidden_of(state))
    tower.load_state_dict(state)
    return tower.eval()


class Querybank(nn.Module):
    """Takes from photographs what they have in common with texts at large, by the last component of their vectors.

    Some photographs lie near whatever is asked and crowd out those that were meant. How near a photograph lies to a bank of texts
    says which: the logarithm of the mean of its similarities' exponentials, as in querybank normalisation (Bogolin et al., 2022,
    "Cross Modal Retrieval with Querybank Normalisation", arXiv 2112.12777) and the inverted softmax before it (Smith et al., 2017,
    arXiv 1702.03859). These divide scores once a query comes; here it is a component of the photograph's own vector, and the same
    component of every text is one, so that any index of inner products finds with it. Between photographs it hardly counts: it is
    small. Prefixes go without: what is popular by 255 components is not by 16.

    Attributes:
        texts: ``(k, d - 1)`` means of groups of the text tower's rows, without their last component.
        offsets: ``(k,)`` the logarithm of each group's share of all texts, less by what makes photographs' popularity 0 on average.
        weight: how much of the popularity is in the last component; texts' last component is the smaller the larger this is.
    """

    texts: torch.Tensor
    offsets: torch.Tensor

    def __init__(
        self, texts: torch.Tensor, offsets: torch.Tensor, *, weight: float = POPULARITY_WEIGHT
    ) -> None:
        super().__init__()
        self.register_buffer("texts", texts)
        self.register_buffer("offsets", offsets)
        self.weight = weight

    def popularity(self, meaning: torch.Tensor) -> torch.Tensor:
        """Say how near ``(b, d - 1)`` unit rows lie to texts at large: ``(b, 1)``, 0 for what is usual."""
        near = meaning @ self.texts.T / TEMPERATURE + self.offsets  # (b, k)
        return TEMPERATURE * torch.logsumexp(near, 1, keepdim=True)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Put how unpopular they are in the last place of ``(b, d)`` rows: ``(b, d)`` unit rows."""
        meaning = F.normalize(rows[:, : self.texts.shape[1]], dim=1)
        unpopular = -self.weight * self.popularity(meaning)
        return F.normalize(torch.cat([meaning, unpopular], 1), dim=1)


def silent_querybank() -> Querybank:
    """Return the bank of a tower that no text tower was trained for yet: it finds no photograph popular."""
    return Querybank(torch.zeros(1, DIM - 1), torch.zeros(1))


def read_querybank(path: Path, *, weight: float = POPULARITY_WEIGHT) -> Querybank | None:
    """Read the bank beside a shipped tower's weights; None where a version has none of its own."""
    tensors = map_tensors(path)
    if f"{QUERYBANK}texts" not in tensors:
        return None
    texts, offsets = (
        torch.from_numpy(tensors[f"{QUERYBANK}{name}"].astype(np.float32)) for name in ("texts", "offsets")
    )
    return Querybank(texts, offsets, weight=weight)


class MultiCrop(nn.Module):
    """A tower's answer to an image: the weighted sum of the unit vectors of some `CROPS` of it, normalised; then its bank's.

    Several crops of a test image were averaged by Krizhevsky et al. (2012, "ImageNet classification with deep convolutional
    neural networks") and since.
    """

    tower: ImageTower
    crops: tuple[Crop, ...]
    querybank: Querybank | None

    def __init__(
        self, tower: ImageTower, crops: Sequence[Crop] = CROPS, *, querybank: Querybank | None = None
    ) -> None:
        super().__init__()
        self.tower, self.crops, self.querybank = tower, tuple(crops), querybank

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embed ``(b, 3, 160, 160)`` preprocessed RGB: ``(b, d)`` unit rows."""
        rows = torch.stack([crop.weight * self.tower(cut(x, crop)) for crop in self.crops]).sum(0)
        return F.normalize(rows, dim=1) if self.querybank is None else self.querybank(rows)


def cut(x: torch.Tensor, crop: Crop) -> torch.Tensor:
    """Cut ``(b, c, s, s)`` to ``crop``: ``(b, c, side, side)``."""
    edge = (x.shape[-1] - crop.size) // 2
    x = x[:, :, edge : edge + crop.size, edge : edge + crop.size]
    if crop.side == crop.size:
        return x
    return F.interpolate(x, size=(crop.side, crop.side), mode="bilinear", antialias=True, align_corners=False)
