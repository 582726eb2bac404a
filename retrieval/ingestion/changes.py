"""Compare a source with its collection: new, changed, moved and deleted images."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from indexes.generation import store_path
from indexes.store import VectorStore
from retrieval.collection.rows import folder_number, hand_number, holder_by_hand
from retrieval.ingestion.pruning import refuse_foreign_keys
from retrieval.ingestion.stored_files import StoredFiles
from retrieval.progress import Progress
from retrieval.sources import (
    LASTING,
    NOT_FOLLOWED,
    UNKNOWN,
    UNSUPPORTED_FORMAT,
    Folder,
    FolderMemory,
    Seen,
    Skipped,
    SkippedFile,
    digest,
    holding,
    suffix_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from indexes.generation import Manifest
    from indexes.store import Record
    from indexes.vectors import Ids
    from retrieval.location import BuildPlace
    from retrieval.progress import OnProgress
    from retrieval.sources import Listed, Source

__all__ = ["Changes", "compare", "find_changes"]

_BATCH = 4096
"""Files compared with the rows at once."""

_NONE = np.empty(0, dtype=np.uint64)


@dataclass(slots=True, kw_only=True)
class Changes:
    """What a build has to do.

    Attributes:
        fresh: files that are new, or whose size or modification time changed.
        missing: key → id of live rows whose file was not found.
        sizes: the sizes in bytes of the files behind the live rows, ascending.
        unfollowed: keys of those missing rows that lie behind links which were not followed.
        unmounted: folders that were file systems of their own and are none now, or empty → how many missing rows lie below.
        skipped: files that will not become vectors, as far as is known before reading.
        skipped_elsewhere: remembered ones outside the folder that was walked.
        rejected: digests of files that give no vector, those of `skipped` too.
        others: how many files were no images, by suffix.
        found: how many image files were found, the skipped and the fresh ones left out.
        rows: live rows below the folder.
        folders: what is to be remembered of the folders that hold images, and of mount points.
        remembered: digests of files that gave no vector, as the last build kept them.
        left_out: how many system folders were left out, by name.
    """

    fresh: list[Listed] = field(default_factory=list)
    missing: dict[bytes, int] = field(default_factory=dict)
    sizes: NDArray[np.uint64] = field(default_factory=lambda: _NONE)
    unfollowed: list[bytes] = field(default_factory=list)
    unmounted: dict[bytes, int] = field(default_factory=dict)
    skipped: list[SkippedFile] = field(default_factory=list)
    skipped_elsewhere: list[SkippedFile] = field(default_factory=list)
    rejected: set[int] = field(default_factory=set)
    others: Counter[str] = field(default_factory=Counter)
    found: int = 0
    rows: int = 0
    folders: dict[bytes, Folder] = field(default_factory=dict)
    remembered: NDArray[np.uint64] = field(default_factory=lambda: _NONE)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def images(self) -> int:
        """Image files that were found."""
        return self.found + len(self.fresh)

    def rows_after(self, before: Manifest | None) -> int:
        """Return how many rows the collection will have at most."""
        return self.images + (0 if before is None else before.live - self.rows)


def find_changes(
    place: BuildPlace,
    source: Source,
    memory: FolderMemory,
    *,
    rehash: bool = False,
    progress: OnProgress | None = None,
) -> Changes:
    """Walk a source, and find what changed since the collection was built.

    Args:
        place: where the collection lies.
        source: what is walked.
        memory: what the last build remembered.
        rehash: take every file for fresh: its content decides.
        progress: called now and then.
    Raises:
        OptionError: the source cannot be listed, or a file has the key of a row that was added by hand.
    """
    seen, before = Seen(), place.before
    with _rows(place) as store:
        stored = StoredFiles.of(() if store is None else store.packed(source=folder_number(before)))
        changes = compare(
            _watched(source.entries(seen), progress),
            stored,
            source=source,
            records=lambda ids: [] if store is None else store.records(ids),
            before=memory,
            seen=seen,
            below=place.below,
            rehash=rehash,
        )
        if store is not None and store.live > len(stored):
            held_by = partial(holder_by_hand, store, hand=hand_number(before))
            refuse_foreign_keys((file.key for file in changes.fresh), held_by, folder=place.root)
    return changes


@contextmanager
def _rows(place: BuildPlace) -> Iterator[VectorStore | None]:
    """Open the rows that there are; None where there are none yet."""
    home, before = store_path(place.directory, place.before), place.before
    if before is None or not VectorStore.exists(home):
        yield None
        return
    with VectorStore.open(home, dim=before.space.dim) as store:
        yield store


def _watched(entries: Iterator[Listed | Skipped], progress: OnProgress | None) -> Iterator[Listed | Skipped]:
    for number, entry in enumerate(entries, start=1):
        if progress is not None and number % 1000 == 0:
            progress(Progress(phase="scan", done=number))
        yield entry


def compare(
    entries: Iterable[Listed | Skipped],
    stored: StoredFiles,
    *,
    source: Source,
    records: Callable[[Ids], Iterable[Record]],
    before: FolderMemory,
    seen: Seen,
    below: bytes = b"",
    rehash: bool = False,
) -> Changes:
    """Compare the files found with the rows stored.

    Args:
        entries: what the source yields.
        stored: the collection's live rows.
        source: tells what an entry is that does not claim to be an image.
        records: returns the records of some rows.
        before: what the last build remembered; files that gave no vector and are unchanged since are not opened again.
        seen: what the walk sees besides.
        below: only rows whose key starts with this can be missing (a part of the root was walked).
        rehash: take every file for fresh: its content decides.
    """
    comparison = _Comparison(stored, source, before, seen, rehash=rehash)
    iterator = iter(entries)
    while batch := list(islice(iterator, _BATCH)):
        comparison.take(batch)
    changes = comparison.changes
    comparison.finish(records, below)
    changes.sizes = stored.sizes()
    changes.skipped_elsewhere = [file for key, file in before.skipped.items() if not key.startswith(below)]
    changes.remembered, changes.left_out = before.rejected, seen.left_out
    _remember(changes, comparison, before, below=below)
    return changes


class _Comparison:
    """A comparison under way."""

    def __init__(
        self, stored: StoredFiles, source: Source, before: FolderMemory, seen: Seen, *, rehash: bool
    ) -> None:
        self.changes = Changes()
        self.closed: list[bytes] = []  # below these nobody knows what lies there now
        self.links: list[bytes] = []
        self.holding: set[bytes] = set()  # folders with an image directly in them
        self.seen = seen
        self._stored, self._source, self._before, self._rehash = stored, source, before, rehash

    def take(self, batch: list[Listed | Skipped]) -> None:
        """Take the next entries of the walk."""
        files = [entry for entry in batch if not isinstance(entry, Skipped)]
        if len(files) < len(batch):
            for entry in batch:
                if isinstance(entry, Skipped):
                    self._skip(entry)
        if not files:
            return
        names = [entry.key for entry in files]
        stamps = [entry.stamp for entry in files]
        claims = [entry.claimed for entry in files]
        known, unchanged = self._stored.find(names, stamps)
        if self._rehash:
            unchanged[:] = False
        self.changes.found += int(np.count_nonzero(unchanged))
        if unchanged.all():
            rest: list[int] = []
            self.holding.update({name.rpartition(b"/")[0] for name in names})
        else:
            rest = np.flatnonzero(~unchanged).tolist()
            self.holding.update({names[i].rpartition(b"/")[0] for i in np.flatnonzero(unchanged).tolist()})
        if not all(claims):
            for number in np.flatnonzero(unchanged & ~np.array(claims)).tolist():
                self._count(names[number])
        if not rest:
            return
        digests = [digest(names[i], stamps[i]) for i in rest]
        tried = np.isin(np.array(digests, np.uint64), self._before.rejected).tolist()
        for number, mark, again in zip(rest, digests, tried, strict=True):
            self._judge(files[number], mark, known=bool(known[number]), tried=again)

    def _judge(self, file: Listed, mark: int, *, known: bool, tried: bool) -> None:
        """Decide about an image that has no row, or has changed."""
        changes, before, stamp = self.changes, self._before.skipped.get(file.key), file.stamp
        again = known or self._rehash
        lasting = before is not None and (before.reason in LASTING or before.reason == UNSUPPORTED_FORMAT)
        if before is not None and lasting and not again and (tried or before.stamp == stamp):
            if not file.claimed:
                self._count(file.key)
            changes.skipped.append(replace(before, stamp=stamp))
            changes.rejected.add(mark)
            return
        if not file.claimed:
            looked = None if tried and before is None and not again else self._source.look(file)
            if looked is None:
                changes.others[suffix_of(os.fsdecode(file.key.rpartition(b"/")[2]))] += 1
                changes.rejected.add(mark)
                self._stored.forget(file.key)
                return
            self._count(file.key)
            if isinstance(looked, Skipped):
                changes.skipped.append(
                    SkippedFile(key=file.key, reason=looked.reason, stamp=stamp, detail=looked.detail)
                )
                if looked.reason not in UNKNOWN:
                    changes.rejected.add(mark)
                    self._stored.forget(file.key)
                return
        self.holding.add(file.key.rpartition(b"/")[0])
        changes.fresh.append(file)

    def _skip(self, entry: Skipped) -> None:
        """Note what could not be looked at."""
        if entry.folder and entry.reason == "link-loop":
            return  # what it leads to is found where it lies
        if entry.reason == NOT_FOLLOWED:
            self.links.append(entry.key + b"/")
        # Nobody knows what lies there now: its rows stay.
        elif entry.folder:
            self.closed.append(entry.key + b"/")
        elif entry.reason in UNKNOWN:
            self._stored.find([entry.key], [b""])
            self.closed.append(entry.key + b"/")  # it may be a folder behind a link
        self.changes.skipped.append(SkippedFile(key=entry.key, reason=entry.reason, detail=entry.detail))

    def _count(self, key: bytes) -> None:
        """Count an image whose suffix does not tell among the names that matter in its folder."""
        folder = self.seen.folders.get(key.rpartition(b"/")[0])
        if folder is not None:
            folder.add(key)

    def finish(self, records: Callable[[Ids], Iterable[Record]], below: bytes) -> None:
        """Tell which rows are missing, and which of them are not to be removed without a question."""
        changes, stored = self.changes, self._stored
        gone = np.sort(stored.ids[~stored.found])
        closed, links = tuple(self.closed), tuple(self.links)
        changes.rows = int(np.count_nonzero(stored.found))
        for start in range(0, len(gone), _BATCH):
            for record in records(gone[start : start + _BATCH]):
                key = record.key
                if not key.startswith(below):
                    continue
                changes.rows += 1
                if closed and key.startswith(closed):
                    continue
                changes.missing[key] = record.id
                if links and key.startswith(links):
                    changes.unfollowed.append(key)


def _remember(changes: Changes, comparison: _Comparison, before: FolderMemory, *, below: bytes) -> None:
    """Put together what the next build is to know of the folders, and tell which of the last build's mounts are away."""
    seen = comparison.seen.folders
    folders = holding(seen, comparison.holding)
    closed = tuple(comparison.closed)
    for key, folder in before.folders.items():
        inside = (key + b"/").startswith(below)
        if not inside or (closed and (key + b"/").startswith(closed)):
            folders.setdefault(key, folder)
            continue
        if not folder.mount or not changes.missing:
            continue
        prefix = key + b"/" if key else b""
        away = sum(name.startswith(prefix) for name in changes.missing)
        now = seen.get(key)
        if away and (now is None or not now.mount or not _any_below(comparison.holding, key)):
            changes.unmounted[key] = away
    changes.folders = folders


def _any_below(folders: Iterable[bytes], key: bytes) -> bool:
    return any(folder == key or folder.startswith(key + b"/") for folder in folders)
