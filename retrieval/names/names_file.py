"""Write the index of names of a generation: the rows of the one before are taken over, new and moved rows are added."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np

from indexes.files import link_or_copy
from indexes.generation import (
    check_file,
    further_files,
    further_name,
    generation_path,
    kept_files_and_next,
    open_keys,
)
from retrieval.columns import text_of, unpack
from retrieval.errors import StoreCorrupt
from retrieval.names.name_index import FORMAT, NameIndex
from retrieval.names.words import words_in, words_in_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from indexes.generation import Manifest
    from indexes.store import VectorStore
    from indexes.vectors import Ids

NAMES: Final = "names.sqlite"

_MOVED: Final = 4
"""When every so manieth row has moved, the index is made anew: what rows were called before slows it down."""


class NamesFile:
    """The index of names, as `indexes.derivation.DerivedFile` has it."""

    def write(self, prepared: Path, *, home: Path, store: VectorStore, before: Manifest | None) -> None:
        """Write `NAMES` for all rows of the store."""
        path = prepared / NAMES
        if before is not None and _carried_on(prepared, home, store, before):
            return
        published = None if before is None else _published(home, before)
        if published is not None and before is not None:
            with suppress(StoreCorrupt):
                index = NameIndex(published)
                try:
                    changed = _changed(home, before, store, index)
                finally:
                    index.close()
                count, moved = len(index), len(index.moved)
                if changed is not None and not len(changed) and index.facts == _facts(store):
                    link_or_copy(published, path)
                    return
                if changed is not None and (moved + len(changed)) * _MOVED <= count:
                    import shutil

                    shutil.copyfile(published, path)
                    _add(path, store, changed)
                    return
        path.unlink(missing_ok=True)
        _add(path, store, np.empty(0, dtype=np.int64))

    def is_current(self, home: Path, *, store: VectorStore, before: Manifest) -> bool:
        """Say whether the generation has one, which an earlier version did not write, and no column has changed since."""
        if NAMES not in before.files:
            return False
        try:
            index = NameIndex(generation_path(home, before.generation) / NAMES)
        except StoreCorrupt:
            return False
        index.close()
        return index.facts.get("columns") == store.column_changes


def open_names(directory: Path, manifest: Manifest) -> list[tuple[int, NameIndex]]:
    """Open the indexes of names that a generation has, each with the id of its first row; none where there are none.

    Raises:
        FileNotFoundError: the generation is gone.
        StoreCorrupt: one is not what was published, or they do not follow each other.
    """
    found: list[tuple[int, NameIndex]] = []
    folder = generation_path(directory, manifest.generation)
    end = 0
    try:
        for first in further_files(manifest.files, NAMES):
            name = further_name(NAMES, first)
            check_file(directory, manifest, name)
            found.append((first, NameIndex(folder / name)))
            if first != end:
                raise StoreCorrupt(
                    f"{folder / name}: tells of rows from {first:,} on, expected {end:,}; run `build_index`"
                )
            end = first + len(found[-1][1])
    except BaseException:
        for _, index in found:
            index.close()
        raise
    return found


def _carried_on(prepared: Path, home: Path, store: VectorStore, before: Manifest) -> bool:
    """Carry the indexes of a large collection on, with one more for the rows behind them; say whether that was possible.

    It is where no name of their rows has changed since.
    """
    indexes = []
    with suppress(OSError, StoreCorrupt):
        indexes = open_names(home, before)
    try:
        facts = _facts(store)
        if not indexes or any(index.facts != facts | {"count": len(index)} for _, index in indexes):
            return False
        firsts = [first for first, _ in indexes]
        covered = firsts[-1] + len(indexes[-1][1])
    finally:
        for _, index in indexes:
            index.close()
    kept, start = kept_files_and_next(firsts, covered, store.count)
    if covered > store.count or not kept:
        return False
    folder = generation_path(home, before.generation)
    for first in kept:
        name = further_name(NAMES, first)
        link_or_copy(folder / name, prepared / name)
    if start is not None:
        _add(prepared / further_name(NAMES, start), store, np.empty(0, dtype=np.int64), first=start)
    return True


def row_words(store: VectorStore, start: int) -> Iterator[list[str]]:
    """Yield the words of all rows from ``start`` on, tombstoned ones too: of their keys and of the columns that are text."""
    columns = store.scan_columns(start)
    number, data = next(columns, _NONE)
    for row, key in enumerate(store.keys(start), start):
        words = words_in_path(key)
        if row == number:
            for _, text in text_of(unpack(data)):
                words += words_in(text)
            number, data = next(columns, _NONE)
        yield words


def named_by(store: VectorStore, ids: Ids) -> list[dict[str, set[str]]]:
    """Return the words of some rows as they are now, by what has them: ``path``, or the name of a column."""
    named = [{"path": set(words_in_path(record.key))} for record in store.records(ids)]
    for words, data in zip(named, store.columns(ids), strict=True):
        if data:
            words.update((name, set(words_in(text))) for name, text in text_of(unpack(data)))
    return named


def _published(home: Path, before: Manifest) -> Path | None:
    """Return where the index of the published generation lies, None if there is none or it is damaged."""
    if NAMES not in before.files:
        return None
    try:
        check_file(home, before, NAMES)
    except (OSError, StoreCorrupt):
        return None
    return generation_path(home, before.generation) / NAMES


def _facts(store: VectorStore) -> dict[str, int]:
    """Return what an index is held to that was made of the store as it is now."""
    return {
        "format": FORMAT,
        "count": store.count,
        "renames": store.renames,
        "columns": store.column_changes,
    }


def _changed(home: Path, before: Manifest, store: VectorStore, index: NameIndex) -> Ids | None:
    """Return the rows of an index that have another key or other columns by now; None if nobody knows."""
    count, parts = len(index), []
    if count > store.count:
        return None
    if index.facts.get("renames") != store.renames:
        renamed = _renamed(home, before, store, count)
        if renamed is None:
            return None
        parts.append(renamed)
    if index.facts.get("columns") != store.column_changes:
        known = index.digests()
        if len(known) != count:
            return None
        parts.append(np.flatnonzero(known != _digests(store)[:count]))
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)


def _renamed(home: Path, before: Manifest, store: VectorStore, count: int) -> Ids | None:
    """Return the rows, of the first ``count``, that have another key by now; None if nobody knows."""
    try:
        table = open_keys(home, before)
    except (OSError, StoreCorrupt):
        return None
    if table is None or len(table) < count:
        return None
    pairs = zip(table.keys(np.arange(count)), store.keys(), strict=False)
    return np.flatnonzero(np.fromiter((was != now for was, now in pairs), dtype=np.bool_, count=count))


def _digests(store: VectorStore) -> NDArray[np.uint32]:
    """Return a checksum of each row's columns, ``(count,)``; 0 for rows without."""
    digests = np.zeros(store.count, dtype=np.uint32)
    for number, data in store.scan_columns():
        digests[number] = crc32(data)
    return digests


def _add(path: Path, store: VectorStore, changed: Ids, *, first: int = 0) -> None:
    """Add the rows that an index does not tell of yet, and other words of rows that have changed.

    Args:
        path: of the index; made if there is none.
        store: the rows.
        changed: ids of rows that it tells of already.
        first: the row that it begins with; only 0 where some have changed.
    """
    index = NameIndex(path, writable=True)
    try:
        words = [[*set().union(*named.values())] for named in named_by(store, changed)]
        digests = _digests(store)[first:]
        index.add(
            row_words(store, first + len(index)),
            changed=zip(changed.tolist(), map(sorted, words), strict=True),
            facts={"renames": store.renames, "columns": store.column_changes},
            digests=digests if digests.any() else None,
        )
    finally:
        index.close()


_NONE: Final = (-1, b"")
