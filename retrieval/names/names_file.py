"""Write the index of names of a generation: the rows of the one before are taken over, new and moved rows are added."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np

from indexes.files import link_or_copy
from indexes.generation import KEYS, KeyTable, check_file, generation_path
from retrieval.errors import StoreCorrupt
from retrieval.names.name_index import NameIndex
from retrieval.names.words import words_in_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import VectorStore
    from indexes.vectors import Ids

__all__ = ["NAMES", "NamesFile", "named_by", "row_words"]

NAMES: Final = "names.sqlite"

_MOVED: Final = 4
"""When every so manieth row has moved, the index is made anew: what rows were called before slows it down."""


class NamesFile:
    """The index of names, as `indexes.derivation.DerivedFile` has it."""

    def write(self, prepared: Path, *, home: Path, store: VectorStore, before: Manifest | None) -> None:
        """Write `NAMES` for all rows of the store."""
        path, renames = prepared / NAMES, store.renames
        published = None if before is None else _published(home, before)
        if published is not None and before is not None:
            with suppress(StoreCorrupt):
                index = NameIndex(published)
                count, same = len(index), index.facts.get("renames") == renames
                moved = len(index.moved)
                index.close()
                if same and count == store.count:
                    link_or_copy(published, path)
                    return
                changed = [] if same else _changed(home, before, store, count)
                if count <= store.count and changed is not None and (moved + len(changed)) * _MOVED <= count:
                    shutil.copyfile(published, path)
                    _add(path, store, changed)
                    return
        path.unlink(missing_ok=True)
        _add(path, store, [])

    def is_current(self, home: Path, *, store: VectorStore, before: Manifest) -> bool:  # noqa: ARG002 - a protocol's
        """Say whether the generation has one: an earlier version wrote none."""
        return NAMES in before.files


def row_words(store: VectorStore, start: int) -> Iterator[list[str]]:
    """Yield the words of all rows from ``start`` on, tombstoned ones too."""
    return map(words_in_path, store.keys(start))


def named_by(store: VectorStore, ids: Ids) -> list[dict[str, set[str]]]:
    """Return the words of some rows as they are now, by what has them: ``path``."""
    return [{"path": set(words_in_path(record.key))} for record in store.records(ids)]


def _published(home: Path, before: Manifest) -> Path | None:
    """Return where the index of the published generation lies, None if there is none or it is damaged."""
    if NAMES not in before.files:
        return None
    try:
        check_file(home, before, NAMES)
    except (OSError, StoreCorrupt):
        return None
    return generation_path(home, before.generation) / NAMES


def _changed(home: Path, before: Manifest, store: VectorStore, count: int) -> list[int] | None:
    """Return the rows, of the first ``count``, that have another key by now; None if nobody knows."""
    try:
        check_file(home, before, KEYS)
        table = KeyTable.open(generation_path(home, before.generation) / KEYS)
    except (OSError, StoreCorrupt):
        return None
    if len(table) != count:
        return None
    known = table.keys(np.arange(count))
    return [row for row, (was, now) in enumerate(zip(known, store.keys(), strict=False)) if was != now]


def _add(path: Path, store: VectorStore, changed: list[int]) -> None:
    index = NameIndex(path, writable=True)
    try:
        records = store.records(changed)
        index.add(
            row_words(store, len(index)),
            changed=[(record.id, words_in_path(record.key)) for record in records],
            facts={"renames": store.renames},
        )
    finally:
        index.close()
