"""Compute where an index keeps a vector: the target of active indexing.

Fernandez, Douze, Jégou and Furon 2023, "Active Image Indexing", arXiv 2210.10620. The row that is stored is a code; what
the code decodes to lies some way off the vector that it stands for. An image whose vector is moved toward that point
before it is published is found where it is kept, however its copies are altered later.

The point is taken from the first stage alone: one that reranks would hand back the vector itself. It is compared in the
space that the codes live in, behind the index's own transforms, so that it does not matter whether these can be inverted
(whitening cannot). There only directions count: what LSH decodes to is signs, whose length means nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.engine.backend import faiss
from indexes.engine.lists import chain, ivf
from indexes.errors import OptionError
from indexes.vectors import Ids, Vectors

PROBES = 16
"""Fixed vectors whose codes tell whether an index was trained again."""

_AGREE = 0.75  # of them: another machine's arithmetic may put a vector on the border into the cell beside it
_LOSSLESS = 0.9999  # mean cosine above which nothing is lost between a row and its code
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One step from the stored space to the codes': ``x @ matrix + offset``, or, without them, ``x / |x|``.

    Attributes:
        matrix: ``(d_in, d_out)`` float32; None for the normalisation.
        offset: ``(d_out,)`` float32; None for the normalisation.
    """

    matrix: NDArray[np.float32] | None = None
    offset: NDArray[np.float32] | None = None

    def apply(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map ``(n, d_in)`` to ``(n, d_out)``."""
        if self.matrix is None or self.offset is None:
            unit: NDArray[np.float32] = rows / np.maximum(
                np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12)
            )
            return unit
        mapped: NDArray[np.float32] = rows @ self.matrix + self.offset
        return mapped


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How well decoded codes describe the rows that they stand for.

    Attributes:
        cosine: mean between each row and its decoded code, in the codes' space.
        baseline: mean between each row and the mean of all rows: what no code at all would reach.
        rows: how many were compared.
    """

    cosine: float
    baseline: float
    rows: int


class Aim:
    """The points that an index keeps vectors at; holds the index, which must not change meanwhile.

    Attributes:
        steps: from the stored space to the codes', for who follows them with gradients.
        dim: width of the stored space.
        width: width of the codes' space.
        nlist: inverted lists, 0 without them.
    """

    def __init__(self, index: Any) -> None:
        """Take the first stage of a trained index.

        Raises:
            OptionError: its codes cannot be decoded, or a transform before them is of an unknown kind.
        """
        module = faiss()
        self._index = index
        self._inner = ivf.innermost(index)
        known = (
            module.IndexIVFPQ,
            module.IndexPQ,
            module.IndexLSH,
            module.IndexIVFRaBitQ,
            module.IndexIVFRaBitQFastScan,
            module.IndexRaBitQ,
            module.IndexRaBitQFastScan,
            module.IndexScalarQuantizer,
            module.IndexIVFScalarQuantizer,
            module.IndexIVFFlat,
        )
        if not isinstance(self._inner, known):  # asking others may end the process (PQ's FastScan does)
            raise OptionError(
                f"FAISS cannot decode the codes of {type(self._inner).__name__}, so there is nothing to aim at; "
                'build the index with `kind="ivfpq"`, ivfrabitq, OPQ…,IVF…,PQ… or PCA…,LSH'
            )
        self.steps = tuple(_steps(index))
        self.dim, self.width = int(index.d), int(self._inner.d)
        self.nlist = ivf.lists_of(index)

    def project(self, rows: Vectors) -> NDArray[np.float32]:
        """Map stored rows ``(n, dim)`` to where the codes live, ``(n, width)``."""
        for step in self.steps:
            rows = step.apply(rows)
        return np.ascontiguousarray(rows, dtype=np.float32)

    def points(self, rows: Vectors) -> NDArray[np.float32]:
        """Return what the codes of ``(n, dim)`` rows decode to: ``(n, width)``, of any length.

        The same as adding the rows and reconstructing them, without touching the index.
        """
        codes = self._inner.sa_encode(self.project(rows))
        points: NDArray[np.float32] = self._inner.sa_decode(codes)
        return points

    def cosines(self, rows: Vectors, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of each of ``(n, dim)`` rows to its point ``(n, width)``, in the codes' space: ``(n,)``."""
        mapped = self.project(rows)
        lengths = np.linalg.norm(mapped, axis=1) * np.linalg.norm(points, axis=1)
        cosines: NDArray[np.float32] = np.einsum("nd,nd->n", mapped, points) / np.maximum(lengths, 1e-12)
        return cosines

    @property
    def signs(self) -> bool:
        """Whether codes are signs, compared by how many differ (LSH); inner products are compared otherwise."""
        return isinstance(self._inner, faiss().IndexLSH)

    @property
    def lengths_count(self) -> bool:
        """Whether codes are compared by L2, so that of two in one direction the longer is not always the better."""
        return bool(self._inner.metric_type != faiss().METRIC_INNER_PRODUCT) and not self.signs

    def cells(self, rows: Vectors, *, k: int = 1) -> Ids:
        """Return the inverted lists nearest to each of ``(n, dim)`` rows, its own first: ``(n, k)``, padded with -1.

        Raises:
            OptionError: the index has no lists.
        """
        if not self.nlist:
            raise OptionError(f"{type(self._inner).__name__} has no inverted lists")
        _, cells = self._inner.quantizer.search(self.project(rows), min(k, self.nlist))
        found: Ids = cells
        return found

    def centroids(self, cells: Ids) -> NDArray[np.float32]:
        """Return the centroids of some lists, of any shape: ``(…, width)``; zeros for -1."""
        flat = cells.reshape(-1)
        known = np.flatnonzero(flat >= 0)
        centroids = np.zeros((len(flat), self.width), dtype=np.float32)
        if known.size:
            centroids[known] = self._inner.quantizer.reconstruct_batch(flat[known])
        return centroids.reshape(*cells.shape, self.width)

    def measure(self, rows: Vectors) -> Decoding:
        """Measure on ``(n, dim)`` rows how well their codes decode."""
        mapped = Step().apply(self.project(rows))  # (n, width)
        mean = np.broadcast_to(mapped.mean(axis=0), mapped.shape)
        length = max(float(np.linalg.norm(mean[0])), 1e-12)
        return Decoding(
            cosine=float(self.cosines(rows, self.points(rows)).mean()),
            baseline=float(np.einsum("nd,nd->n", mapped, mean).mean()) / length,
            rows=len(rows),
        )

    def require_useful(self, rows: Vectors) -> Decoding:
        """Make sure that moving vectors toward their points helps to find them.

        Args:
            rows: ``(n, dim)`` stored rows, a sample.
        Raises:
            OptionError: the codes decode badly, or so well that nothing is to be gained.
        """
        found = self.measure(rows)
        kind = type(self._inner).__name__
        if found.cosine >= _LOSSLESS:
            raise OptionError(
                f"the codes of {kind} keep vectors almost whole (mean cosine {found.cosine:.4f}): "
                "nothing is to be gained by moving images toward them"
            )
        if found.cosine <= found.baseline:
            raise OptionError(
                f"the codes of {kind} decode badly: mean cosine {found.cosine:.3f} to their own rows, while the mean of "
                f"{found.rows:,} rows has {found.baseline:.3f}; moving images there would make them alike. "
                'Build the index with `kind="ivfpq"` or ivfrabitq (with a rotation before RaBitQ)'
            )
        return found

    def probes(self) -> list[str]:
        """Return a short hash of the code of each of `PROBES` fixed vectors: they change when the index is trained again."""
        rows = np.random.default_rng(2210).standard_normal((PROBES, self.dim)).astype(np.float32)
        codes = self._inner.sa_encode(self.project(Step().apply(rows)))  # (p, bytes)
        return [hashlib.sha256(code.tobytes()).hexdigest()[:8] for code in codes]


def same_codes(before: Sequence[str], now: Sequence[str]) -> bool:
    """Say of two results of `Aim.probes` whether one index gave both: trained once, however many rows it holds."""
    agree = sum(old == new for old, new in zip(before, now, strict=False))
    return len(before) == len(now) and agree >= _AGREE * len(now)


def _steps(index: Any) -> list[Step]:
    module = faiss()
    steps = [step for transform in chain.transforms(index) for step in _step(transform)]
    last = chain.behind(index)
    return [*steps, *_steps(last.base_index)] if isinstance(last, module.IndexRefine) else steps


def _step(transform: Any) -> list[Step]:
    """Read off one of FAISS's transforms, whatever its kind, and check that it does what was read."""
    module = faiss()
    width = int(transform.d_in)
    if isinstance(transform, module.NormalizationTransform):
        steps = [Step()]
    elif isinstance(transform, module.ITQTransform):
        mean = module.vector_to_array(transform.mean).astype(np.float32)
        centre = Step(matrix=np.eye(width, dtype=np.float32), offset=-mean)
        steps = [centre, Step(), _affine(transform.pca_then_itq, width)]
    else:
        steps = [_affine(transform, width)]
    rows = np.random.default_rng(0).standard_normal((32, width)).astype(np.float32)
    expected, found = transform.apply(rows), rows
    for step in steps:
        found = step.apply(found)
    if np.abs(found - expected).max() > _TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise OptionError(
            f"the index transforms vectors by {type(transform).__name__}, whose gradient is not known here; "
            "build it with PCA, OPQ, ITQ, RR, HR or L2norm"
        )
    return steps


def _affine(transform: Any, width: int) -> Step:
    """Read off an affine map by what it does to the origin and to the axes."""
    offset = transform.apply(np.zeros((1, width), dtype=np.float32))[0]  # (d_out,)
    matrix = transform.apply(np.eye(width, dtype=np.float32)) - offset  # (d_in, d_out)
    return Step(matrix=np.ascontiguousarray(matrix), offset=offset)
