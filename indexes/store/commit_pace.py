"""Commit a store every few seconds, so that a killed process loses little work."""

from __future__ import annotations

import time
from typing import Protocol

SECONDS = 5.0
"""Work that a killed process may lose."""


class _Store(Protocol):
    @property
    def pending(self) -> int: ...

    def commit(self) -> None: ...


class CommitPace:
    """The clock of a loop that fills a store.

    Args:
        store: what is committed.
        rows: commit earlier, once so many changes wait; None where only the time counts.
    """

    def __init__(self, store: _Store, *, rows: int | None = None) -> None:
        self._store, self._rows = store, rows
        self._committed = time.monotonic()

    def is_due(self) -> bool:
        """Say whether enough time has passed, or enough changes wait."""
        late = time.monotonic() - self._committed > SECONDS
        return late or (self._rows is not None and self._store.pending >= self._rows)

    def commit(self) -> None:
        """Commit now."""
        self._store.commit()
        self._committed = time.monotonic()

    def commit_if_due(self) -> bool:
        """Commit if it is time; say whether it was."""
        due = self.is_due()
        if due:
            self.commit()
        return due
