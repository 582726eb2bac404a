"""Say what every searcher of a generation's rows does, and what it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from indexes import forks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from indexes.generation import FileInfo
    from indexes.vectors import Bitmap, Neighbors, Vectors

T = TypeVar("T")


class Wanted(NamedTuple):
    """What is wanted of a search, checked. A tuple, because every search makes one.

    Attributes:
        k: neighbours a query.
        allowed: flags of the rows that may be found, as many as the generation has; None for all.
        filtered: the caller asked for some rows only, rather than that some have a tombstone.
        nprobe: lists to probe; None for what was measured, more for a larger ``k`` or a narrow filter.
        shortlist: candidates to rerank; None for what was measured, more for a larger ``k``.
        depth: neighbours for which lists and candidates are chosen, where that are fewer than ``k``, be they fewer than ten; None
            for ``k``, and lists for ten at least.
    """

    k: int
    allowed: Bitmap | None = None
    filtered: bool = False
    nprobe: int | None = None
    shortlist: int | None = None
    depth: int | None = None


class Parameters(NamedTuple):
    """How a search is done: lists to probe, None where there are none, and candidates to compare at full width."""

    nprobe: int | None
    shortlist: int


class Searcher(Protocol):
    """Searches the first rows of a generation; `open_searcher` gives the one that suits an index.

    Safe to share by threads.
    """

    def search(self, queries: Vectors, wanted: Wanted) -> Neighbors:
        """Find each query's best rows.

        Args:
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            wanted: how many, which, and how.
        Returns:
            ids and cosines at full width, ``(q, k)``, never fewer than there are; best first, ties by smaller id; padded with -1
            and -inf.
        """
        ...

    def parameters(self, wanted: Wanted) -> Parameters:
        """Return how a search is done."""
        ...

    @property
    def memory(self) -> int:
        """Bytes that the first stage of a search reads from, mapped ones too: what the system had best keep in memory."""
        ...


class IndexFile(Generic[T]):
    """An index file, checked and mapped with the first search.

    Args:
        path: the file.
        info: what it is held to; None for an old one that nothing was recorded of.
        made: makes of the FAISS index what is searched.
        index: the file's, if somebody has it open; None to open it.
        sizes: reads the sizes of its lists from a file of their own; None where there is none.
    """

    def __init__(
        self,
        path: Path,
        info: FileInfo | None,
        made: Callable[[Any], T],
        *,
        index: Any = None,
        sizes: Callable[[], Any] | None = None,
    ) -> None:
        self.path, self._sizes = path, sizes
        self._info, self._made, self._index = info, made, index
        self._opening = forks.Lock()
        self._opened: T | None = None

    @property
    def opened(self) -> T:
        """What is searched.

        Raises:
            StoreCorrupt: the file is missing or is not what was written.
        """
        opened = self._opened
        if opened is None:
            with self._opening:
                if self._opened is None:
                    from indexes.engine import ivf
                    from indexes.generation import file_checks

                    if self._index is None:
                        sizes = None if self._sizes is None else self._sizes()
                        if self._info is not None:
                            file_checks.check(self.path, self._info, sizes=sizes)
                        self._index = ivf.open_mapped(self.path, sizes=sizes)
                    self._opened = self._made(self._index)
                opened = self._opened
        return opened

    def index_of(self, file: FileInfo | None) -> Any:
        """Return the FAISS index of a file, if it is this one and is open; else None."""
        return self._index if file is not None and file == self._info else None

    @property
    def bytes(self) -> int:
        """Its length."""
        return self.path.stat().st_size if self._info is None else self._info.bytes
