"""Define what writes rows by hand: one collection's rows, or those of all shards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from indexes.vectors import Halves, Ids


class Contents(Protocol):
    """Finds committed rows by what they were made of.

    Attributes:
        dim: width of the rows.
    """

    dim: int

    def find_content(self, content: bytes, /) -> Ids:
        """Return the live rows of a content, ascending."""

    def rows(self, start: int, stop: int, /) -> Halves:
        """Return some rows."""


class RowsByHand(Protocol):
    """Adds, replaces and deletes rows by hand, as `HandRows` does; each method is described there."""

    @property
    def added(self) -> int:
        """Rows that were new."""

    @property
    def updated(self) -> int:
        """Rows that got another vector."""

    @property
    def unchanged(self) -> int:
        """Rows that had this very vector already."""

    @property
    def deleted(self) -> int:
        """Rows that were deleted."""

    def next_ids(self, count: int) -> list[int]:
        """Return the ids that the next new rows get."""

    def checked_ids(self, ids: Any, *, where: object) -> Ids:
        """Return ids that callers give as ``(m,)`` int64."""

    def require_new(self, keys: Iterable[bytes]) -> None:
        """Refuse keys that rows have already."""

    def require_own(self, keys: Iterable[bytes]) -> None:
        """Refuse keys that rows of another source have."""

    def of_ids(self, ids: Ids) -> dict[int, bytes]:
        """Return some ids and their keys, if they are live rows that were made by hand."""

    def of_keys(self, keys: Iterable[bytes]) -> dict[int, bytes]:
        """Return the ids and keys of the rows that have these keys."""

    def rows_by_hand(self) -> Iterator[tuple[int, bytes]]:
        """Yield the ids and keys of the committed rows that were made by hand."""

    def put(
        self,
        rows: Halves,
        keys: Sequence[bytes],
        contents: Sequence[bytes] | None = None,
        columns: Sequence[bytes] | None = None,
    ) -> list[int]:
        """Add rows, or replace those of the same keys."""

    def delete(self, rows: Mapping[int, bytes]) -> None:
        """Delete rows by their ids and keys."""

    def commit(self) -> None:
        """Make all that waits durable."""

    def commit_if_due(self) -> None:
        """Commit if some seconds have passed, or much waits."""
