r"""Format hits and reports as text: table, TSV, CSV, JSON, JSON lines, paths.

Results are bytes, because file names are. In every form but ``NULL`` a control character, a direction override and a
byte that is not UTF-8 are written as escapes (``\n``, ``\x1b``, ``\xff``), so that no file name can drive a terminal.
"""

import contextlib
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from indexes.errors import RetrievalError, StoreFull
from retrieval.display import UNSAFE, cells, escape, path_json, paths_json, shorten
from retrieval.render.hit_facts import HitLike
from retrieval.render.hit_places import moment_of, moment_text, part_text

NAMED_DUPLICATES = 3
RELATIONS = {"picture": "same picture", "scene": "same scene", "object": "same object"}
# Of a hit as CSV: its columns stand behind them.
_FACTS = ("rank", "score", "path", "id", "copies")
SCORE_DECIMALS = 6  # a float32 cosine holds no more


class Form(StrEnum):
    """How a list of hits is written."""

    TABLE = "table"
    TSV = "tsv"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PATHS = "paths"
    NULL = "null"


def hits(found: Sequence[HitLike], form: Form, *, columns: int = 80, terminal: bool = False) -> bytes:
    """Write hits in one form, best first as given.

    Args:
        found: the hits.
        form: how to write them.
        columns: width of the terminal, for ``TABLE``.
        terminal: whether the text goes to a terminal; CSV then escapes what it would otherwise quote.

    Returns:
        UTF-8, each line ended; empty where there is nothing to say. ``NULL`` is the names' raw bytes.
    """
    match form:
        case Form.NULL:
            return b"".join(os.fsencode(hit.path) + b"\0" for hit in found)
        case Form.PATHS:
            text = "".join(f"{escape(hit.path)}\n" for hit in found)
        case Form.TSV:
            text = "".join(f"{score_text(hit)}\t{escape(hit.path)}\n" for hit in found)
        case Form.CSV:
            text = _csv(found, terminal=terminal)
        case Form.JSON:
            text = json_text(_objects(found))
        case Form.JSONL:
            text = "".join(json_text(one) for one in _objects(found))
        case Form.TABLE:
            text = _hit_table(found, columns)
    return text.encode()


def _objects(found: Sequence[HitLike]) -> list[dict[str, Any]]:
    """Return the hits as JSON has them; where there is none, what was not searched is an object of its own."""
    missing = _missing(found)
    if missing and not found:
        return [{"missing": list(missing)}]
    return [hit_json(hit, checked=_checked(found), missing=missing) for hit in found]


def hit_json(hit: HitLike, *, checked: int | None = None, missing: Sequence[str] = ()) -> dict[str, Any]:
    """Return a hit's facts by the names that ``--json`` prints; those that do not apply to it are left out.

    ``match`` is null where it is not known how probable a match is. ``copies`` is the old name of ``n_duplicates``, and
    ``cosine``, which stands there while the encoder changes, of ``score``.

    Args:
        hit: the hit.
        checked: how many hits were compared with the picture that was asked with; None where none was.
        missing: names of the shards that were not searched.
    """
    score = None if math.isnan(hit.score) else round(float(hit.score), SCORE_DECIMALS)
    facts: dict[str, Any] = {
        "rank": hit.rank,
        "score": score,
        **path_json(hit.path),
        "id": hit.id,
        "copies": hit.n_duplicates,
        "n_duplicates": hit.n_duplicates,
        **paths_json(list(hit.duplicates), "duplicates"),
        "match": hit.match,
    }
    if (moment := moment_of(hit)) is not None:
        facts["moment"] = moment
    if hit.columns:
        facts["columns"] = dict(hit.columns)
    if hit.matched:
        facts["matched"] = list(hit.matched)
    if isinstance(hit, Mapping) and "region" in hit:
        facts["region"] = hit.region
    if hit.ranked_by is not None:
        facts |= {
            "ranked_by": round(float(hit.ranked_by), SCORE_DECIMALS),
            "cosine": score,
            "space": hit.space,
        }
    if checked is not None:
        facts |= {
            "checked": checked,
            "verified": hit.verified,
            "relation": hit.relation,
            "verified_probability": hit.verified_probability,
            "outline": hit.outline,
        }
    if missing:
        facts["missing"] = list(missing)
    return facts


def likely_text(likely: int | None, shown: int) -> str:
    """Say what the line between likely hits and others says: ``3 matches, then likely nothing``; nothing where there is no line.

    Args:
        likely: how many of the first hits are likely what was asked; None where that is not known.
        shown: how many hits there are.
    """
    if likely is None or likely >= shown:
        return ""
    if not likely:
        return "likely nothing matches"
    return f"{likely:,} {'match' if likely == 1 else 'matches'}, then likely nothing"


def relation_text(hit: HitLike) -> str:
    """Say what a comparison with the picture that was asked with has found; nothing where it found nothing."""
    found = RELATIONS.get(hit.relation or "none", "")
    return f"likely the {found}" if hit.relation == "picture" and not hit.verified else found


def _checked(found: Sequence[HitLike]) -> int | None:
    number: int | None = getattr(found, "checked", None)
    return number


def _missing(found: Sequence[HitLike]) -> Sequence[str]:
    names: Sequence[str] = getattr(found, "missing", ())
    return names


def score_text(hit: HitLike, *, decimals: int = 4) -> str:
    """Write a hit's score; ``-`` for one that only names have found, where the encoder reads no such words."""
    return "-" if math.isnan(hit.score) else f"{hit.score:.{decimals}f}"


def json_text(value: object) -> str:
    """Write one line of JSON that is readable and holds no control character, DEL and C1 included."""
    import json

    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def fields(pairs: Iterable[tuple[str, str]]) -> str:
    """Lay out facts, one a line, values aligned; values are escaped here."""
    rows = [(name, escape(value)) for name, value in pairs]
    indent = max((cells(name) for name, _ in rows), default=0) + 2
    return "".join(f"{_padded(name, indent)}{value}\n" for name, value in rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, columns: int = 80) -> str:
    """Lay out rows under a header within a width; the last column takes the cut. Cells are escaped here."""
    lines = [list(header), *([escape(cell) for cell in row] for row in rows)]
    widths = [max(cells(line[at]) for line in lines) for at in range(len(header))]
    used = sum(widths[:-1]) + 2 * len(widths[:-1])
    room = max(columns - used, 8)
    text = io.StringIO()
    for line in lines:
        front = "".join(_padded(cell, width + 2) for cell, width in zip(line[:-1], widths[:-1], strict=True))
        text.write(f"{front}{shorten(line[-1], room)}".rstrip() + "\n")
    return text.getvalue()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only when it is complete; a device or a pipe is written straight away.

    Raises:
        StoreFull: no space left; nothing of it is left, and a file that had the name stays.
    """
    from indexes import files  # not for a page of help

    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
        else:
            with files.replacing(path) as file:
                yield file
    except OSError as error:
        full = None if isinstance(error, RetrievalError) else files.disk_full(error, path)
        if full is not None:
            raise StoreFull(
                f"{path}: cannot be written, {full}; free some space and run the command again"
            ) from error
        if error.filename == os.fspath(files.partial_of(path)):  # about a name that nobody gave
            cure = "; make the folder first" if isinstance(error, FileNotFoundError) else ""
            raise OSError(error.errno, f"{error.strerror}{cure}", os.fspath(path)) from None
        raise


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]], *, terminal: bool = False) -> str:
    """Write rows under a header as CSV, each line ended by a line feed.

    Args:
        header: the columns' names.
        rows: the values.
        terminal: the text goes to a terminal: what could drive it is escaped.
    """
    import csv

    # Not lineterminator="\n": Python 3.11 then leaves a bare carriage return unquoted, and readers end the row at it.
    text = io.StringIO()
    writer = csv.writer(_UnixLines(text))
    for row in (header, *rows):
        writer.writerow([escape(cell) if terminal and isinstance(cell, str) else cell for cell in row])
    return text.getvalue()


def _csv(found: Sequence[HitLike], *, terminal: bool) -> str:
    names = sorted({name for hit in found for name in hit.columns})
    heads = [f"columns.{name}" if name in _FACTS else name for name in names]
    rows = [
        [
            hit.rank,
            score_text(hit, decimals=6),
            path_json(hit.path)["path"],
            hit.id,
            hit.n_duplicates,
            *(hit.columns.get(name) for name in names),
        ]
        for hit in found
    ]
    return csv_text([*_FACTS, *heads], rows, terminal=terminal)


class _UnixLines:
    """Takes the CSV writer's rows, each in one call, and ends them as everything else here ends its lines."""

    def __init__(self, text: io.StringIO) -> None:
        self._text = text

    def write(self, row: str) -> int:
        return self._text.write(row.removesuffix("\r\n") + "\n")


def duplicates_named(hit: HitLike) -> list[str]:
    """Name the first few files that are folded into a hit, escaped; the last line counts the others."""
    names = [escape(path) for path in hit.duplicates[:NAMED_DUPLICATES]]
    more = hit.n_duplicates - len(names)
    return [*names, f"{more:,} more"] if names and more else names


def duplicates_counted(hit: HitLike) -> str:
    """Say how many files are folded into a hit: ``+1 duplicate``, ``+1,200 duplicates``, or nothing."""
    number = hit.n_duplicates
    return f"+{number:,} duplicate{'' if number == 1 else 's'}" if number else ""


def _hit_table(found: Sequence[HitLike], columns: int) -> str:
    if not found:
        return ""
    rank = max(2, len(str(max(hit.rank for hit in found))))
    counted = [
        "  ".join(
            filter(
                None,
                (
                    relation_text(hit),
                    moment_text(hit),
                    part_text(hit),
                    _matched_text(hit),
                    duplicates_counted(hit),
                ),
            )
        )
        for hit in found
    ]
    tail = max(map(len, counted))
    room = max(columns - (rank + 2 + 7 + 2) - (tail + 2 if tail else 0), 8)
    paths = [shorten(escape(hit.path), room) for hit in found]
    wide = max(cells("path"), *map(cells, paths))
    lines = [f"{'#':>{rank}}  {'score':>7}  path"]
    line, likely = _line(found)
    for hit, path, count in zip(found, paths, counted, strict=True):
        if line and hit is found[likely]:
            lines.append(f"{'--':>{rank}}  {line}")
        lines.append(f"{hit.rank:>{rank}}  {score_text(hit):>7}  {_padded(path, wide + 2)}{count}".rstrip())
        lines += [f"{'':>{rank + 9}}= {shorten(same, room)}" for same in duplicates_named(hit)]
    return "\n".join(lines) + "\n"


def _line(found: Sequence[HitLike]) -> tuple[str, int]:
    """Return what the line says, if there is one, and before which hit it is drawn."""
    likely: int | None = getattr(found, "likely", None)
    return likely_text(likely, len(found)), likely or 0


def _matched_text(hit: HitLike) -> str:
    """Say by what a hit was found, if words in names counted: scores may then rise down the list."""
    return "" if set(hit.matched) <= {"image"} else f"by {escape(' and '.join(hit.matched))}"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))
