"""Open the searcher that suits an index: exact, funnel or inverted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexes.generation import Exact, Funnel, Inverted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from indexes.generation import IndexInfo
    from indexes.search import ServingCard
    from indexes.search.searchers.exact import ExactSearcher
    from indexes.search.searchers.funnel import FunnelSearcher
    from indexes.search.searchers.inverted import InvertedSearcher
    from indexes.vectors import Halves


def open_searcher(
    path: Path,
    info: IndexInfo,
    rows: Halves,
    *,
    every: ExactSearcher,
    card: ServingCard | None,
    opened: Any = None,
    sizes: Callable[[], Any] | None = None,
) -> ExactSearcher | FunnelSearcher | InvertedSearcher:
    """Return what searches the rows that an index holds; its file is opened with the first search.

    Args:
        path: of the index file.
        info: what the manifest says of it.
        rows: ``(n, d)`` float16, those that the index does not hold included.
        every: searches all of them exactly.
        card: a GPU that may search; None for none.
        opened: the file's FAISS index, if somebody has it open.
        sizes: reads the sizes of its lists, see `IndexFile`.
    """
    match info:
        case Exact():
            return every
        case _ if not info.base_rows:
            return every
        case Funnel():
            from indexes.search.searchers.funnel import FunnelSearcher

            return FunnelSearcher(path, info, rows[: info.base_rows], opened=opened)
        case Inverted():
            from indexes.search.searchers.inverted import InvertedSearcher

            return InvertedSearcher(path, info, rows[: info.base_rows], card=card, opened=opened, sizes=sizes)
