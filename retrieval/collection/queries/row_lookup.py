"""Look up rows by id or by key: an integer is an id, text and bytes are keys."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from indexes.errors import value_text
from indexes.vectors import integer
from retrieval.collection.queries.values import as_array, is_number
from retrieval.errors import MissingRow, OptionError
from retrieval.sources import keys

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from indexes.vectors import Ids
    from retrieval.collection import Opened

RowName: TypeAlias = Union[int, "np.integer[Any]", str, bytes, "os.PathLike[str]"]
"""What names a row: its id, or its key as text, bytes or a path."""

RowNames: TypeAlias = "RowName | Iterable[RowName] | np.ndarray[Any, Any]"
"""One name of a row, or several."""


_NUMBERS = {int, np.int64}
_FLAGS = {bool, np.bool_}


def is_key(value: Any) -> bool:
    """Say whether a value is a key: text, bytes or a path."""
    return isinstance(value, str | bytes | os.PathLike)


def live_id(opened: Opened, name: Any, *, root: Path) -> int:
    """Return the id of the row of this id or key.

    Raises:
        MissingRow: there is no such row, or it was deleted.
        OptionError: it is neither an id nor a key.
    """
    if is_key(name):
        return _of_key(opened, name, root)
    number = integer(name, "the id", least=None, most=None)
    (found,) = opened.row_ids([number]).tolist()
    if not opened.is_live(found):
        raise MissingRow(f"{opened.directory}: row {number} was deleted, or its image has changed since")
    return int(found)


def live_ids(opened: Opened, names: Any, *, root: Path) -> Ids:
    """Return the ids of rows named by ids and keys, ascending, each once: ``(m,)`` int64.

    Raises:
        MissingRow: there is no such row, or it was deleted.
        OptionError: something that is neither an id nor a key.
        ShapeError: more than one axis.
    """
    names = _listed(names)
    if isinstance(names, np.ndarray) and names.dtype == np.bool_:
        raise OptionError("ids are row ids or keys, got truth values; flags of rows go to `mask=`")
    found = np.unique(row_numbers(opened, names, root=root))
    deleted = found[~opened.is_live(found)]
    if len(deleted):
        raise MissingRow(
            f"{opened.directory}: row {deleted[0]} was deleted, or its image has changed since "
            f"({len(deleted):,} such of {len(found):,} ids)"
        )
    return found


def row_numbers(opened: Opened, names: Any, *, root: Path) -> Ids:
    """Return the ids of rows named by ids and keys, in their order: ``(m,)`` int64.

    Args:
        names: one id or key, several of them, or ``(count,)`` flags of rows.
        root: the folder that absolute paths lie in.
    Raises:
        MissingRow: there is no such row; a key that was deleted.
        OptionError: something that is neither an id nor a key.
        ShapeError: flags of another length, or more than one axis.
    """
    names = _listed(names)
    if isinstance(names, list) and not _NUMBERS.issuperset(map(type, names)):
        names = [_of_key(opened, name, root) if is_key(name) else name for name in names]
    return opened.row_ids(names)


def _listed(names: Any) -> list[Any] | np.ndarray[Any, Any]:
    """Return names as a list, or as an array of numbers or flags."""
    if is_key(names) or is_number(names):
        return [names]
    if hasattr(names, "__array__"):
        array = as_array(names)
        return array if array.dtype.kind in "biu" else np.atleast_1d(array).tolist()
    try:
        listed = list(names)
    except TypeError as error:
        raise OptionError(
            f"{type(names).__name__} {value_text(names, 40)} names no row; give a row id, a key, or several in a list"
        ) from error
    if listed and _FLAGS.issuperset(map(type, listed)):
        return np.array(listed, dtype=np.bool_)
    return listed


def _of_key(opened: Opened, key: Any, root: Path) -> int:
    try:
        number = opened.find(_bytes(key, root))
    except UnicodeEncodeError:  # half a character: no file and no row is named so
        number = None
    if number is None:
        raise MissingRow(
            f"{opened.directory}: no row has the key {os.fspath(key)!r}; keys are written as hits show them"
        )
    return number


def _bytes(key: Any, root: Path) -> bytes:
    """Return a key as it is stored; a path may also be absolute, or relative to the working directory."""
    if isinstance(key, bytes):
        return key
    if isinstance(key, str):
        return os.fsencode(key)
    name = os.fspath(key)
    if os.path.isabs(name):
        return keys.key_of(name, root) or os.fsencode(name)
    return os.fsencode(name.replace(os.sep, "/"))
