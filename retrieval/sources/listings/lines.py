"""Read listings: text, CSV or JSON lines that name images by path or URL."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from retrieval.errors import OptionError
from retrieval.sources.listings.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON_LINES: Final = (".jsonl", ".ndjson", ".jsonlines")
TABLES: Final = {".csv": ",", ".tsv": "\t"}
TEXTS: Final = (".txt", ".lst", ".list")

PLACES: Final = (
    "file", "file_name", "filename", "path", "file_path", "filepath", "image_path", "image", "img", "url", "image_url", "img_url",
    "uri", "src",
)  # fmt: skip
"""What the column of paths or URLs is often called, in this order."""

CAPTIONS: Final = (
    "caption", "captions", "text", "title", "alt", "alt_text", "description", "prompt", "label", "labels", "class", "tags",
)  # fmt: skip
"""Columns that are handed on unless others are asked for."""

_MOST_LINE = 1 << 20
"""Bytes of a line; a longer one means that the file is no listing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a listing.

    Attributes:
        number: of the line, from 1.
        place: path or URL as it is written, raw bytes; empty if the line names nothing.
        columns: what else it says.
        fault: what is wrong with the line; empty if nothing is.
    """

    number: int
    place: bytes
    columns: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    fault: str = ""


def is_listing_name(name: str) -> bool:
    """Say whether a path or URL is named like a listing."""
    return name.partition("?")[0].lower().endswith((*JSON_LINES, *TABLES, *TEXTS))


def read_lines(
    file: IO[bytes],
    name: str,
    *,
    column: str | None = None,
    wanted: Sequence[str] | None = None,
    from0: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Iterator[Line]:
    """Yield the lines of a listing.

    The kind is told by the name: ``.csv``, ``.tsv`` and ``.jsonl`` have columns, any other is a text with a path or URL a
    line. Byte-order marks, ends of lines of any system and empty lines are taken; nothing begins a comment, since a file may
    be called ``#1.jpg``.

    Args:
        file: open for reading bytes. A CSV or TSV of which columns are handed on is read twice, so it must seek; others need not.
        name: its path, or what messages call it.
        column: with the paths or URLs; None takes the first one that is called as in `PLACES`.
        wanted: columns that are handed on; None for those of `CAPTIONS` that there are.
        from0: a NUL ends each line, as ``find -print0`` writes it.
        tell: called with a sentence where a column is of another kind than most of its cells, or lacks numbers.
    Raises:
        OptionError: it is no listing, or lacks a column.
    """
    lower = name.partition("?")[0].lower()
    suffix = next((end for end in TABLES if lower.endswith(end)), None)
    if from0 or (suffix is None and not lower.endswith(JSON_LINES)):
        if column is not None or wanted:
            raise OptionError(
                f"{name} has no columns; `image_column` and `column` are for CSV and JSON lines"
            )
        return _text(file, name, end=b"\0" if from0 else b"\n")
    if suffix is not None:
        return _table(file, name, TABLES[suffix], column=column, wanted=wanted, tell=tell)
    return _json(file, name, column=column, wanted=wanted)


def _pieces(file: IO[bytes], name: str, end: bytes) -> Iterator[bytes]:
    """Yield what stands between the ends of lines, without a byte-order mark."""
    rest, first = b"", True
    while data := file.read(1 << 16):
        if first:
            if data.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise OptionError(f"{name}: is UTF-16; save it as UTF-8")
            data, first = data.removeprefix(b"\xef\xbb\xbf"), False
        *whole, rest = (rest + data).split(end)
        yield from whole
        if len(rest) > _MOST_LINE:
            raise OptionError(f"{name}: a line has more than {_MOST_LINE:,} bytes; this is no listing")
    if rest:
        yield rest


def _text(file: IO[bytes], name: str, *, end: bytes) -> Iterator[Line]:
    for number, piece in enumerate(_pieces(file, name, end), start=1):
        place = piece.removesuffix(b"\r") if end == b"\n" else piece
        if b"\0" in place:
            raise OptionError(
                f"{name}: holds a NUL byte in line {number:,}; if NULs end its lines, say `from0`"
            )
        if place:
            yield Line(number=number, place=place)


def _json(file: IO[bytes], name: str, *, column: str | None, wanted: Sequence[str] | None) -> Iterator[Line]:
    for number, piece in enumerate(_pieces(file, name, b"\n"), start=1):
        if not piece.strip():
            continue
        try:
            facts = json.loads(piece)
        except (ValueError, RecursionError) as error:
            yield Line(number=number, place=b"", fault=f"line {number:,} is no JSON ({error})")
            continue
        if isinstance(facts, str):
            facts = {PLACES[0]: facts}
        if not isinstance(facts, dict):
            yield Line(number=number, place=b"", fault=f"line {number:,} is neither an object nor a text")
            continue
        key = column or next((known for known in PLACES if isinstance(facts.get(known), str)), None)
        place = facts.get(key) if key is not None else None
        if not isinstance(place, str) or not place or _is_broken(place):
            what = (
                f"has no {column!r}" if column else "names no file: it has none of " + ", ".join(PLACES[:6])
            )
            yield Line(number=number, place=b"", fault=f"line {number:,} {what} …")
            continue
        titles = [title for title in CAPTIONS if title in facts] if wanted is None else wanted
        columns = {title: _plain(facts.get(title)) for title in titles if title != key}
        yield Line(number=number, place=_raw(place), columns=columns)


def _table(
    file: IO[bytes],
    name: str,
    separator: str,
    *,
    column: str | None,
    wanted: Sequence[str] | None,
    tell: Callable[[str], None] | None,
) -> Iterator[Line]:
    start = None if wanted is not None and not wanted else file.tell()
    (first, header), rows = _opened(file, name, separator)
    if not header:
        return
    names = [title.strip() for title in header]
    at = _column_of(names, name, column)
    titles = [title for title in CAPTIONS if title in names] if wanted is None else list(wanted)
    for title in titles:
        if title not in names:
            raise OptionError(f"{name} has no column {title!r}; it has {', '.join(names[:20])}")
    places = [(Cells(title), names.index(title)) for title in titles]
    if places and start is not None:  # before the first value is handed on, all have been seen
        for number, row in rows:
            for cells, place in places:
                if place < len(row):
                    cells.count(number, row[place])
        for cells, _ in places:
            if tell is not None and cells.surprise:
                tell(f"{name}: {cells.surprise}")
        file.seek(start)
        _, rows = _opened(file, name, separator)
    if at is None:  # a single column without a header
        yield Line(number=first, place=_raw(header[0]))
        at = 0
    for number, row in rows:
        if len(row) <= at or not row[at]:
            yield Line(number=number, place=b"", fault=f"line {number:,} names no file")
            continue
        columns = {
            cells.title: cells.value(row[place]) if place < len(row) else None for cells, place in places
        }
        yield Line(number=number, place=_raw(row[at]), columns=columns)


def _opened(
    file: IO[bytes], name: str, separator: str
) -> tuple[tuple[int, list[str]], Iterator[tuple[int, list[str]]]]:
    """Return the header of a table and then its rows, each with its line's number; empty lines are passed over."""
    pieces = (piece.decode("utf-8", "surrogateescape") + "\n" for piece in _pieces(file, name, b"\n"))
    reader = csv.reader(pieces, delimiter=separator)

    def rows() -> Iterator[tuple[int, list[str]]]:
        try:
            for row in reader:
                if any(row):
                    yield reader.line_num, row
        except csv.Error as error:
            raise OptionError(f"{name}: line {reader.line_num:,} cannot be read ({error})") from error

    listed = rows()
    return next(listed, (0, [])), listed


def _column_of(names: list[str], name: str, column: str | None) -> int | None:
    """Return the place of the column of paths; None for a file of one column that has no header."""
    if column is not None:
        if column not in names:
            raise OptionError(
                f"{name} has no column {column!r} for `image_column`; it has {', '.join(names[:20])}"
            )
        return names.index(column)
    lower = [title.lower() for title in names]
    known = next((title for title in PLACES if title in lower), None)
    if known is not None:
        return lower.index(known)
    if len(names) == 1:
        return None
    raise OptionError(
        f"{name}: no column is called as paths or URLs are ({', '.join(PLACES[:4])} …); name one of {', '.join(names[:20])} as "
        f"`image_column`"
    )


def _raw(place: str) -> bytes:
    return place.encode("utf-8", "surrogateescape")


def _plain(value: object) -> str | int | float | bool | None:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, int | float | bool):
        return value
    return json.dumps(value)


def _is_broken(text: str) -> bool:
    """Say whether a text from JSON has half a character, or a NUL: no path or URL has."""
    return "\0" in text or any("\ud800" <= char <= "\udfff" for char in text)
