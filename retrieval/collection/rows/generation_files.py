"""List the files that each generation of a collection gets besides its index: every call of `derive` and `publish_tail` gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.columns import ColumnsFile
from retrieval.names import NamesFile, has_fts5
from retrieval.views import ViewsFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.derivation import DerivedFile
    from indexes.generation import Columns


def derived_files(columns: Columns | None = None, *, viewed: int | None = None) -> Sequence[DerivedFile]:
    """Return what writes them; no index of names where this Python's SQLite lacks FTS5.

    Args:
        columns: what the manifest is to say of the columns, where the caller knows.
        viewed: rows of images below this one have their views; None for what is known.
    """
    files = (ColumnsFile(columns), ViewsFile(viewed))
    return (*files, NamesFile()) if has_fts5() else files
