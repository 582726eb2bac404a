"""Show the rows of several arrays as one, without copying them: shards are mapped one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import ShapeError
from indexes.vectors.arrays import Halves


class StackedRows:
    """The rows of several arrays behind each other; what is taken of them is copied into one array.

    It is indexed as an array is along its first axis: by a number, a slice, flags or integers in any shape. `numpy.asarray`
    copies everything.

    Args:
        parts: ``(n_i, d)`` arrays of one width and type.
    Attributes:
        parts: those.
        starts: ``(s,)`` where the rows of each part begin.
        shape: ``(n, d)``.
    Raises:
        ShapeError: there are none, or their widths differ.
    """

    ndim = 2

    def __init__(self, parts: Sequence[Halves]) -> None:
        widths = {part.shape[1] for part in parts}
        if len(widths) != 1:
            raise ShapeError(f"rows that are stacked must have one width, got {sorted(widths)}")
        self.parts = tuple(parts)
        ends = np.cumsum([len(part) for part in parts])
        self.starts = np.concatenate(([0], ends[:-1])).astype(np.int64)
        self.shape = (int(ends[-1]), widths.pop())
        self.dtype = self.parts[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[np.float16]]:
        """Yield row by row."""
        for part in self.parts:
            yield from part

    def __getitem__(self, chosen: Any) -> Any:
        if isinstance(chosen, tuple):
            rows, *rest = chosen
            return self[rows][(slice(None), *rest)]
        if isinstance(chosen, slice):
            start, stop, step = chosen.indices(len(self))
            return self._run(start, stop) if step == 1 else self._taken(np.arange(start, stop, step))
        numbers = np.asarray(chosen)
        if numbers.dtype == np.bool_:
            if numbers.shape != (len(self),):
                raise IndexError(f"flags of {len(self)} rows are expected, got {numbers.shape}")
            numbers = np.flatnonzero(numbers)
        if numbers.size and not -len(self) <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"rows are numbered from 0 to {len(self) - 1}")
        return self._taken(np.where(numbers < 0, numbers + len(self), numbers))

    def take(self, ids: Any, axis: int = 0) -> Any:
        """Return some rows, as an array does along its first axis."""
        if axis != 0:
            raise ShapeError(f"stacked rows are taken along axis 0, not {axis}")
        return self[ids]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        del copy  # there is no array that could be shared
        return np.concatenate(self.parts).astype(self.dtype if dtype is None else dtype, copy=False)

    def _run(self, start: int, stop: int) -> Halves:
        """Return consecutive rows; those of one part are not copied."""
        found = []
        for first, part in zip(self.starts.tolist(), self.parts, strict=True):
            low, high = max(start - first, 0), min(stop - first, len(part))
            if low < high:
                found.append(part[low:high])
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if found else self.parts[0][:0]

    def _taken(self, places: NDArray[np.int64]) -> Halves:
        flat = places.ravel().astype(np.int64)
        of = np.searchsorted(self.starts, flat, side="right") - 1  # empty parts begin where the next one does
        rows = np.empty((len(flat), self.shape[1]), dtype=self.dtype)
        for number in np.unique(of).tolist():
            chosen = np.flatnonzero(of == number)
            rows[chosen] = self.parts[number][flat[chosen] - self.starts[number]]
        taken: Halves = rows.reshape((*places.shape, self.shape[1]))
        return taken


def as_stacked(rows: Any) -> StackedRows:
    """Return rows as stacked ones, an array as the only part."""
    return rows if isinstance(rows, StackedRows) else StackedRows([rows])
