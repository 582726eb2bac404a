"""Name the further files that a large generation has for the rows added since its first ones, and choose which are written again.

A file about every row, such as the table of keys, would be written whole whenever rows are added. Beyond `LARGE` rows it stays, and
rows that come later go to a further file, named by the id of its first row. Further files of like size are merged, so that a
row is written again about as often as the rows behind the first file double.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LARGE: Final = 1 << 16
"""Rows from which on the first file of a kind is not written again for those that come later.

As many as a store has before it keeps runs of digests: versions that do not know further files cannot read such a store.
"""


def further_name(name: str, first: int) -> str:
    """Return what the file is called that tells of rows from ``first`` on; that of row 0 has the plain ``name``."""
    path = Path(name)
    return f"{path.stem}-{first:010d}{path.suffix}" if first else name


def further_files(files: Iterable[str], name: str) -> list[int]:
    """Return the first rows of the files of a kind that lie among ``files``, ascending: 0 for the plain name."""
    path = Path(name)
    pattern = re.compile(rf"{re.escape(path.stem)}-(\d{{10}}){re.escape(path.suffix)}\Z")
    found = [0 if file == name else int(match[1]) if (match := pattern.match(file)) else -1 for file in files]
    return sorted(first for first in found if first >= 0)


def kept_files_and_next(
    firsts: Iterable[int], covered: int, count: int, *, large: int | None = None
) -> tuple[list[int], int | None]:
    """Choose which files stay as they are when rows are added.

    Args:
        firsts: the first rows of the files that there are, ascending.
        covered: rows that they tell of together, with those before the first.
        count: rows that there are now.
        large: rows of a plain file from which on it stays; None for `LARGE`.
    Returns:
        the first rows of the files that stay, and that of the file to be written for all rows behind them; None for none.
    """
    kept, start = list(firsts), covered
    if count == covered:
        return kept, None
    while kept:
        size = start - kept[-1]
        stays = size >= (LARGE if large is None else large) if kept[-1] == 0 else size > count - start
        if stays:
            break
        start = kept.pop()
    return kept, start
