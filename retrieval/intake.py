"""Fresh files come into the store: recognised by their content, or encoded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from indexes.store import NewRow
from retrieval import keys
from retrieval.errors import ImageError
from retrieval.report import OnProgress, Progress
from retrieval.skipped import UNKNOWN, SkippedFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexes.arrays import Vectors
    from retrieval.changes import Changes
    from retrieval.encoders import Encoder
    from retrieval.growing import Growing
    from retrieval.walk import Found

# A killed build loses at most this much.
COMMIT_SECONDS = 5.0
COMMIT_ROWS = 32_768


class Intake:
    """The fresh files of one build on their way into the store.

    Args:
        changes: what the build has to do; kept up to date.
        store: opened for writing.
        encoder: called once, and only if a file must be encoded.
        progress: called now and then.
    Attributes:
        skipped: files that will not become vectors.
        encoded, reused, moved: how many were encoded; recognised by content; renamed.
        broken: rows of files that can no longer be read.
    """

    def __init__(
        self,
        changes: Changes,
        store: Growing,
        encoder: Callable[[], Encoder],
        progress: OnProgress | None,
    ) -> None:
        self._changes, self._store, self._encoder, self._progress = changes, store, encoder, progress
        self.skipped = list(changes.skipped)
        self.encoded = self.reused = self.moved = 0
        self.broken: list[int] = []
        self._pending: dict[bytes, Vectors] = {}  # content → vector of rows appended but not committed
        self._committed = time.monotonic()

    def run(self) -> None:
        """Bring every fresh file into the store and commit."""
        rest = self._recognise()
        if rest:
            self._embed(rest)
        self._commit()

    def _recognise(self) -> list[Found]:
        """Take in touched, moved and copied files by their content; return the others.

        Only a file whose size some row has can be one, so most new files are not read twice, and a build that only finds
        such files loads no model.
        """
        rest: list[Found] = []
        fresh = self._changes.fresh
        for number, file in enumerate(fresh, start=1):
            content = self._known_content(file)
            if content is None:
                rest.append(file)
            else:
                self._reuse(file, content)
            self._commit_sometimes()
            if self._progress is not None and number % 1000 == 0:
                self._progress(Progress(phase="compare", done=number, total=len(fresh)))
        return rest

    def _known_content(self, file: Found) -> bytes | None:
        """Return the file's content hash if a row has the same; ``None`` otherwise."""
        if file.size not in self._changes.sizes:
            return None
        from retrieval.images import content_hash

        try:
            content = content_hash(_read(file))
        except ImageError:
            return None
        return content if content in self._changes.contents else None

    def _embed(self, rest: list[Found]) -> None:
        from retrieval.embed import embed

        total = len(self._changes.fresh)
        handled = total - len(rest)
        known = self._changes.contents.__contains__
        for batch in embed(rest, self._encoder(), open_image=_read, known=known):
            for file, content, vector in zip(batch.items, batch.contents, batch.vectors, strict=True):
                self._pending[content] = vector[np.newaxis]
                self._append(file, content, vector[np.newaxis])
                self.encoded += 1
            for file, content in batch.reused:
                self._reuse(file, content)
            for file, error in batch.failed:
                self._skip(file, error)
            handled += len(batch.items) + len(batch.reused) + len(batch.failed)
            self._commit_sometimes()
            if self._progress is not None:
                self._progress(Progress(phase="embed", done=handled, total=total, skipped=len(self.skipped)))

    def _commit_sometimes(self) -> None:
        if self._store.pending >= COMMIT_ROWS or time.monotonic() - self._committed > COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        self._store.commit()
        self._pending.clear()
        self._committed = time.monotonic()

    def _reuse(self, file: Found, content: bytes) -> None:
        """Take in a file whose content has a vector already: touched, moved or copied."""
        store, changes = self._store, self._changes
        stamp = _stamp(file)
        old = store.find(file.key)
        if old is not None and store.record(old).content == content:
            store.restamp(old, stamp)
            changes.found.append(file.key)
            self.reused += 1
            return
        gone = changes.missing_contents.get(content)
        if gone:
            number = changes.missing.pop(gone.pop())
            if old is not None:
                store.remove([old])
            store.rename(number, file.key, stamp)
            changes.found.append(file.key)
            self.moved += 1
            return
        vector = self._pending.get(content)
        if vector is None:
            number = changes.contents[content]
            vector = store.rows(number, number + 1).astype(np.float32)
        self._append(file, content, vector)
        self.reused += 1

    def _append(self, file: Found, content: bytes, vector: Vectors) -> None:
        record = NewRow(key=file.key, content=content, stamp=_stamp(file))
        (number,) = self._store.append(vector, [record])
        self._changes.contents.setdefault(content, int(number))
        self._changes.found.append(file.key)

    def _skip(self, file: Found, error: ImageError) -> None:
        """List a file that is no readable image; a vector of what it was before will go, unless only the system failed."""
        self.skipped.append(
            SkippedFile(key=file.key, reason=error.reason, stamp=_stamp(file), detail=str(error))
        )
        if error.reason in UNKNOWN:
            return
        old = self._store.find(file.key)
        if old is not None:
            self.broken.append(old)


def _read(file: Found) -> bytes:
    from retrieval.images import read_file

    return read_file(file.path)


def _stamp(file: Found) -> bytes:
    return keys.stamp(size=file.size, mtime_ns=file.mtime_ns)
