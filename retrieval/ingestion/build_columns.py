"""Keep the columns of a build's rows: decide which are read, fill those that older rows lack, and sum them up."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from indexes.engine import ThreadPool
from indexes.generation import Columns
from indexes.store import CommitPace
from retrieval.collection.rows import plain
from retrieval.columns import HEADERS, own_columns, pack, parts, read_header, summary
from retrieval.errors import ImageError, SourceIncomplete
from retrieval.progress import Progress
from retrieval.sources import ColumnSource, Seen, Skipped, WatchedColumnSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from indexes.generation import Manifest
    from indexes.store import Record, VectorStore
    from indexes.vectors import Ids
    from retrieval.collection.rows import Growing
    from retrieval.columns import Value
    from retrieval.ingestion.build_sources import BuildSource
    from retrieval.progress import OnProgress
    from retrieval.sources import Entry, Source

_BLOCK = 1024
_THREADS = 8  # they wait for the disk, mostly


class BuildColumns:
    """What one build does about columns.

    Args:
        before: the published manifest; None for a new collection.
        headers: read what each image's file says of it; None keeps what was chosen, and is True for a new collection.
        sources: of the build, before they are listed: that they have changed is seen only until then.
    Attributes:
        headers: whether the files that this build reads are asked.
        begun: what the manifest of a new collection says from the start; None for one that exists.
    """

    headers: bool
    begun: Columns | None

    def __init__(
        self, before: Manifest | None, *, headers: bool | None, sources: Sequence[BuildSource] = ()
    ) -> None:
        self._before = None if before is None else before.columns
        self._changed = {source.number for source in sources if _may_differ(source, before)}
        known = 0 if self._before is None else self._before.headers
        if before is None or before.count == 0:
            known = HEADERS if headers is not False else 0
        self.headers = known > 0 if headers is None else headers
        self.begun = Columns(headers=HEADERS) if before is None and self.headers else None
        # A later version's columns are filled only where somebody asks: all files are read for them.
        self._fills = headers is True and known < HEADERS
        self._known = HEADERS if self._fills else known if self.headers else 0

    def fill(self, store: Growing, source: Source, *, number: int, progress: OnProgress | None) -> None:
        """Read the heads of all files whose rows lack columns that were asked for; nothing is encoded.

        A file that cannot be read keeps its row without them. Interrupted, the next build continues.

        Args:
            store: open for writing.
            source: of the rows.
            number: the source's, in the records of its rows.
            progress: called now and then.
        """
        if not self._fills:
            return
        store.commit()
        held = plain(store)
        pace, done = CommitPace(held), 0
        with ThreadPool(_THREADS, thread_name_prefix="retrieval-headers") as pool:
            for ids in _blocks(held, number):
                columns = held.columns(ids)
                lacking = [place for place, data in enumerate(columns) if not parts(data)[0]]
                headers = pool.map(partial(_header, source), held.records(ids[lacking]))
                for place, header in zip(lacking, headers, strict=True):
                    if header:
                        held.set_columns(int(ids[place]), pack(header, parts(columns[place])[1]))
                pace.commit_if_due()
                done += len(ids)
                if progress is not None:
                    progress(Progress(phase="headers", done=done, total=held.live))
        store.commit()

    def update(self, store: Growing, source: BuildSource) -> None:
        """Give stored rows what their source says of them by now: a changed caption encodes nothing.

        Entries whose stamps changed have theirs already. The source is listed again only if its own files changed, or what
        is asked of it did; one that cannot be listed twice is passed over.

        Args:
            store: open for writing; every new row is in it.
            source: a source of the build.
        """
        if source.number not in self._changed:
            return
        store.commit()
        held = plain(store)
        pace = CommitPace(held)
        listed = (entry for entry in source.source.entries(Seen()) if not isinstance(entry, Skipped))
        with suppress(SourceIncomplete):  # the comparison told of it; rows keep their columns
            while entries := list(islice(listed, _BLOCK)):
                found = zip(held.find_records([entry.key for entry in entries]), entries, strict=True)
                own = {
                    record.id: entry
                    for record, entry in found
                    if record is not None and record.source == source.number
                }
                for number, before in zip(own, held.columns(own), strict=True):
                    header, known = parts(before)
                    now = pack(header, _own(source.source, own[number], known=known))
                    if now != before:
                        held.set_columns(number, now)
                pace.commit_if_due()
        store.commit()

    def finished(self, store: VectorStore) -> Columns | None:
        """Return what the manifest is to say once every change is committed."""
        return summary(store, self._before, headers=self._known)


def _may_differ(source: BuildSource, before: Manifest | None) -> bool:
    """Say whether what a source says of entries that have not changed may have changed since the last build."""
    known = next((one for one in before.sources if one.number == source.number), None) if before else None
    if known is None or source.is_new or source.is_once or not isinstance(source.source, ColumnSource):
        return False
    if dict(known.options) != dict(source.recorded.options):
        return True
    if isinstance(source.source, WatchedColumnSource):
        return source.source.columns_changed(source.memory)
    return source.source.changed(source.memory)


def _blocks(store: VectorStore, number: int) -> Iterator[Ids]:
    """Yield the ids of a source's live rows, some at a time."""
    for ids, _ in store.packed(source=number):
        for start in range(0, len(ids), _BLOCK):
            yield ids[start : start + _BLOCK]


def _own(source: Source, entry: Entry, *, known: dict[str, Value]) -> dict[str, Any]:
    """Return what a source says of an entry; what is known already where that cannot be read."""
    try:
        return own_columns(source, entry)
    except ImageError:
        return known


def _header(source: Source, record: Record) -> dict[str, Value]:
    """Return what the file of a row says; nothing for one that cannot be read, which the next build that meets it tells."""
    try:
        return read_header(source, record)
    except ImageError:
        return {}
