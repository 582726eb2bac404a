"""Train encoders whose vectors an older gallery understands (torch).

- `OrthogonalCompatible`, the losses of OCA: Ricci, Biondi, Pernici, Del Bimbo, Orthogonal Compatible Aligned representations
  (2024, arXiv 2408.08793). The new encoder is wider; its first components live in the old space, the rest are free, and an
  orthogonal layer, used in training only, lets the classifier see both together.
- `influence_loss`, the one of BCT: Shen, Xiong, Xia, Soatto (CVPR 2020, arXiv 2003.11942): new vectors through the frozen old
  classifier.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from retrieval.errors import ShapeError

_SMOOTHING = 0.1


def class_prototypes(features: torch.Tensor, labels: torch.Tensor, *, classes: int) -> torch.Tensor:
    """Return the mean old vector of each class, ``(classes, d_old)``; not normalised, as in OCA.

    Args:
        features: ``(n, d_old)`` unit rows by the old encoder of the *new* training images, whose classes the old encoder
            need not have seen.
        labels: ``(n,)`` int64 in ``0 … classes - 1``; each occurs.
    Raises:
        ShapeError: not one label a row, or a class without an image.
    """
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ShapeError(
            f"prototypes: expected (n, d) and (n,), got {tuple(features.shape)} and {tuple(labels.shape)}"
        )
    counts = torch.bincount(labels, minlength=classes)
    if len(counts) != classes or bool((counts == 0).any()):
        raise ShapeError(f"prototypes: every one of {classes} classes needs an image")
    sums = torch.zeros(classes, features.shape[1], dtype=features.dtype, device=features.device)
    return sums.index_add(0, labels, features) / counts[:, None]  # (classes, d_old)


class OrthogonalCompatible(nn.Module):
    """The training loss of OCA on vectors ``(n, d)``, ``d`` at least the old width.

    A vector is used as it is: ``h``, normalised, goes to the index, and its first ``d_old`` components, normalised, are
    compared with old vectors. Only the classifier sees ``P h``. The sum of three terms:

    - cross-entropy of the new classes over ``W P h``;
    - aligned cross-entropy of the first components over the old class prototypes, which do not move: ``s (cos - m)`` for the
      own class, ``s cos`` for the others (the released code has neither scale nor margin, so that its gradient is weak);
    - one minus the cosine with the own old prototype.

    Args:
        dim: width of the new vectors.
        prototypes: ``(classes, d_old)`` as `class_prototypes` returns; kept as a buffer.
        weights: of the three terms.
        scale: ``s``, which is learned on from here.
        margin: ``m``, 0 or more.
    Raises:
        ShapeError: the new vectors are narrower than the old ones.
    """

    dim: int
    old: int
    weights: tuple[float, float, float]
    margin: float
    turn: nn.Module
    classifier: nn.Linear
    log_scales: nn.Parameter

    prototypes: torch.Tensor

    def __init__(
        self,
        dim: int,
        prototypes: torch.Tensor,
        *,
        weights: tuple[float, float, float] = (5.0, 10.0, 5.0),
        scale: float = 16.0,
        margin: float = 0.0,
    ) -> None:
        super().__init__()
        classes, old = prototypes.shape
        if dim < old:
            raise ShapeError(f"new vectors of width {dim} cannot hold old ones of width {old}")
        self.dim, self.old, self.weights, self.margin = dim, old, weights, margin
        self.register_buffer("prototypes", prototypes.clone())
        # Orthogonal by parametrisation (a matrix exponential): a rotation cannot favour some components over others.
        self.turn = nn.utils.parametrizations.orthogonal(nn.Linear(dim, dim, bias=False))
        self.classifier = nn.Linear(dim, classes, bias=False)
        self.log_scales = nn.Parameter(torch.full((2,), math.log(scale)))

    def terms(self, vectors: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the three terms, unweighted.

        Args:
            vectors: ``(n, dim)`` raw (not normalised) vectors.
            labels: ``(n,)`` int64.
        Raises:
            ShapeError: another width.
        """
        if vectors.shape[1] != self.dim:
            raise ShapeError(f"vectors: expected {self.dim} columns, got {vectors.shape[1]}")
        h = F.normalize(vectors, dim=1)  # (n, dim)
        first = F.normalize(vectors[:, : self.old], dim=1)  # (n, d_old)
        own_scale, old_scale = self.log_scales.clamp(max=math.log(64.0)).exp()
        logits = own_scale * F.linear(self.turn(h), F.normalize(self.classifier.weight, dim=1))  # (n, c)
        classify = F.cross_entropy(logits, labels, label_smoothing=_SMOOTHING)
        cosines = first @ F.normalize(self.prototypes, dim=1).T  # (n, c)
        own = F.one_hot(labels, len(self.prototypes)).to(cosines.dtype)
        aligned = F.cross_entropy(
            old_scale * (cosines - self.margin * own), labels, label_smoothing=_SMOOTHING
        )
        apart = 1 - (cosines * own).sum(1).mean()
        return classify, aligned, apart

    def forward(self, vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the `terms`, a scalar."""
        weighted = [
            weight * term for weight, term in zip(self.weights, self.terms(vectors, labels), strict=True)
        ]
        return torch.stack(weighted).sum()


def influence_loss(
    vectors: torch.Tensor, labels: torch.Tensor, old_classifier: torch.Tensor, *, scale: float = 16.0
) -> torch.Tensor:
    """Return BCT's influence: cross-entropy of new vectors through the old classifier, which is frozen.

    Args:
        vectors: ``(n, d_old)`` raw new vectors, or the part of them that old ones are compared with.
        labels: ``(n,)`` int64.
        old_classifier: ``(classes, d_old)``; for classes that the old one did not know, the mean old vectors.
        scale: of the cosines.
    """
    logits = scale * F.normalize(vectors, dim=1) @ F.normalize(old_classifier.detach(), dim=1).T  # (n, c)
    return F.cross_entropy(logits, labels, label_smoothing=_SMOOTHING)
