"""Read vectors from arrays, tensors and .npy files, block by block, and check them all before any is stored."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from zipfile import BadZipFile

import numpy as np

from indexes.files import parsed
from indexes.vectors import stored_rows, without_mask
from retrieval.collection.queries import as_array
from retrieval.errors import OptionError, QueryError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from indexes.vectors import Halves

VectorsLike: TypeAlias = "ArrayLike | os.PathLike[str]"
"""Vectors as callers give them: whatever numpy makes an array of, or the path of a ``.npy`` file."""

BLOCK_ROWS = 16_384


class VectorBlocks:
    """Vectors as they will be stored, a block at a time: memory is bounded however many there are.

    Args:
        vectors: ``(n, d)`` real numbers: an array, a list of lists, a tensor of any device or precision; or the path of a ``.npy`` file, which is mapped.
        one: ``(d,)`` is one vector, and an empty list is none.
    Raises:
        ShapeError: of another shape, or no real numbers.
        OptionError: the file cannot be read.
    """

    def __init__(self, vectors: Any, *, one: bool = False) -> None:
        rows = _as_array(vectors)
        if one and rows.ndim == 1:
            rows = rows[np.newaxis] if len(rows) else rows.reshape(0, 1)
        if rows.ndim != 2 or rows.shape[1] == 0 or rows.dtype.kind not in "fiu":
            found = f"vectors: expected (n, d) real numbers, got shape {rows.shape} of {rows.dtype}"
            raise ShapeError(found + _cure(vectors, rows))
        self._rows = rows
        self._kept: Halves | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def dim(self) -> int:
        """How wide they are."""
        return int(self._rows.shape[1])

    def check(self, *, dim: int, space: str) -> None:
        """Look at every vector.

        Args:
            dim: the width expected.
            space: whose width that is, for messages.
        Raises:
            ShapeError: they are not ``dim`` wide.
            VectorError: one is zero or not finite.
        """
        if not len(self):
            return
        if self.dim != dim:
            raise ShapeError(f"vectors: expected {dim} columns for the space {space}, got {self.dim}")
        for _, block in self.blocks():
            self._kept = block if len(block) == len(self) else None

    def blocks(self) -> Iterator[tuple[int, Halves]]:
        """Yield the first row's number and the unit rows ``(b, d)`` float16 of consecutive blocks, never the caller's memory."""
        if self._kept is not None:
            yield 0, self._kept
            return
        for start in range(0, len(self), BLOCK_ROWS):
            part = np.asarray(self._rows[start : start + BLOCK_ROWS])
            block = stored_rows(part, dim=self.dim, what=f"vectors from row {start}")
            # What the caller changes before the next commit would be stored otherwise.
            yield start, block.copy() if np.may_share_memory(block, part) else block


def _cure(vectors: Any, rows: NDArray[Any]) -> str:
    """Say what to give instead of what is no array of vectors."""
    if isinstance(vectors, Mapping):
        return "; give the vectors as one array, and their names as `keys`"
    if rows.dtype == np.uint8 and rows.ndim > 1:
        return "; images are added by `add_images`"
    if hasattr(vectors, "to_numpy"):
        return "; give its columns of numbers, as `frame[columns].to_numpy()`"
    return ""


def _as_array(vectors: Any) -> NDArray[Any]:
    if isinstance(vectors, str | os.PathLike):
        try:
            vectors = parsed(partial(np.load, vectors, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
            raise OptionError(
                f"{os.fspath(vectors)!s}: no .npy file of vectors ({reason}); images are added by `add_images`"
            ) from error
    try:
        rows = np.asanyarray(vectors) if isinstance(vectors, np.ndarray) else as_array(vectors)
    except (TypeError, ValueError, RuntimeError, QueryError) as error:  # a ragged list, a sparse tensor …
        raise ShapeError(
            f"vectors: {type(vectors).__name__} cannot be read as an array of real numbers ({error})"
        ) from error
    return without_mask(rows, what="vectors")
