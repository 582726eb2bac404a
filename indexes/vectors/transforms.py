"""Represent maps between embedding spaces (prefix, rotation, alignment), with provenance, on disk too."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexes.errors import OptionError, ShapeError, StoreCorrupt
from indexes.files import limit_reached, parsed
from indexes.repair_hints import cure_of_file
from indexes.vectors.arrays import Vectors, unit_rows
from indexes.vectors.space import Space

Matrix: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transform:
    """An affine map between spaces: ``unit(x @ matrix + offset)``.

    Attributes:
        source: the space of what goes in.
        target: the space of what comes out.
        method: ``prefix``, ``pca``, ``procrustes``, ``ridge`` and so on: how it was made.
        matrix: ``(d_in, d_out)`` float32.
        offset: ``(d_out,)`` float32; None for a linear map.
        factors: ``(d_in, r)`` and ``(r, d_out)`` float32 whose product the matrix is, where going through them is cheaper; else None.
        facts: JSON values that tell its provenance: what it was fitted on, on how many pairs, how good it measured.
    """

    source: Space
    target: Space
    method: str
    matrix: Matrix
    offset: NDArray[np.float32] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[Matrix, Matrix] | None = None

    def __post_init__(self) -> None:
        if self.matrix.shape != (self.source.dim, self.target.dim):
            raise ShapeError(
                f"{self.method}: the matrix is {self.matrix.shape}, expected {(self.source.dim, self.target.dim)} "
                f"from {self.source} to {self.target}"
            )
        if self.offset is not None and self.offset.shape != (self.target.dim,):
            raise ShapeError(
                f"{self.method}: the offset is {self.offset.shape}, expected {(self.target.dim,)}"
            )
        if self.factors is not None:
            shapes = [factor.shape for factor in self.factors]
            rank = shapes[0][-1]
            if shapes != [(self.source.dim, rank), (rank, self.target.dim)]:
                raise ShapeError(
                    f"{self.method}: the factors are {shapes[0]} and {shapes[1]}, which do not make the matrix"
                )

    @property
    def multiplications(self) -> int:
        """How many a row takes."""
        return self.matrix.size if self.factors is None else sum(factor.size for factor in self.factors)

    def moved(self, rows: Vectors) -> Vectors:
        """Return ``rows @ matrix + offset``, ``(n, d_out)``, not yet unit rows; nothing is checked."""
        result: Vectors = rows
        for step in (self.matrix,) if self.factors is None else self.factors:
            result = np.matmul(result, step)
        if self.offset is not None:
            result += self.offset
        return result

    def apply(self, rows: Any) -> Vectors:
        """Map ``(n, d_in)`` rows to ``(n, d_out)`` float32 unit rows.

        Raises:
            ShapeError: another width.
            VectorError: a row is zero or not finite, before the map or after it.
        """
        moved = self.moved(unit_rows(rows, dim=self.source.dim, what=f"rows of {self.source.name}"))
        return unit_rows(moved, what=f"rows of {self.target.name}")


def pca(space: Space, rows: Any) -> Transform:
    """Fit the uncentred PCA rotation of ``(n, d)`` unit rows: every dot product is kept, the energy moves to the front.

    Facts: ``fitted_on`` rows, and ``energy`` ``(d,)``: the share of the squared length that each prefix holds.

    Raises:
        OptionError: fewer rows than the space is wide.
    """
    sample = unit_rows(rows, dim=space.dim)
    if len(sample) < space.dim:
        raise OptionError(f"a rotation of {space.dim} dimensions needs as many rows, got {len(sample)}")
    gram = (sample.T @ sample).astype(np.float64)
    values, axes = np.linalg.eigh(gram)
    order = np.argsort(-values)
    energy = np.cumsum(np.maximum(values[order], 0)) / max(float(values.sum()), 1e-12)
    matrix = np.ascontiguousarray(axes[:, order], dtype=np.float32)
    return rotation(
        space,
        matrix,
        method="pca",
        facts={"fitted_on": len(sample), "energy": energy.round(6).tolist()},
    )


def rotation(
    space: Space,
    matrix: Matrix,
    *,
    method: str,
    name: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Transform:
    """Return an orthogonal map of a space to itself turned, every prefix of which is a space too.

    Raises:
        OptionError: the matrix is not orthogonal to 1e-3.
    """
    if not np.allclose(matrix.T @ matrix, np.eye(space.dim), atol=1e-3):
        raise OptionError(f"{method}: the matrix is not orthogonal, so it would change scores at full width")
    target = Space(
        name=name or f"{space.name}+{method}",
        dim=space.dim,
        fingerprint=_fingerprint(space.fingerprint, matrix),
        nesting=tuple(range(1, space.dim + 1)),
    )
    return Transform(source=space, target=target, method=method, matrix=matrix, facts=dict(facts or {}))


def procrustes(source: Space, target: Space, x: Any, y: Any) -> Transform:
    """Fit the orthogonal map that brings paired unit rows closest (Schönemann 1966); the narrower side is padded by zeros.

    Args:
        source, target: the spaces of ``x`` and ``y``.
        x, y: ``(n, d_in)`` and ``(n, d_out)``; row i of one belongs to row i of the other.
    """
    u, v = paired(source, target, x, y)
    left, _, right = np.linalg.svd((u.T @ v).astype(np.float64), full_matrices=False)
    matrix = np.ascontiguousarray(
        left @ right, dtype=np.float32
    )  # (d_in, d_out), rows or columns orthonormal
    return Transform(
        source=source, target=target, method="procrustes", matrix=matrix, facts={"pairs": len(u)}
    )


def paired(source: Space, target: Space, x: Any, y: Any) -> tuple[Vectors, Vectors]:
    """Check paired rows of two spaces: as many of one as of the other, each of its space's width.

    Raises:
        ShapeError: they do not pair.
    """
    u, v = unit_rows(x, dim=source.dim, what="source rows"), unit_rows(y, dim=target.dim, what="target rows")
    if len(u) != len(v):
        raise ShapeError(f"pairs: {len(u)} source rows but {len(v)} target rows")
    return u, v


def _fingerprint(before: str, matrix: Matrix) -> str:
    from hashlib import sha256

    return sha256(before.encode() + np.ascontiguousarray(matrix, dtype="<f4").tobytes()).hexdigest()


def save(path: str | os.PathLike[str], transforms: Sequence[Transform]) -> None:
    """Write transforms to an ``.npz`` without pickles."""
    arrays: dict[str, NDArray[Any]] = {}
    heads = []
    for i, step in enumerate(transforms):
        arrays[f"matrix_{i}"] = step.matrix
        if step.offset is not None:
            arrays[f"offset_{i}"] = step.offset
        if step.factors is not None:
            arrays[f"left_{i}"], arrays[f"right_{i}"] = step.factors
        heads.append(
            {
                "source": step.source.to_json(),
                "target": step.target.to_json(),
                "method": step.method,
                "facts": dict(step.facts),
            }
        )
    text = json.dumps(heads).encode()
    with Path(path).open("wb") as handle:
        np.savez(handle, allow_pickle=False, heads=np.frombuffer(text, dtype=np.uint8), **arrays)


def load(path: str | os.PathLike[str]) -> tuple[Transform, ...]:
    """Read what `save` wrote.

    Raises:
        StoreCorrupt: missing or not readable.
    """
    try:
        return parsed(lambda: _load(path))
    except Exception as error:  # zipfile, zlib, numpy and its parser each raise their own
        raise limit_reached(error, path) or StoreCorrupt(
            f"{os.fspath(path)}: not readable transforms ({error}); {cure_of_file(Path(path))}"
        ) from error


def _load(path: str | os.PathLike[str]) -> tuple[Transform, ...]:
    with np.load(path, allow_pickle=False) as data:
        heads = json.loads(data["heads"].tobytes())
        return tuple(
            Transform(
                source=Space.from_json(head["source"]),
                target=Space.from_json(head["target"]),
                method=str(head["method"]),
                matrix=data[f"matrix_{i}"],
                offset=data.get(f"offset_{i}"),
                facts=head["facts"],
                factors=(data[f"left_{i}"], data[f"right_{i}"]) if f"left_{i}" in data else None,
            )
            for i, head in enumerate(heads)
        )


METHODS = ("pca", "learned")
"""Methods of the transforms that turn a space's rows for cutting."""


def recorded(steps: Sequence[Transform], space: Space) -> Transform | None:
    """Return the rotation among a generation's transforms that turns rows of ``space``, None without one."""
    return next((step for step in steps if step.method in METHODS and step.source.same_as(space)), None)
