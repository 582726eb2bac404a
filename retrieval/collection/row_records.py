"""Define what gives the records of all rows by their places: the store of one collection, or those of all shards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from indexes.store import Record


class Records(Protocol):
    """Records by place, see `Collection.places`; a record's id is its place. A context manager."""

    def scan(self) -> Iterator[Record]:
        """Yield the records of all live rows, ascending."""

    def scan_columns(self) -> Iterator[tuple[int, bytes]]:
        """Yield the places and packed columns of the rows that have some, ascending."""

    def records(self, places: Iterable[int], /) -> list[Record]:
        """Return the records of some rows, in their order."""

    def close(self) -> None:
        """Let go of what is open."""

    def __enter__(self) -> Self:
        """Return this."""

    def __exit__(self, *_error: object) -> None:
        """Close it."""
