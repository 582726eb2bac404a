"""Losses and fits that train encoders and maps between spaces (torch)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from retrieval.errors import ShapeError

PairLoss = Callable[..., torch.Tensor]


class MatryoshkaLoss(nn.Module):
    """Sum a loss over nested prefixes, each prefix normalised on its own (Kusupati et al., 2022, arXiv 2205.13147).

    Args:
        loss: takes two matrices of unit rows (and whatever else is passed on) and gives a scalar.
        nesting: prefix widths, rising; the last is usually the whole width.
        weights: one factor per prefix; all 1 when left out, as in the paper (a plain sum, not a mean).
    """

    nesting: tuple[int, ...]
    weights: tuple[float, ...]

    def __init__(
        self, loss: PairLoss, nesting: Sequence[int], weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        _check_nesting(nesting, weights)
        self.loss = loss
        self.nesting = tuple(nesting)
        self.weights = tuple(weights) if weights is not None else (1.0,) * len(self.nesting)

    def forward(self, x: torch.Tensor, y: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        """Sum ``loss(x[:, :m], y[:, :m], …)`` over the prefixes.

        Args:
            x, y: ``(n, d)`` and ``(k, d)`` raw (not normalised) rows with ``d`` at least the widest prefix.
            rest, named: handed to the loss unchanged.
        Raises:
            ShapeError: a matrix is narrower than the widest prefix.
        """
        if min(x.shape[1], y.shape[1]) < self.nesting[-1]:
            raise ShapeError(
                f"the widest prefix is {self.nesting[-1]}, but rows are {x.shape[1]} and {y.shape[1]} wide"
            )
        terms = [
            weight * self.loss(F.normalize(x[:, :m], dim=1), F.normalize(y[:, :m], dim=1), *rest, **named)
            for m, weight in zip(self.nesting, self.weights, strict=True)
        ]
        return torch.stack(terms).sum()


class MatryoshkaHead(nn.Module):
    """Classify from each of some nested prefixes, and sum the cross-entropies (Kusupati et al., 2022, algorithm 2).

    Args:
        nesting: prefix widths, rising; the last is the width of the rows.
        classes: how many.
        shared: one matrix for all prefixes, each taking its first columns and the same bias (MRL-E), instead of one
            linear layer a prefix (MRL).
        weights: one factor per prefix; all 1 when left out, as in the paper.
        smoothing: of the labels.
    """

    nesting: tuple[int, ...]
    weights: tuple[float, ...]

    def __init__(
        self,
        nesting: Sequence[int],
        classes: int,
        *,
        shared: bool = False,
        weights: Sequence[float] | None = None,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        _check_nesting(nesting, weights)
        self.nesting = tuple(nesting)
        self.weights = tuple(weights) if weights is not None else (1.0,) * len(self.nesting)
        self.smoothing = smoothing
        widths = self.nesting[-1:] if shared else self.nesting
        self.heads: Sequence[nn.Linear] = nn.ModuleList(nn.Linear(m, classes) for m in widths)  # type: ignore[assignment]

    def logits(self, z: torch.Tensor) -> list[torch.Tensor]:
        """Return ``(n, c)`` for each prefix of the rows ``z`` ``(n, d)``, which are taken as they are, not normalised."""
        if len(self.heads) == len(self.nesting):
            return [head(z[:, :m]) for head, m in zip(self.heads, self.nesting, strict=True)]
        weight, bias = self.heads[0].weight, self.heads[0].bias
        return [F.linear(z[:, :m], weight[:, :m], bias) for m in self.nesting]

    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum over prefixes of the mean cross-entropy.

        Args:
            z: ``(n, d)`` raw rows, ``d`` at least the widest prefix.
            labels: ``(n,)`` class numbers.
        Raises:
            ShapeError: the rows are narrower than the widest prefix.
        """
        if z.shape[1] < self.nesting[-1]:
            raise ShapeError(f"the widest prefix is {self.nesting[-1]}, but rows are {z.shape[1]} wide")
        terms = [
            weight * F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
            for logits, weight in zip(self.logits(z), self.weights, strict=True)
        ]
        return torch.stack(terms).sum()


def _check_nesting(nesting: Sequence[int], weights: Sequence[float] | None) -> None:
    if not nesting or list(nesting) != sorted(set(nesting)) or nesting[0] < 1:
        raise ShapeError(f"nesting must be rising positive widths, got {tuple(nesting)}")
    if weights is not None and len(weights) != len(nesting):
        raise ShapeError(f"{len(nesting)} prefixes need as many weights, got {len(weights)}")


def mean_cosine_gap(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Give the mean of ``1 - cos`` between the rows of two ``(n, d)`` unit matrices: plain function matching."""
    return 1 - (x * y).sum(1).mean()


def similarity_distillation(
    x: torch.Tensor, bank: torch.Tensor, target: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    """Match each row's distribution of similarities over a bank to a teacher's (Fang et al., 2021, "SEED").

    Args:
        x: ``(n, d)`` unit rows of the student.
        bank: ``(k, d)`` unit rows to compare with.
        target: ``(n, k)`` the teacher's probabilities over the bank, each row summing to 1.
    Returns:
        The cross-entropy, averaged over rows.
    """
    return F.cross_entropy(x @ bank.T / temperature, target)
