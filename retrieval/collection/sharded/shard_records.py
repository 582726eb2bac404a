"""Stand in for the records, names and columns of one collection: each row is asked of its shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.collection.sharded.numbering import first_of, shard_of, split
from retrieval.errors import MissingRow
from retrieval.names import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from indexes.store import Record
    from indexes.vectors import Ids
    from retrieval.collection.sharded.asked_shards import AskedShards
    from retrieval.names import AskedWord, LookedUp


class ShardStore:
    """The records of all shards."""

    behind = False

    def __init__(self, shards: AskedShards) -> None:
        self._shards = shards

    def record(self, number: int) -> Record:
        """Return a row's record.

        Raises:
            MissingRow: no row ever had this id.
        """
        if shard_of(number) not in self._shards.numbers:
            raise MissingRow(
                f"no shard has a row {number}; ids are a shard's number times 2**32, plus a row's"
            )
        (found,) = self.records([number])
        return found

    def records(self, ids: Iterable[int]) -> list[Record]:
        """Return the records of some rows, in their order."""
        return [record._replace(id=number) for number, record in self._of_rows("records", ids)]

    def columns(self, ids: Iterable[int]) -> list[bytes]:
        """Return the packed columns of some rows, in their order."""
        return [packed for _, packed in self._of_rows("columns", ids)]

    def _of_rows(self, method: str, ids: Iterable[int]) -> list[tuple[int, Any]]:
        numbers = np.fromiter(ids, dtype=np.int64)
        found: list[Any] = [None] * len(numbers)
        parts = list(split(numbers))
        answers = self._shards.each(method, {shard: (own.tolist(),) for shard, _, own in parts})
        for shard, places, _ in parts:
            for place, one in zip(places.tolist(), answers[shard], strict=True):
                found[place] = one
        return list(zip(numbers.tolist(), found, strict=True))

    def find(self, key: bytes) -> int | None:
        """Return the row of a key."""
        for shard, number in self._shards.every("find", key).items():
            if number is not None:
                return first_of(shard) + int(number)
        return None

    def find_record(self, key: bytes) -> Record | None:
        """Return the record of a key."""
        number = self.find(key)
        return None if number is None else self.record(number)

    def find_content(self, content: bytes) -> Ids:
        """Return the rows of a content, ascending."""
        return np.array(self.find_contents([content]).get(content, []), dtype=np.int64)

    def find_contents(self, contents: Iterable[bytes]) -> dict[bytes, list[int]]:
        """Return the rows of contents."""
        found: dict[bytes, list[int]] = {}
        for shard, own in self._shards.every("find_contents", list(contents)).items():
            for content, ids in own.items():
                found.setdefault(content, []).extend(first_of(shard) + number for number in ids)
        return found


class ShardNames:
    """The names of the rows of all shards."""

    def __init__(self, shards: AskedShards, *, rows: int) -> None:
        self._shards, self._rows = shards, rows

    def look_up(
        self,
        words: Sequence[AskedWord],
        *,
        allowed: Callable[[Ids], Any],
        all_rows: bool = False,
    ) -> LookedUp | None:
        """Find the rows that have words in their names; None if nobody has indexed any."""
        found = self._shards.every("look_up", words, None, all_rows=all_rows)
        parts = {shard: one for shard, one in found.items() if one is not None}
        if not parts:
            return None
        whole = joined(list(parts.values()), firsts=[first_of(shard) for shard in parts], rows=self._rows)
        return whole.among(allowed(whole.ids))

    def named_by(self, ids: Ids) -> list[dict[str, set[str]]]:
        """Return the words of the names of some rows, in their order."""
        found: list[Any] = [None] * len(ids)
        for shard, places, own in split(np.asarray(ids, dtype=np.int64)):
            for place, one in zip(places.tolist(), self._shards.one(shard, "named_by", own), strict=True):
                found[place] = one
        return found


class ShardColumns:
    """The columns of the rows of all shards."""

    def __init__(self, shards: AskedShards) -> None:
        self._shards = shards

    def types(self) -> dict[str, str]:
        """Return the types of the columns by their names."""
        found: dict[str, str] = {}
        for own in self._shards.every("column_types").values():
            found |= {name: kind for name, kind in own.items() if name not in found}
        return found

    def table(self) -> tuple[Any, dict[str, str]]:
        """Return the columns of all live rows as an Arrow table, and their types; a row without a value has null there.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        parts = self._shards.every("column_table").values()
        import pyarrow as pa

        types = self.types()
        whole = pa.concat_tables([_plain(table) for table in parts], promote_options="permissive")
        return whole.select([whole.column_names[0], *sorted(types)]), types


def _plain(table: Any) -> Any:
    """Return a table without dictionaries: those of shards differ."""
    import pyarrow as pa

    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


class ShardPaths:
    """The keys of the rows of all shards, as paths."""

    def __init__(self, shards: AskedShards) -> None:
        self._shards = shards

    def folders(self, under: str | None) -> dict[str, int]:
        """Return the folders below one, with how many rows each has; sorted."""
        found: dict[str, int] = {}
        for own in self._shards.every("folders", under).values():
            for name, count in own.items():
                found[name] = found.get(name, 0) + count
        return {name: found[name] for name in sorted(found)}
