"""Cut vectors to a prefix, rotated first where the encoder was not trained for prefixes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.engine import chain
from indexes.engine.backend import faiss, linear
from indexes.engine.flat import Halves, floats
from indexes.errors import OptionError
from indexes.vectors import Vectors

TINY = np.float32(1e-12)
_SEED = 1234


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


def assign_by_prefix(index: Any, inner: Any, *, coarse: int) -> None:
    """Let an IVF index choose its lists by a shorter prefix than its codes describe (AdANNS, arXiv 2305.19435).

    Its coarse quantiser becomes one of ``coarse`` dimensions behind a map that cuts them out. A random rotation in
    front of the codes is undone by that map. PQ codes are of whole rows then, not of residuals: the residual to a
    centroid of which only the first components are known would hold the rest of the row as it is.

    Args:
        index: what the factory made, untrained.
        inner: the IVF index in it.
        coarse: width to assign on, less than that of the codes.
    Raises:
        OptionError: it is no IVF index, or learns a rotation of its own in front of the codes.
    """
    module = faiss()
    if not isinstance(inner, module.IndexIVF):
        raise OptionError("a coarse prefix needs an index with inverted lists, such as ivfpq or ivfrabitq")
    width = inner.d
    graph = isinstance(module.downcast_index(inner.quantizer), module.IndexHNSW)
    made = (
        module.IndexHNSWFlat(coarse, 32, module.METRIC_INNER_PRODUCT)
        if graph
        else module.IndexFlat(coarse, module.METRIC_INNER_PRODUCT)
    )
    quantizer = module.IndexPreTransform(made)
    made.this.disown()
    quantizer.own_fields = True
    undone = _undone(index)
    cut = (
        module.RemapDimensionsTransform(width, coarse, False)  # noqa: FBT003 - the first ones
        if undone is None
        else _orthonormal(undone[:coarse])
    )
    for transform in (module.NormalizationTransform(coarse, 2.0), cut):
        _prepend(quantizer, transform)
    inner.quantizer = quantizer
    quantizer.this.disown()
    inner.own_fields = True
    if hasattr(inner, "by_residual") and isinstance(inner, module.IndexIVFPQ):
        inner.by_residual = False


def _undone(index: Any) -> NDArray[np.float32] | None:
    """Return the ``(width, width)`` matrix that undoes the random rotation in front of the codes, None without one."""
    module = faiss()
    undone: NDArray[np.float32] | None = None
    for step in chain.transforms(index):
        random = isinstance(step, module.RandomRotationMatrix | module.HadamardRotation)
        if not random or step.d_in != step.d_out or undone is not None:
            raise OptionError(
                "a coarse prefix cannot come before a learned rotation (OPQ, PCA): it would mix the prefix up; "
                "leave it out of the factory string"
            )
        step.init(_SEED)
        undone = step.apply(np.eye(step.d_in, dtype=np.float32))  # y = A x: the rows are A's columns
    return undone


def _orthonormal(rows: NDArray[np.float32]) -> Any:
    """Return the FAISS map onto orthonormal ``rows``, ``(d_out, d_in)``, which can be undone."""
    turn = linear(rows)
    turn.set_is_orthonormal()
    return turn


def _prepend(index: Any, transform: Any) -> None:
    index.prepend_transform(transform)
    if index.own_fields:  # what the factory made deletes its transforms itself
        transform.this.disown()
