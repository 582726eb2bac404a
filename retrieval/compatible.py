"""Train encoders whose vectors an older gallery understands, and adapters between frozen ones (torch).

- `OrthogonalCompatible`, the losses of OCA: Ricci, Biondi, Pernici, Del Bimbo, Orthogonal Compatible Aligned representations
  (2024, arXiv 2408.08793). The new encoder is wider; its first components live in the old space, the rest are free, and an
  orthogonal layer, used in training only, lets the classifier see both together.
- `influence_loss`, the one of BCT: Shen, Xiong, Xia, Soatto (CVPR 2020, arXiv 2003.11942): new vectors through the frozen old
  classifier.
- `lambda_orthogonal`: an adapter between frozen spaces that may leave orthogonality by so much and no more (NeurIPS 2025,
  arXiv 2509.16664).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from retrieval.errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OrthogonalCompatible", "class_prototypes", "influence_loss", "lambda_orthogonal"]

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
        self.log_scales = nn.Parameter(torch.full((2,), float(np.log(scale))))

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
        own_scale, old_scale = self.log_scales.clamp(max=np.log(64.0)).exp()
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


def lambda_orthogonal(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    start: NDArray[Any],
    tolerance: float,
    steps: int = 300,
    batch: int = 512,
    temperature: float = 0.05,
    rate: float = 1e-3,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Fit a linear map between frozen spaces that is orthogonal up to a tolerance.

    Minimised is the squared distance of mapped and target rows, a symmetric contrastive term over each batch, and
    ``sigmoid(10 (r - tolerance)) r``, where ``r`` is the Frobenius norm of ``W'W - I``: within the tolerance the map is free.

    Args:
        x, y: ``(n, d_in)`` and ``(n, d_out)`` paired unit rows.
        start: ``(d_in, d_out)``, the orthogonal map to start from (Procrustes).
        tolerance: λ; 0 is softly orthogonal, large is any linear map.
        steps: of Adam.
        batch: pairs in each.
        temperature: of the contrastive term.
        rate: Adam's.
        seed: of the batches.
    Returns:
        ``(d_in, d_out)`` float32.
    """
    generator = torch.Generator().manual_seed(seed)
    source = torch.as_tensor(np.ascontiguousarray(x, dtype=np.float32))
    target = torch.as_tensor(np.ascontiguousarray(y, dtype=np.float32))
    weight = nn.Parameter(torch.as_tensor(np.array(start, dtype=np.float32)))
    narrow = min(weight.shape)
    eye = torch.eye(narrow)
    optimiser = torch.optim.Adam([weight], lr=rate)
    for _ in range(steps):
        picked = torch.randint(len(source), (min(batch, len(source)),), generator=generator)
        mapped = source[picked] @ weight  # (b, d_out)
        unit, true = F.normalize(mapped, dim=1), target[picked]
        logits = unit @ true.T / temperature  # (b, b)
        own = torch.arange(len(picked))
        contrast = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        gram = weight.T @ weight if weight.shape[1] == narrow else weight @ weight.T
        away = torch.linalg.matrix_norm(gram - eye)
        loss = (mapped - true).square().sum(1).mean() + contrast
        loss = loss + torch.sigmoid(10 * (away - tolerance)) * away
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return np.asarray(weight.detach().numpy(), dtype=np.float32)
