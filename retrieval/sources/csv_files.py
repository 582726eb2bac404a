"""Read CSV files that name images: labels, captions, originals."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING

from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator


def csv_lines(
    path: str | os.PathLike[str], column: str, *, file: str = "file", missing: str | None = None
) -> Iterator[tuple[str, str]]:
    """Yield file and word of each line of a CSV file with the header ``file,column``.

    Args:
        path: the CSV file, UTF-8; commas, semicolons or tabs stand between the fields, as in its header.
        column: what the words' column is called.
        file: what the files' column is called.
        missing: the word of a line that ends before it; such lines are left out where this is None.
    Raises:
        OptionError: it cannot be read, or has another header.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            if lines.read(2) in ("\udcff\udcfe", "\udcfe\udcff"):
                raise OptionError(f"{os.fspath(path)}: is UTF-16; save it as UTF-8")
            lines.seek(0)
            between = _between(lines.readline(), {file, column})
            lines.seek(0)
            reader = csv.DictReader(lines, delimiter=between, strict=True)
            if reader.fieldnames is None or not {file, column} <= set(reader.fieldnames):
                raise OptionError(
                    f"{os.fspath(path)}: expected the header {file},{column}, found {','.join(reader.fieldnames or ['nothing'])}"
                )
            for line in _lines(reader, path):
                word = missing if line[column] is None else line[column]
                if line[file] is not None and word is not None:
                    yield line[file], word
    except FileNotFoundError as error:
        raise OptionError(f"{os.fspath(path)}: no such file") from error
    except (OSError, csv.Error) as error:
        raise OptionError(f"{os.fspath(path)} cannot be read: {error}") from error


def _lines(reader: csv.DictReader[str], path: str | os.PathLike[str]) -> Iterator[dict[str, str]]:
    """Yield the lines; what follows a quote that nothing closes would be one text, and is lost nowhere.

    Raises:
        OptionError: a quote is not closed, or text follows one that is.
    """
    while True:
        first = reader.line_num + 1
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise OptionError(
                f"{os.fspath(path)}: cannot be read from line {first} on: {error}; close its quotes"
            ) from error


def _between(header: str, wanted: set[str]) -> str:
    """Return what stands between the fields: spreadsheets write semicolons where a comma divides decimals."""
    for between in (",", ";", "\t"):
        if wanted <= set(next(csv.reader([header], delimiter=between), [])):
            return between
    return ","
