"""Define `DerivedFile`: a file that every generation of a collection gets besides its index, made of the store's records."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from indexes.generation import Manifest
from indexes.store import VectorStore


class DerivedFile(Protocol):
    """A file that is made of the records of a store, such as an index of their names.

    It lies in the generation's directory. The manifest names it with its checksum, as it does all files there. Rows that are
    published beside a generation (`indexes.generation.Recent`) are not in it: its reader takes them from the store.
    """

    def write(self, prepared: Path, *, home: Path, store: VectorStore, before: Manifest | None) -> None:
        """Write the file for all rows of the store.

        Args:
            prepared: the generation's directory, which is not published yet.
            home: the collection's directory.
            store: the rows; every change is committed.
            before: the published manifest, whose generation may have the file for the first of these very rows; None if
                its rows are others.
        Raises:
            StoreFull: no space left.
        """

    def is_current(self, home: Path, *, store: VectorStore, before: Manifest) -> bool:
        """Say whether a published generation has the file, and a build would change nothing of it.

        It is asked only where rows, keys and tombstones are those of that generation.
        """
