"""Look at the rows of a collection one by one: their keys, and a row's vector and file."""

from __future__ import annotations

import os
from collections.abc import Collection as AbstractCollection
from itertools import islice
from typing import TYPE_CHECKING, Any

from retrieval.collection.answers import RowImage, link_of
from retrieval.collection.rows import hand_number, is_by_hand
from retrieval.hints import attribute_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from indexes.store import Record
    from retrieval.collection.answers import Origin
    from retrieval.collection.collection import Collection

_AT_ONCE = 4096
"""Keys that are read together."""


class Row(RowImage):
    """One row of a collection: ``photos["a.jpg"]`` or ``photos[7]``.

    Attributes:
        id: the row's id.
        key: its key, for an image its path relative to the root; bytes that are not UTF-8 are surrogate-escaped.
        content: hash of the image's bytes as they were when it was indexed, 16 bytes; of a row by hand, of what was handed over.
        by_hand: whether it was added as a vector or an image, not found by a build. It may have no file.
    """

    __slots__ = ("_collection", "_origin", "by_hand", "content", "id", "key")

    id: int
    key: str
    content: bytes
    by_hand: bool
    _origin: Origin | None

    def __init__(
        self, collection: Collection, number: int, record: Record, *, origin: Origin | None = None
    ) -> None:
        self._collection, self._origin = collection, origin
        self.id, self.key, self.content = number, os.fsdecode(record.key), record.content
        self.by_hand = is_by_hand(record, hand_number(collection.manifest))

    @property
    def vector(self) -> NDArray[np.float32]:
        """The stored vector, ``(d,)`` float32."""
        vector: NDArray[np.float32] = self._collection.vectors(self.id)[0]
        return vector

    @property
    def columns(self) -> Mapping[str, Any]:
        """What else is known of the image, by name: its size, when and with what it was taken, captions, labels."""
        columns: Mapping[str, Any] = self._collection.columns(self.id)[0]
        return columns

    @property
    def link(self) -> str:
        """What a person can open: the file's absolute path, or the address of an image that is no file."""
        return link_of(self.key, self.origin, root=os.path.abspath(self._collection.root))

    if not TYPE_CHECKING:  # a type checker would take every name for one that exists
        __getattr__ = attribute_of

    def __repr__(self) -> str:
        return f"<Row {self.id}: {self.key!r}>"


class Keys(AbstractCollection[str]):
    """The keys of all rows in the order of their ids, read while you go through them."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def __len__(self) -> int:
        return len(self._collection)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str | bytes | os.PathLike) and key in self._collection

    def __iter__(self) -> Iterator[str]:
        start = 0
        while keys := self._read(start):
            start += len(keys)
            yield from (os.fsdecode(key) for key in keys if key is not None)

    def _read(self, start: int) -> list[bytes | None]:
        """Return the keys of some rows, None for those that were deleted; no row ever gets another id."""
        with self._collection._using() as opened:  # noqa: SLF001 - a part of it
            stop = min(start + _AT_ONCE, opened.manifest.count)
            live = opened.live[start:stop].tolist()
            keys = islice(opened.store.keys(start), max(stop - start, 0))
            return [key if lives else None for key, lives in zip(keys, live, strict=True)]

    def __repr__(self) -> str:
        return f"<{len(self):,} keys of {str(self._collection.directory)!r}>"
