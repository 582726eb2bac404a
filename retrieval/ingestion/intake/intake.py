"""Take new images into the store: recognised by content hash, or encoded.

Long because a file passes from thread to thread, and what it holds meanwhile stands beside them.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future
from contextlib import closing
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.engine import ThreadPool
from indexes.store import CommitPace, NewRow
from retrieval.collection.rows import plain
from retrieval.columns import own_columns, pack, parts
from retrieval.errors import EncoderError, ImageError
from retrieval.ingestion.intake.fresh_files import ByteBudget, FreshFile
from retrieval.ingestion.intake.media_intake import Part, media_parts
from retrieval.progress import OnProgress, Progress
from retrieval.sources import LASTING, UNKNOWN, ReadAheadSource, SkippedFile, digest, keys

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from indexes.vectors import Vectors
    from retrieval.collection.rows import Growing
    from retrieval.encoders import Encoder
    from retrieval.ingestion.changes import Changes
    from retrieval.sources import Entry, Source

# A killed build loses at most this much.
COMMIT_ROWS = 32_768

HELD_BYTES = 64 << 20
"""Bytes of files that were read and wait to be decoded."""

NOTES = 20
"""Incomplete files that are named."""

NO_VECTOR = "no-vector"
_AHEAD = 2  # files a thread that are hashed, or being hashed, before they are asked for


class Intake:
    """The fresh files of one build on their way into the store.

    Args:
        changes: what the build has to do; kept up to date.
        store: opened for writing.
        source: what the files are read from.
        encoder: called once, and only if a file must be encoded.
        progress: called now and then.
        max_pixels: as `retrieval.sources.decoding.decoder.decode` has it; None for its default.
        number: of the source, in the records of its rows.
        before: how many images of other sources were handled already, of ``total``, for progress.
        total: images of all sources; None for those of this one.
        elsewhere: returns the vector of a content that another shard has or had; None where no other may have any.
        headers: store what each image's file says of it (size, time, camera, place) as columns.
    Attributes:
        changes: those.
        skipped: files that will not become vectors.
        without: how many the encoder gives no vector for.
        encoded, reused, moved: how many were encoded; recognised by content; renamed.
        same, failed: how many were found unchanged by their content; are no readable images.
        broken: rows of files that can no longer be read.
        replaced: rows of pictures that a film or document no longer gives.
        incomplete: how many were encoded though a part of the picture is missing.
    """

    changes: Changes
    skipped: list[SkippedFile]
    encoded: int
    reused: int
    moved: int
    same: int
    failed: int
    incomplete: int
    without: int

    def __init__(
        self,
        changes: Changes,
        store: Growing,
        source: Source,
        encoder: Callable[[], Encoder],
        progress: OnProgress | None,
        *,
        max_pixels: int | None = None,
        number: int = 0,
        before: int = 0,
        total: int | None = None,
        headers: bool = False,
        elsewhere: Callable[[bytes], Vectors | None] | None = None,
    ) -> None:
        self._number, self._headers = number, headers
        self._before, self._total = before, len(changes.fresh) if total is None else total
        from retrieval.sources.decoding import MAX_PIXELS

        self.max_pixels, self._had_rows = max_pixels or MAX_PIXELS, changes.rows > 0
        self.changes, self.store, self.source = changes, store, source
        self._encoder, self._progress = encoder, progress
        self.skipped = list(changes.skipped)
        self.encoded = self.reused = self.moved = self.same = self.failed = 0
        self.incomplete = self.without = 0
        self.broken: list[int] = []
        self.replaced: list[int] = []
        self._added: set[bytes] = set()  # contents of rows appended by this build
        self._elsewhere = elsewhere
        self._foreign: dict[bytes, Vectors] = {}  # content → vector of a row of another shard
        self._rows: dict[bytes, int] = {}  # content → a row that was there before and has it
        self._pending: dict[bytes, Vectors] = {}  # content → vector of rows appended but not committed
        self._pace = CommitPace(store, rows=COMMIT_ROWS)

    def run(self) -> None:
        """Bring every fresh file into the store and commit."""
        with closing(self._unrecognised()) as files, closing(media_parts(self)) as pictures:
            rest = chain[FreshFile | Part](files, pictures)
            first = next(rest, None)
            if first is not None:
                self._embed(chain([first], rest))
        self._commit()

    def gone(self) -> list[int]:
        """Return the rows whose entries are missing, or can no longer be read."""
        return [*self.changes.missing.values(), *self.broken, *self.replaced]

    def skipped_everywhere(self) -> list[SkippedFile]:
        """Return the files without a vector, those outside the folder that was walked too."""
        return [*self.skipped, *self.changes.skipped_elsewhere]

    def _unrecognised(self) -> Generator[FreshFile, None, None]:
        """Take in touched, moved and copied files by their content; yield the others, in order.

        Only a file whose size some row has can be one, so other new files are read by the decoding threads alone, and a
        build that only finds such files loads no model. Threads read and hash ahead of the caller. Of a source whose reads
        wait for a network all files are read so, each once; hashing those that are new is left to the decoding threads.
        """
        fresh = self.changes.fresh
        if not fresh:
            return
        from retrieval.embedding import cores

        sizes = np.array([keys.size_of(file.stamp) for file in fresh], dtype=np.uint64)
        candidates = np.isin(sizes, self.changes.sizes).tolist()
        budget = ByteBudget(HELD_BYTES)
        ahead: deque[tuple[FreshFile, Future[bytes | None] | None]] = deque()
        waiting = zip(fresh, candidates, strict=True)
        source = self.source
        readers = source.readers if isinstance(source, ReadAheadSource) else 0
        threads = readers or cores()
        pool = ThreadPool(threads, thread_name_prefix="retrieval-hash")
        try:
            for number in range(1, len(fresh) + 1):
                room = _AHEAD * threads - len(ahead)
                if readers and budget.is_spent:
                    room = 0 if ahead else 1
                for file, candidate in islice(waiting, room):
                    item = FreshFile(
                        file, source, budget, self.max_pixels, once=readers > 0, headers=self._headers
                    )
                    work = item.content if candidate else item.fetch if readers else None
                    ahead.append((item, None if work is None else pool.submit(work)))
                item, result = ahead.popleft()
                content = None if result is None else result.result()
                if content is not None and self.is_known(content):
                    item.release()
                    self._reuse(item, content)
                else:
                    yield item
                self._commit_sometimes()
                if self._progress is not None and number % 1000 == 0:
                    self._progress(Progress(phase="compare", done=self._before + number, total=self._total))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def is_known(self, content: bytes) -> bool:
        """Say whether a row has this content; called from several threads."""
        if content in self._added or content in self._rows or content in self._foreign:
            return True
        found = plain(self.store).find_content(content)
        if len(found):
            self._rows[content] = int(found[0])
            return True
        vector = None if self._elsewhere is None else self._elsewhere(content)
        if vector is not None:
            self._foreign[content] = vector
        return vector is not None

    def _embed(self, rest: Iterator[FreshFile | Part]) -> None:
        from retrieval.embedding import embed

        total = self._total
        encoder = self._encoder()
        batches = embed(
            rest,
            encoder,
            open_image=lambda item: item.read(),
            known=self.is_known,
            max_pixels=self.max_pixels,
            size_of=lambda item: item.size(),
            name_of=lambda item: item.name(),
        )
        for batch in batches:
            for item, content, vector in zip(batch.items, batch.contents, batch.vectors, strict=True):
                own = item.content if isinstance(item, Part) else content
                self._pending[own] = vector[np.newaxis]
                row = self._append(item, own, vector[np.newaxis])
                self.encoded += 1
                if isinstance(item, Part):
                    item.stored(row)
            for item, content in batch.reused:
                if isinstance(item, FreshFile):  # a picture of a film is no file's bytes
                    self._reuse(item, content)
            for item, error in batch.failed:
                self.skip(item.file, error)
                if isinstance(item, Part):
                    item.stored(None)
                self.without += error.reason == NO_VECTOR
            for item, note in batch.noted:
                self.note(item.file, note)
            self._commit_sometimes()
            if self._progress is not None:
                handled = self._before + self.encoded + self.reused + self.moved + self.same + self.failed
                self._progress(Progress(phase="embed", done=handled, total=total, skipped=len(self.skipped)))

        trouble = getattr(encoder, "trouble", None)
        if trouble is not None and self._progress is not None:
            self._progress(
                Progress(phase="embed", done=self.encoded, total=total, message=f"note: {trouble}")
            )
        if self.without and not self.encoded and not self._had_rows:
            raise EncoderError(
                f"encoder {encoder.space.name}: no vector (zero or not finite) for any of {self.without} images; "
                f"check its weights, or choose another `encoder` or `device`"
            )

    def note(self, file: Entry, note: str) -> None:
        """Tell of a file that was taken in though a part of it is missing; of the first few each by name."""
        self.incomplete += 1
        if self._progress is not None and self.incomplete <= NOTES:
            message = f"note: {os.fsdecode(file.key)} {note}; it is indexed by the rest"
            self._progress(Progress(phase="embed", done=self.encoded, total=self._total, message=message))

    def _commit_sometimes(self) -> None:
        if self._pace.is_due():
            self._commit()

    def _commit(self) -> None:
        self._pace.commit()
        self._pending.clear()
        for content in list(self._foreign):  # other threads add to it
            if content in self._added:  # the own store has it now
                del self._foreign[content]

    def _reuse(self, item: FreshFile, content: bytes) -> None:
        """Take in a file whose content has a vector already: touched, moved or copied."""
        store, file = self.store, item.file
        stamp = file.stamp
        old = store.find(file.key)
        if old is not None:
            record = store.record(old)
            if record.content == content and record.source == self._number:
                self._recolumn(old, item)
                if record.stamp != stamp:
                    store.restamp(old, stamp)
                    self.reused += 1
                else:
                    self.same += 1
                return
        number = self._missing_with(content)
        if number is not None:
            if old is not None:
                store.remove([old])
            store.rename(number, file.key, stamp)
            self._recolumn(number, item)
            self.moved += 1
            return
        self._append(item, content, self.vector_of(content))
        self.reused += 1

    def vector_of(self, content: bytes) -> Vectors:
        """Return the vector ``(1, d)`` of a row that has a known content."""
        vector = self._pending.get(content, self._foreign.get(content))
        if vector is None:
            number = self._rows.get(content)
            if number is None:  # encoded by this build, and committed since
                number = int(plain(self.store).find_content(content)[0])
            vector = self.store.rows(number, number + 1).astype(np.float32)
        return vector

    def _missing_with(self, content: bytes) -> int | None:
        """Return a row with this content whose file was not found, and take it off the list of those."""
        missing, store = self.changes.missing, plain(self.store)
        if not missing:
            return None
        for number in store.find_content(content)[::-1].tolist():
            key = store.record(number).key
            if missing.get(key) == number:
                del missing[key]
                return int(number)
        return None

    def _append(self, item: FreshFile | Part, content: bytes, vector: Vectors) -> int:
        if isinstance(item, Part):
            return self.append(item.file, content, vector, pack(item.header if self._headers else {}, {}))
        own = self._own_columns(item)
        return self.append(item.file, content, vector, pack(item.header, {} if own is None else own))

    def append(self, file: Entry, content: bytes, vector: Vectors, columns: bytes) -> int:
        """Add a row with a vector ``(1, d)``; return its id."""
        record = NewRow(key=file.key, content=content, stamp=file.stamp, source=self._number, columns=columns)
        ids = self.store.append(vector, [record])
        self._added.add(content)
        return int(ids[0])

    def _recolumn(self, number: int, item: FreshFile) -> None:
        """Give a committed row the columns that its file has by now."""
        before = self.store.columns([number])[0]
        header, known = parts(before)
        own = self._own_columns(item)
        columns = pack(item.header or header, known if own is None else own)
        if columns != before:
            self.store.set_columns(number, columns)

    def _own_columns(self, item: FreshFile) -> dict[str, Any] | None:
        """Return what the source says of a file; None, and a note, where that cannot be read."""
        try:
            return own_columns(self.source, item.file)
        except ImageError as error:
            self.note(item.file, f"has columns that cannot be read ({error.what or error})")
            return None

    def skip(self, file: Entry, error: ImageError) -> None:
        """List a file that is no readable image; a vector of what it was before will go, unless only the system failed."""
        stamp = file.stamp
        detail = error.what or str(error).removeprefix("image: ")
        self.skipped.append(SkippedFile(key=file.key, reason=error.reason, stamp=stamp, detail=detail))
        self.failed += 1
        if error.reason in LASTING:
            self.changes.rejected.add(digest(file.key, stamp))
        if error.reason in UNKNOWN:
            return
        old = self.store.find(file.key)
        if old is not None:
            self.broken.append(old)
