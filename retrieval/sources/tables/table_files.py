"""Open parquet, Arrow and Feather files, here or at a URL, and stream their rows."""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from indexes.distribution import pip_install
from retrieval.errors import ImageError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PARQUET = (".parquet", ".parq", ".pq")
SUFFIXES = (*PARQUET, ".arrow", ".feather", ".ipc")
"""What the names of tables end in."""

_BUFFER = 1 << 20
"""Bytes of a column that are read at once: a row group may be larger than the memory."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of a table that lie together.

    Attributes:
        start: the first row.
        rows: how many.
    """

    start: int
    rows: int


class TableFile(Protocol):
    """A table that is open.

    Attributes:
        schema: names and types of its columns, as pyarrow has them.
        groups: where its rows lie, in order.
    """

    schema: Any
    groups: list[Group]

    def column_bytes(self, leaf: str) -> int:
        """Return how many bytes a column takes in memory, about; ``image.bytes`` is a part of one."""

    def is_null(self, leaf: str) -> bool:
        """Say whether a column, or a part of one, is known to hold nothing at all."""

    def batches(self, leaves: Sequence[str], *, first: int, size: int) -> Iterator[tuple[int, Any]]:
        """Yield record batches of some columns, each with the number of its first row.

        Args:
            leaves: names of columns, or of parts of them.
            first: a row; what is yielded begins with the group that holds it, or later.
            size: rows of a batch, about.
        Raises:
            ImageError: the file is damaged or cut short.
        """

    def close(self) -> None:
        """Close it."""


def require_pyarrow(name: str) -> Any:
    """Import pyarrow.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtra(
            f"{name}: reading tables needs pyarrow, which is not installed: {pip_install('tables')}"
        ) from error
    return pa


def open_table(name: str, file: Any = None) -> TableFile:
    """Open a table.

    Args:
        name: its path, or what messages call it.
        file: an open binary file that can seek; None opens the path.
    Raises:
        ImageError: it is no table, or cannot be read.
        MissingExtra: pyarrow is not installed.
    """
    pa = require_pyarrow(name)
    kind = _Parquet if name.partition("?")[0].lower().endswith(PARQUET) else _Arrow
    try:
        if file is None and not stat.S_ISREG(os.stat(name).st_mode):  # a pipe would be waited for
            what = "is not a regular file"
            raise ImageError(f"{name}: {what}", reason="not-a-file", what=what)
        return kind(pa, name, file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> ImageError:
    if isinstance(error, ImageError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        from retrieval.sources.decoding import os_reason

        what = f"cannot be read ({os.strerror(error.errno)})"
        return ImageError(f"{name}: {what}", reason=os_reason(error), what=what)
    words = " ".join(str(error).split())
    what = f"is no table that can be read, or is cut short ({words[:200]}); fetch or write it anew"
    return ImageError(f"{name}: {what}", reason="unreadable", what=what)


class _Parquet:
    """A parquet file; of a row group that is not needed nothing is read."""

    def __init__(self, pa: Any, name: str, file: Any) -> None:
        import pyarrow.parquet as pq

        source = name if file is None else pa.PythonFile(file, mode="r")
        self._name, self._pa = name, pa
        self._file = pq.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False)
        self.schema = self._file.schema_arrow
        self._metadata = self._file.metadata
        self.groups, start = [], 0
        for number in range(self._metadata.num_row_groups):
            rows = self._metadata.row_group(number).num_rows
            self.groups.append(Group(start, rows))
            start += rows

    def column_bytes(self, leaf: str) -> int:
        """Add up what the file says of each row group."""
        return sum(column.total_uncompressed_size for column in self._columns(leaf))

    def is_null(self, leaf: str) -> bool:
        """Ask the statistics of each row group."""
        columns = list(self._columns(leaf))
        return bool(columns) and all(
            column.statistics is not None
            and column.statistics.has_null_count
            and column.statistics.null_count == rows.rows
            for column, rows in zip(columns, self.groups, strict=False)
        )

    def _columns(self, leaf: str) -> Iterator[Any]:
        for number in range(len(self.groups)):
            group = self._metadata.row_group(number)
            for place in range(group.num_columns):
                if group.column(place).path_in_schema == leaf:
                    yield group.column(place)

    def batches(self, leaves: Sequence[str], *, first: int, size: int) -> Iterator[tuple[int, Any]]:
        """Read row group after row group."""
        number = max(0, bisect_right([group.start for group in self.groups], first) - 1)
        if not self.groups:
            return
        row = self.groups[number].start
        damaged = (self._pa.ArrowException, OSError)  # kept: when Python ends, modules are emptied first
        try:
            for batch in self._file.iter_batches(
                batch_size=size,
                row_groups=range(number, len(self.groups)),
                columns=list(leaves),
                use_threads=False,
            ):
                yield row, batch
                row += batch.num_rows
        except damaged as error:
            raise _damaged(self._name, error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close(force=True)


class _Arrow:
    """An Arrow or Feather file, or a stream in a file as `datasets` saves it; a local one is mapped, not read.

    Pages of a map that a file was cut off before end the process when they are touched, so its length is looked at before
    each batch. Who cuts it in the middle of a batch is not caught.
    """

    def __init__(self, pa: Any, name: str, file: Any) -> None:
        self._name, self._pa = name, pa
        self._mapped = os.path.getsize(name) if file is None else 0
        self._source = pa.memory_map(name) if file is None else pa.PythonFile(file, mode="r")
        try:
            self._file = pa.ipc.open_file(self._source)
            self.schema = self._file.schema
        except pa.ArrowInvalid:
            self._file = None
            self._source.seek(0)
            self.schema = pa.ipc.open_stream(self._source).schema
        self.groups, start = [], 0
        for _, batch in self._from(0):
            self.groups.append(Group(start, batch.num_rows))
            start += batch.num_rows

    def _from(self, number: int) -> Iterator[tuple[int, Any]]:
        """Yield the batches of the file from one on, with their numbers; of a mapped stream, those before cost little."""
        if self._file is not None:
            for place in range(number, self._file.num_record_batches):
                self._require_length()
                yield place, self._file.get_batch(place)
            return
        self._require_length()
        self._source.seek(0)
        for place, batch in enumerate(self._pa.ipc.open_stream(self._source)):
            self._require_length()
            if place >= number:
                yield place, batch

    def _require_length(self) -> None:
        if self._mapped and (size := os.path.getsize(self._name)) < self._mapped:
            what = f"was cut from {self._mapped:,} to {size:,} bytes while it was read"
            raise ImageError(f"{self._name}: {what}", reason="read-error", what=what)

    def column_bytes(self, leaf: str) -> int:
        """Take the first batch for all."""
        if not self.groups or not self.groups[0].rows:
            return 0
        _, batch = next(self._from(0))
        rows = self.groups[-1].start + self.groups[-1].rows
        return int(_leaf(batch, leaf).nbytes) * rows // self.groups[0].rows

    def is_null(self, leaf: str) -> bool:
        """Look at every batch."""
        arrays = (_leaf(batch, leaf) for _, batch in self._from(0))
        return bool(self.groups) and all(array.null_count == len(array) for array in arrays)

    def batches(self, leaves: Sequence[str], *, first: int, size: int) -> Iterator[tuple[int, Any]]:
        """Cut the batches of the file."""
        names = list(dict.fromkeys(leaf.partition(".")[0] for leaf in leaves))
        number = max(0, bisect_right([group.start for group in self.groups], first) - 1)
        try:
            for place, batch in self._from(number):
                chosen, start = batch.select(names), self.groups[place].start
                for offset in range(0, batch.num_rows, size):
                    self._require_length()
                    part = chosen.slice(offset, size)
                    part.validate(full=True)  # a damaged file must not lead out of its memory
                    yield start + offset, part
        except (self._pa.ArrowException, OSError) as error:
            raise _damaged(self._name, error) from error

    def close(self) -> None:
        """Close the file; batches that somebody holds stay readable."""
        self._source.close()


def _leaf(batch: Any, leaf: str) -> Any:
    name, _, rest = leaf.partition(".")
    array = batch.column(name)
    return array.field(rest) if rest else array
