"""Define the loss of active indexing: the wanted code, and the codes to stay away from (torch).

Active indexing (Fernandez et al. 2023, arXiv 2210.10620) draws the vector to the point that its code decodes to. In a
crowded index that alone can make things worse: the point lies as near to other codes, which lie in the same cell and of
which some are longer, and it lies off the stored row, by which the shortlist is reranked. So three margins are added, each
by the measure that the search itself uses: over the centroids of other lists, over rival codes, and over rival rows, where
the lead that the image has shall not shrink. Of each the smooth maximum counts, as far as it is short of the lead.

How strongly the point draws is in proportion to how well codes decode: signs (LSH) are far from any row, and who goes far
towards them is found by codes and lost by rows. The image itself, as it is published, is drawn more strongly than altered
copies, since it is them that are mistaken for rivals, but only until it is nearer by `RISE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.engine import Aim
    from indexes.vectors import Bitmap, Ids, Vectors
    from retrieval.activation.pixels.perturbation import Loss
    from retrieval.collection import Collection

RIVALS = 32  # by codes, and as many by exact search
CELLS = 64
NPROBE = 8  # lists that rivals are looked for in, at least
AHEAD = 0.15  # by how much one should lead among codes, so that altered copies still do
CELLS_AHEAD = 0.25  # the same among lists: who is in another is not found at all where one is probed
SOFTNESS = 0.01  # of the maximum, and of the margin, on the scale of cosines
POINT_WEIGHT, CODES_WEIGHT, ROWS_WEIGHT, CELLS_WEIGHT = 1.0, 4.0, 15.0, 9.0
SHORTEST = 0.02  # way from rows to points, as one less the cosine, that the pull is divided by at least
RISE, RISE_WEIGHT = 0.1, 28.0  # of the image's own cosine to its point
COPY = 0.995  # cosine from which a row is the same image, not a rival
_OUT = -1e4  # the score of what does not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """What ``n`` images are drawn to and kept from; in the codes' space but for the rows.

    Attributes:
        points: ``(n, width)`` what their codes decode to.
        rows: ``(n, d)`` their stored rows.
        other_points: ``(n, m, width)`` what other rows' codes decode to.
        other_rows: ``(n, m, d)`` those rows.
        counts: ``(n, m)`` whether a row is another image; and whether its code is another code.
        cells: ``(n, c, width)`` centroids, each image's own first; None without lists.
    """

    points: NDArray[np.float32]
    rows: Vectors
    other_points: NDArray[np.float32]
    other_rows: Vectors
    rows_count: Bitmap
    points_count: Bitmap
    cells: NDArray[np.float32] | None
    cells_count: Bitmap | None


def find_rivals(collection: Collection, aim: Aim, rows: Vectors, own: Ids) -> Rivals:
    """Search the collection for what images could be mistaken for.

    Args:
        collection: of a compressed kind.
        aim: its own.
        rows: ``(n, d)`` their vectors.
        own: ``(n,)`` their row, -1 for images that the collection does not hold.
    """
    nprobe = max(NPROBE, collection.manifest.index.nprobe or 1)
    by_code = collection.search_codes(rows, k=RIVALS + 1, nprobe=nprobe).ids
    by_row = collection.search_vectors(rows, k=RIVALS + 1).ids
    ids = np.concatenate([by_code, by_row], axis=1)  # (n, m)
    n, m = ids.shape
    other_rows = collection.vectors(np.maximum(ids, 0).reshape(-1))  # (n m, d)
    other_points = aim.points(other_rows).reshape(n, m, -1)
    other_rows = other_rows.reshape(n, m, -1)
    points = aim.points(rows)
    strange = (ids >= 0) & (ids != own[:, np.newaxis])
    cells = aim.cells(rows, k=CELLS) if aim.nlist > 1 else None
    return Rivals(
        points=points,
        rows=rows,
        other_points=other_points,
        other_rows=other_rows,
        rows_count=strange & (np.einsum("nmd,nd->nm", other_rows, rows) < COPY),
        points_count=strange & (np.abs(other_points - points[:, np.newaxis]).max(axis=2) > 1e-6),
        cells=None if cells is None else aim.centroids(cells),
        cells_count=None if cells is None else cells >= 0,
    )


def objective(aim: Aim, rivals: Rivals, device: torch.device) -> Loss:
    """Return the loss of images' vectors: less is better."""

    def tensor(array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    path = [
        None if step.matrix is None or step.offset is None else (tensor(step.matrix), tensor(step.offset))
        for step in aim.steps
    ]
    points, rows = tensor(rivals.points), tensor(rivals.rows)
    other_points, other_rows = tensor(rivals.other_points), tensor(rivals.other_rows)
    points_count, rows_count = tensor(rivals.points_count), tensor(rivals.rows_count)
    cells = None if rivals.cells is None else tensor(rivals.cells)
    cells_count = None if rivals.cells_count is None else tensor(rivals.cells_count)[:, 1:]
    scale = aim.width**-0.5 if aim.signs else 1.0
    lead = (1 - _dots(rows[None], other_rows).masked_fill(~rows_count, _OUT).amax(-1)).clamp(0, 1)  # (1, n)

    def half_squares(array: torch.Tensor) -> torch.Tensor | float:
        # |x - p|² orders as <x, p> - |p|²/2 does, upside down
        return array.square().sum(-1) / 2 if aim.lengths_count else 0.0

    own_length, other_length = half_squares(points), half_squares(other_points)
    cell_length = 0.0 if cells is None else half_squares(cells)

    def projected(vectors: torch.Tensor) -> torch.Tensor:
        for step in path:
            vectors = F.normalize(vectors, dim=-1) if step is None else vectors @ step[0] + step[1]
        return vectors

    start = F.cosine_similarity(projected(rows), points, dim=-1)  # (n,)
    way, aimed = (1 - start).mean().clamp_min(SHORTEST), (start + RISE).clamp_max(1)  # (), (n,)

    def loss(vectors: torch.Tensor, *, altered: bool = False) -> torch.Tensor:
        rows_now = vectors.view(-1, *rows.shape)  # (views, n, d)
        now = projected(rows_now)
        near = F.cosine_similarity(now, points, dim=-1)  # (views, n)
        away = POINT_WEIGHT * (1 - near) / way
        if not altered:
            short = (aimed - near[:1]).clamp_min(0)  # (1, n)
            pull = RISE_WEIGHT * max(1, len(near) - 1)  # to stand against each altered copy
            away = away + F.pad(pull * short, (0, 0, 0, len(near) - 1))
        scored = F.normalize(now, dim=-1) * scale if aim.signs else now
        own, others = (scored * points).sum(-1) - own_length, _dots(scored, other_points) - other_length
        away = away + CODES_WEIGHT * _margin(own, others, points_count, ahead=AHEAD)
        own, others = (rows_now * rows).sum(-1), _dots(rows_now, other_rows)
        away = away + ROWS_WEIGHT * _margin(own, others, rows_count, ahead=lead[..., None])
        if cells is not None and cells_count is not None:
            close = _dots(now, cells) - cell_length  # (views, n, c)
            away = away + CELLS_WEIGHT * _margin(
                close[..., 0], close[..., 1:], cells_count, ahead=CELLS_AHEAD
            )
        return away

    return loss


def _dots(vectors: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return inner products: ``(v, n, d)`` with ``(n, m, d)`` to ``(v, n, m)``."""
    return torch.einsum("vnd,nmd->vnm", vectors, others)


def _margin(
    own: torch.Tensor, others: torch.Tensor, counts: torch.Tensor, *, ahead: torch.Tensor | float
) -> torch.Tensor:
    """Return by how much one's own score falls short of leading the best of the others by ``ahead``, smoothly: ``(v, n)``."""
    excess = (others + ahead - own[..., None]).masked_fill(~counts, _OUT) / SOFTNESS  # (v, n, m)
    return SOFTNESS * torch.logsumexp(F.pad(excess, (1, 0)), dim=-1)
