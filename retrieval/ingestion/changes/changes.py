"""Compare the sources of a build with the collection: new, changed, moved and deleted images.

Long because what is known of an entry is decided in one place.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from indexes.generation import shards_around, store_path
from indexes.store import VectorStore
from retrieval.collection.rows import moved_stamps
from retrieval.errors import SourceIncomplete
from retrieval.ingestion.build_sources import read_memory, refuse_dropping, refuse_taken_keys
from retrieval.ingestion.changes.stored_files import StoredFiles
from retrieval.progress import Progress
from retrieval.sources import (
    LASTING,
    NOT_FOLLOWED,
    UNKNOWN,
    UNSUPPORTED_FORMAT,
    CountedSource,
    Folder,
    Seen,
    Skipped,
    SkippedFile,
    digest,
    holding,
    suffix_of,
)
from retrieval.sources.media import MediaOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from indexes.generation import Manifest
    from indexes.store import Record
    from indexes.vectors import Ids
    from retrieval.ingestion.build_sources import BuildSources
    from retrieval.progress import OnProgress
    from retrieval.sources import FolderMemory, Listed, Part, Source

_BATCH = 16_384
"""Files compared with the rows at once: the more there are, the nearer lie those that are looked up one after the other."""

_NONE = np.empty(0, dtype=np.uint64)


@dataclass(slots=True, kw_only=True)
class Changes:
    """What a build has to do.

    Attributes:
        fresh: files that are new, or whose size or modification time changed.
        media: films and documents that are new, or changed, or whose pictures are not all stored.
        options: which pictures of these are taken.
        parts: key of a film or document → ids and stamps of the rows of its pictures.
        missing: key → id of live rows whose file was not found.
        moved_away: keys of those missing rows whose file was moved away on purpose.
        sizes: the sizes in bytes of the files behind the live rows, ascending; none where no file is fresh.
        unfollowed: keys of those missing rows that lie behind links which were not followed.
        unmounted: folders that were file systems of their own and are none now, or empty → how many missing rows lie below.
        skipped: files that will not become vectors, as far as is known before reading.
        skipped_elsewhere: remembered ones outside the folder that was walked.
        rejected: digests of files that give no vector, those of `skipped` too.
        others: how many files were no images, by suffix.
        found: how many image files were found, the skipped and the fresh ones left out.
        rows: live rows of the source, below the folder that was walked.
        stored: all live rows of the source.
        folders: what is to be remembered of the folders that hold images, and of mount points.
        remembered: digests of files that gave no vector, as the last build kept them.
        left_out: how many system folders were left out, by name.
        notes: lines of the source for people.
        incomplete: why the source was not listed to its end; empty where it was. Then no row is missing.
        not_seen: live rows of which nobody knows whether they are still there.
    """

    fresh: list[Listed] = field(default_factory=list)
    media: list[Listed] = field(default_factory=list)
    options: MediaOptions = field(default_factory=MediaOptions)
    parts: dict[bytes, list[tuple[int, bytes]]] = field(default_factory=dict)
    missing: dict[bytes, int] = field(default_factory=dict)
    moved_away: set[bytes] = field(default_factory=set)
    sizes: NDArray[np.uint64] = field(default_factory=lambda: _NONE)
    unfollowed: list[bytes] = field(default_factory=list)
    unmounted: dict[bytes, int] = field(default_factory=dict)
    skipped: list[SkippedFile] = field(default_factory=list)
    skipped_elsewhere: list[SkippedFile] = field(default_factory=list)
    rejected: set[int] = field(default_factory=set)
    others: Counter[str] = field(default_factory=Counter)
    found: int = 0
    rows: int = 0
    stored: int = 0
    folders: dict[bytes, Folder] = field(default_factory=dict)
    remembered: NDArray[np.uint64] = field(default_factory=lambda: _NONE)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    incomplete: str = ""
    not_seen: int = 0

    @property
    def images(self) -> int:
        """Image files that were found."""
        return self.found + len(self.fresh) + len(self.media)

    @property
    def may_have_moved(self) -> int:
        """How many of the missing rows may be those of a fresh file under another name; a film has many."""
        sizes = {file.stamp[:8] for file in self.media}
        films = sum(
            len(rows)
            for key, rows in self.parts.items()
            if rows[0][1][:8] in sizes and key not in {file.key for file in self.media}
        )
        return len(self.fresh) + films


def rows_after(changes: Sequence[Changes], before: Manifest | None) -> int:
    """Return how many rows a collection will have at most."""
    live = 0 if before is None else before.live
    return live + sum(one.images - one.rows for one in changes)


def find_changes(
    sources: BuildSources,
    directory: Path,
    before: Manifest | None,
    *,
    retry_large: bool = False,
    rehash: bool = False,
    prune: bool = False,
    progress: OnProgress | None = None,
) -> list[Changes]:
    """List sources, and find what changed in each since the collection was built.

    Args:
        sources: those of the build; the chosen ones are listed.
        directory: the collection's.
        before: its published manifest.
        retry_large: files that were skipped as too large are to be tried again.
        rehash: take every file for fresh: its content decides.
        prune: rows may be missing in a source that cannot be asked again, too.
        progress: called now and then.
    Raises:
        OptionError: a source cannot be listed, or an entry has a key that another source or a row by hand has.
    """
    found: list[Changes] = []
    moved = moved_stamps(shards_around(directory) or directory)
    with _rows(directory, before) as store:
        for one in sources.chosen:
            seen = Seen(part=one.part)
            stored = (
                StoredFiles.of((), most=0)
                if store is None
                else StoredFiles.of(store.packed(source=one.number), most=store.count)
            )
            changes = compare(
                _own(_watched(one.source, seen, progress, rows=len(stored)), one.part),
                stored,
                source=one.source,
                records=lambda ids: [] if store is None else store.records(ids),
                before=read_memory(one, directory, retry_large=retry_large),
                seen=seen,
                below=one.below,
                rehash=rehash,
                keep=one.is_once and not prune,
                moved=moved,
            )
            found.append(changes)
        refuse_dropping(sources, found, directory)
        dropped = {source.number for source in sources.dropped}
        refuse_taken_keys(sources.chosen, found, store, before, directory, dropped=dropped)
    return found


@contextmanager
def _rows(directory: Path, before: Manifest | None) -> Iterator[VectorStore | None]:
    """Open the rows that there are; None where there are none yet."""
    home = store_path(directory, before)
    if before is None or not VectorStore.exists(home):
        yield None
        return
    with VectorStore.open(home, dim=before.space.dim) as store:
        yield store


def _watched(
    source: Source, seen: Seen, progress: OnProgress | None, *, rows: int
) -> Iterator[Listed | Skipped]:
    """Tell how far a listing has come: of what the source counts itself, else of the rows that it has so far."""
    if progress is None:
        yield from source.entries(seen)
        return
    counted = source.total() if isinstance(source, CountedSource) else None
    total = counted or rows
    for number, entry in enumerate(source.entries(seen), start=1):
        if number % 1000 == 0:
            progress(Progress(phase="scan", done=number, total=max(total, number) if total else None))
        yield entry


def _own(entries: Iterator[Listed | Skipped], part: Part | None) -> Iterator[Listed | Skipped]:
    """Yield the entries of this shard; a folder that could not be looked into may hold some of several."""
    if part is None:
        return entries
    return (entry for entry in entries if part.takes(entry.key) or _is_told(entry, part))


def _is_told(entry: Listed | Skipped, part: Part) -> bool:
    """Say whether this shard tells of what could not be looked at."""
    return isinstance(entry, Skipped) and part.enters(entry.key + b"/" if entry.folder else entry.key)


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
    keep: bool = False,
    moved: Mapping[bytes, bytes] = MappingProxyType({}),
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
        keep: what is not listed is not gone.
        moved: stamps of files that were moved away on purpose, by key.
    """
    comparison = _Comparison(stored, source, before, seen, rehash=rehash)
    changes = comparison.changes
    iterator = _to_the_end(entries, changes)
    while batch := list(islice(iterator, _BATCH)):
        comparison.take(batch)
    comparison.finish(records, below, keep=keep, moved=moved)
    changes.notes = seen.notes
    changes.sizes = stored.sizes() if changes.fresh else _NONE
    changes.stored, changes.parts = len(stored), stored.parts
    changes.skipped_elsewhere = [file for key, file in before.skipped.items() if not key.startswith(below)]
    changes.remembered, changes.left_out = before.rejected, seen.left_out
    _remember(changes, comparison, before, below=below)
    return changes


def _to_the_end(entries: Iterable[Listed | Skipped], changes: Changes) -> Iterator[Listed | Skipped]:
    """Yield what is listed; where there is more that could not be, note why."""
    try:
        yield from entries
    except SourceIncomplete as error:
        changes.incomplete = str(error)


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
        self._media = self.changes.options = MediaOptions.from_json(source.options)

    def take(self, batch: list[Listed | Skipped]) -> None:
        """Take the next entries of the walk."""
        files = [entry for entry in batch if not isinstance(entry, Skipped)]
        if len(files) < len(batch):
            for entry in batch:
                if isinstance(entry, Skipped):
                    self._skip(entry)
        if self._media:
            several = [entry for entry in files if self._media.takes(entry.key)]
            for entry in several:
                self._judge_media(entry)
            files = [entry for entry in files if not self._media.takes(entry.key)] if several else files
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

    def _judge_media(self, file: Listed) -> None:
        """Decide about a film or document, whose pictures have a row each."""
        changes, before = self.changes, self._before.skipped.get(file.key)
        rows, unchanged = self._stored.find_parts(file.key, self._media.stamp(file.stamp))
        self._count(file.key)
        self.holding.add(file.key.rpartition(b"/")[0])
        if rows and unchanged and not self._rehash:
            changes.found += rows
            return
        mark = digest(file.key, file.stamp)
        lasting = before is not None and before.reason in LASTING and not rows and not self._rehash
        if (
            before is not None
            and lasting
            and (before.stamp == file.stamp or np.isin(np.uint64(mark), self._before.rejected))
        ):
            changes.skipped.append(replace(before, stamp=file.stamp))
            changes.rejected.add(mark)
            return
        changes.media.append(file)

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

    def finish(
        self,
        records: Callable[[Ids], Iterable[Record]],
        below: bytes,
        *,
        keep: bool,
        moved: Mapping[bytes, bytes],
    ) -> None:
        """Tell which rows are missing, and which of them are not to be removed without a question."""
        changes, stored = self.changes, self._stored
        gone = np.sort(stored.ids[~stored.found])
        closed, links = tuple(self.closed), tuple(self.links)
        changes.rows = int(np.count_nonzero(stored.found))
        if keep or (changes.incomplete and not below):
            changes.rows += len(gone)
            changes.not_seen = 0 if keep else len(gone)
            return
        for start in range(0, len(gone), _BATCH):
            for record in records(gone[start : start + _BATCH]):
                key = record.key
                if not key.startswith(below):
                    continue
                changes.rows += 1
                if changes.incomplete or (closed and key.startswith(closed)):
                    changes.not_seen += 1
                    continue
                changes.missing[key] = record.id
                if moved.get(key) == record.stamp:
                    changes.moved_away.add(key)
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
        away = sum(name.startswith(prefix) for name in changes.missing if name not in changes.moved_away)
        now = seen.get(key)
        if away and (now is None or not now.mount or not _any_below(comparison.holding, key)):
            changes.unmounted[key] = away
    changes.folders = folders


def _any_below(folders: Iterable[bytes], key: bytes) -> bool:
    return any(folder == key or folder.startswith(key + b"/") for folder in folders)
