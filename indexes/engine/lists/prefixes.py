"""Cut vectors to a prefix, rotated first where the encoder was not trained for prefixes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.engine import faiss, linear
from indexes.vectors import Halves, Vectors, floats

TINY = np.float32(1e-12)


def head(rows: Halves | Vectors, dim: int, *, rotation: Vectors | None = None) -> Vectors:
    """Return the first ``dim`` components of rows, normalised on their own.

    Slicing comes before normalising: a slice of unit rows is not of unit length (Kusupati et al. 2022, arXiv 2205.13147).

    Args:
        rows: ``(n, d)``; left unchanged.
        dim: at most ``d``.
        rotation: ``(d, d)`` orthogonal; the components are those of ``rows @ rotation``.
    Returns:
        ``(n, dim)`` float32 unit rows; a row without length in its first components stays zero.
    """
    part: NDArray[Any] = np.ascontiguousarray(rows[:, :dim] if rotation is None else rows)
    wide: Vectors = np.empty(part.shape, dtype=np.float32)
    if part.dtype == np.float16:
        floats(part, wide)
    else:
        wide[:] = part
    if rotation is not None:
        wide = wide @ rotation[:, :dim]  # (n, dim)
    wide /= np.maximum(np.sqrt(np.einsum("nd,nd->n", wide, wide))[:, np.newaxis], TINY)
    return wide


def narrowed(index: Any, *, dim: int, width: int, rotation: Vectors | None = None) -> Any:
    """Let an index of ``width`` take rows of ``dim``: turned, cut to the first components, normalised.

    Args:
        index: untrained, of ``width``; taken over.
        dim: width of the rows.
        width: of the prefix, less than ``dim``.
        rotation: ``(dim, dim)`` orthogonal, or None to cut only.
    """
    module = faiss()
    if not isinstance(index, module.IndexPreTransform):
        index = module.IndexPreTransform(index)
    cut = (
        module.RemapDimensionsTransform(dim, width, False)  # noqa: FBT003 - the first ones, not evenly spread
        if rotation is None
        else _orthonormal(rotation[:, :width].T)
    )
    for transform in (module.NormalizationTransform(width, 2.0), cut):
        _prepend(index, transform)
    return index


def _orthonormal(rows: NDArray[np.float32]) -> Any:
    """Return the FAISS map onto orthonormal ``rows``, ``(d_out, d_in)``, which can be undone."""
    turn = linear(rows)
    turn.set_is_orthonormal()
    return turn


def _prepend(index: Any, transform: Any) -> None:
    index.prepend_transform(transform)
    if index.own_fields:  # what the factory made deletes its transforms itself
        transform.this.disown()
