"""Refuse two sources that give one key, and dropping one for another that was not seen whole, before anything is written."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from indexes.generation import FOLDER
from retrieval.collection.rows import hand_number, is_by_hand
from retrieval.errors import OptionError
from retrieval.sources import spec_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import Record, VectorStore
    from retrieval.ingestion.build_sources.build_sources import BuildSource, BuildSources
    from retrieval.ingestion.changes import Changes

_AT_ONCE = 4096  # keys looked up in one snapshot


def refuse_dropping(sources: BuildSources, found: Sequence[Changes], directory: Path) -> None:
    """Stop a build that drops a source and has not seen all of a new one, which may take over its rows.

    Raises:
        OptionError: it would; nothing was changed.
    """
    pairs = zip(sources.chosen, found, strict=True)
    cut = [changes.incomplete for source, changes in pairs if source.is_new and changes.incomplete]
    if sources.dropped and cut:
        dropped = ", ".join(spec_of(directory, source) for source in sources.dropped)
        raise OptionError(
            f"{cut[0]}; nothing was changed: drop {dropped} once that can be listed to its end, or without adding it"
        )


def refuse_taken_keys(
    sources: Sequence[BuildSource],
    found: Sequence[Changes],
    store: VectorStore | None,
    before: Manifest | None,
    directory: Path,
    *,
    dropped: Collection[int] = (),
) -> None:
    """Stop a build in which one key would name images of two sources.

    An image that has moved from one source of the build to another keeps its key: its row goes over to the other source.

    Args:
        sources: of the build.
        found: what changed in each; rows that go over to another source are no longer missing.
        store: the collection's rows; None where there are none.
        before: its manifest.
        directory: where it lies.
        dropped: numbers of sources whose rows are about to be removed; their keys are free.
    Raises:
        OptionError: there is such a key; nothing was changed.
    """
    _refuse_fresh_twice(sources, found)
    if store is None or before is None or (len(found) == 1 and store.live <= found[0].stored):
        return
    hand, names = (
        hand_number(before),
        {source.number: spec_of(directory, source) for source in before.sources},
    )
    by_number = {source.number: (source, changes) for source, changes in zip(sources, found, strict=True)}
    names |= {source.number: source.source.name for source in sources}
    for source, changes in zip(sources, found, strict=True):
        for record in _holders(changes, store):
            if is_by_hand(record, hand):
                is_folder = source.recorded.type == FOLDER
                raise OptionError(taken_by_hand(record, source.source.name, is_folder=is_folder))
            if record.source == source.number or record.source in dropped:
                continue
            _, other = by_number.get(record.source, (None, None))
            if other is not None and other.missing.get(record.key) == record.id:
                del other.missing[record.key]
            else:
                folders = sum(known.type == FOLDER for known in before.sources)
                moved = source.recorded.type == FOLDER and folders
                raise OptionError(
                    _taken(
                        record.key,
                        names.get(record.source, "another source"),
                        source.source.name,
                        moved=bool(moved),
                    )
                )


def _refuse_fresh_twice(sources: Sequence[BuildSource], found: Sequence[Changes]) -> None:
    """Compare the new entries of the sources of one build with each other."""
    fresh = [
        (source, [*changes.fresh, *changes.media])
        for source, changes in zip(sources, found, strict=True)
        if changes.fresh or changes.media
    ]
    if len(fresh) < 2:
        return
    first_of: dict[bytes, BuildSource] = {}
    for source, entries in fresh:
        for entry in entries:
            first = first_of.setdefault(entry.key, source)
            if first is not source:
                raise OptionError(_taken(entry.key, first.source.name, source.source.name, moved=False))


def _holders(changes: Changes, store: VectorStore) -> Iterator[Record]:
    """Yield the rows that have the keys of fresh entries already; many are looked up at once."""
    entries = iter(changes.fresh)
    while block := [entry.key for entry in islice(entries, _AT_ONCE)]:
        for record in store.find_records(block):
            if record is not None:
                yield record


def _taken(key: bytes, first: str, second: str, *, moved: bool) -> str:
    name = os.fsdecode(key)
    cure = f'; if that folder moved, say so with `root="{second}"`' if moved else ""
    return (
        f"{first} and {second} both give the key {name!r}; nothing was changed. Rename one of the two, keep them in two "
        f"collections, or replace the first with `drop_source`{cure}"
    )


def taken_by_hand(record: Record, source: str, *, is_folder: bool) -> str:
    """Say that an image of a source has the key of a row that was added by hand, and what can be done."""
    kind = "file" if is_folder else "image"
    cure = "leave it out with `exclude`, " if is_folder else ""
    return (
        f"the {kind} {os.fsdecode(record.key)!r} of {source} and row {record.id}, which was added by hand, have the "
        f"same key; nothing was changed. Rename the {kind}, {cure}or `delete` that row"
    )
