"""Choose which rows a search may find: below a folder, by a pattern, by ids or keys, by flags."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.errors import value_text
from indexes.vectors import row_flags
from retrieval.collection.queries.row_lookup import live_ids
from retrieval.errors import OptionError, ShapeError
from retrieval.sources import keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from indexes.vectors import Bitmap, Ids
    from retrieval.collection import Collection, Opened


class RowFilter:
    """Which rows may be found: ascending ids where they were named, flags otherwise.

    Args:
        count: rows that there are.
        ids: ``(m,)`` ascending ids of live rows.
        flags: ``(count,)`` flags, of deleted rows too; without `ids`.
    """

    def __init__(self, count: int, *, ids: Ids | None = None, flags: Bitmap | None = None) -> None:
        self._count = count
        self.ids = ids
        self._flags = flags

    @property
    def flags(self) -> Bitmap:
        """The same as ``(count,)`` flags; do not change them."""
        if self._flags is None:
            self._flags = np.zeros(self._count, dtype=np.bool_)
            self._flags[self.ids] = True
        return self._flags

    def holds(self, rows: Any) -> Any:
        """Say of each of some live rows whether it may be found, in their shape."""
        return self.flags[rows] if self.ids is None else np.isin(rows, self.ids)

    def searched(self, live: Bitmap) -> int:
        """Return how many rows may be found.

        Args:
            live: ``(count,)`` which rows have no tombstone.
        """
        if self.ids is not None:
            return len(self.ids)
        # Where no row was deleted, one flag stands for all: numpy takes twenty times as long to combine with it.
        whole = live.strides == (0,) and bool(live[:1].all())
        return int(np.count_nonzero(self.flags if whole else self.flags & live))


def row_filter(
    opened: Opened,
    *,
    root: Path,
    under: str | os.PathLike[str] | None,
    glob: str | None,
    ids: Any,
    mask: Any,
    where: Any = None,
    elsewhere: Mapping[str, str] | None = None,
) -> RowFilter | None:
    """Return which rows pass all filters that are given; None where there are none.

    Args:
        opened: what is searched.
        root: the folder that keys are relative to.
        under: a folder; only rows below it.
        glob: a pattern that keys match.
        ids: row ids and keys.
        mask: ``(count,)`` flags.
        where: a condition over columns, or ``(count,)`` flags.
        elsewhere: types of columns that rows of other shards have.
    Raises:
        MissingRow: an id or key that there is no row of.
        OptionError: `under` lies outside, or something that is neither an id nor a key.
        ShapeError: `mask` is not ``(count,)`` flags.
    """
    if all(given is None for given in (under, glob, ids, mask, where)):
        return None
    for name, value in (("under", under), ("glob", glob)):
        if value is not None and not isinstance(value, str | os.PathLike):
            raise OptionError(f"{name} is {value_text(value)} ({type(value).__name__}); it must be one text")
        try:
            os.fsencode(value or "")
        except UnicodeEncodeError as error:
            raise OptionError(f"{name} is {value_text(value)}, which cannot be written as UTF-8") from error
    count = opened.manifest.count
    flags = None if mask is None else _flags(mask, count, name="mask")
    kept = None
    if isinstance(where, str):
        kept = opened.columns.rows(where, elsewhere=elsewhere or {})
        kept = kept[opened.is_live(kept)]
    elif where is not None:
        given = _flags(where, count, name="where")
        flags = given if flags is None else flags & given
    if under is not None or glob is not None:
        below = opened.paths().keep(under=keys.relative(under, root), glob=glob)
        flags = below if flags is None else flags & below
    named = None if ids is None else live_ids(opened, ids, root=root)
    if kept is not None:
        named = kept if named is None else np.intersect1d(named, kept, assume_unique=True)
    if named is None:
        return RowFilter(count, flags=flags)
    return RowFilter(count, ids=named if flags is None else named[flags[named]])


def passing_rows(collection: Collection, **filters: Any) -> Bitmap:
    """Return which rows pass filters, as `Collection.mask` does, for what works on all of them.

    Raises:
        OptionError: the collection has images, and none of them passes; and what `Collection.mask` raises.
    """
    mask = collection.mask(**filters)
    given = [f"`{name}={value_text(value)}`" for name, value in filters.items() if value is not None]
    if given and not mask.any() and len(collection):
        raise OptionError(
            f"{collection.directory}: no image passes {' and '.join(given)}; check it, or leave it out"
        )
    return mask


def _flags(mask: Any, count: int, *, name: str) -> Bitmap:
    """Return flags of rows, checked; ``name`` is what messages call them.

    Raises:
        ShapeError: they are none, or of another length.
    """
    try:
        flags = np.asarray(mask)
    except ValueError:  # lists of several lengths
        flags = np.empty(0, dtype=object)
    if flags.dtype.kind in "iu" and flags.ndim == 1:
        raise ShapeError(f"{name}: expected ({count},) truth values, got numbers; row ids go to `ids=`")
    return row_flags(flags, count=count, name=name)
