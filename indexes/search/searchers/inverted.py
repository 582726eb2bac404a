"""Search inverted lists, or whatever a factory string makes, and rerank the shortlist."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.engine import Refined, ivf
from indexes.search.searchers import exact
from indexes.search.searchers.searcher import IndexFile, Parameters, Wanted
from indexes.search.searchers.widths import TUNED_K, lengthened, reaching
from indexes.vectors import Neighbors, padding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from indexes.engine import Probes
    from indexes.generation import Inverted
    from indexes.search import ServingCard
    from indexes.vectors import Bitmap, Halves, Vectors

_KNOWN = 256  # kinds of searches whose parameters are remembered
_OVER = 32  # times the rows wanted that are found at most, where an index cannot leave tombstones out


class InvertedSearcher:
    """A FAISS index and the settings that it was measured with.

    Args:
        path: of the index.
        info: how it was built and what was measured.
        rows: ``(base_rows, d)`` float16.
        card: a GPU that may search in the index's place; None for none.
        opened: the file's FAISS index, if somebody has it open.
        sizes: reads the sizes of its lists, see `IndexFile`.
    Attributes:
        file: the index file.
    """

    def __init__(
        self,
        path: Path,
        info: Inverted,
        rows: Halves,
        *,
        card: ServingCard | None = None,
        opened: Any = None,
        sizes: Callable[[], Any] | None = None,
    ) -> None:
        self.file = IndexFile(path, info.file, lambda index: Refined(index, rows), index=opened, sizes=sizes)
        self._info, self._rows, self._card = info, rows, card
        self._exact = exact.ExactSearcher(rows)
        self._known: dict[tuple[Any, ...], Parameters] = {}  # of searches without a filter
        self._live: tuple[int, Any] | None = None  # how many rows have no tombstone, and a selector of them

    @property
    def stage(self) -> Refined:
        """The index over its rows, mapped; do not change it."""
        return self.file.opened

    def search(self, queries: Vectors, wanted: Wanted) -> Neighbors:
        """Find each query's best rows; see `Searcher.search`."""
        stage, k = self.file.opened, wanted.k
        if wanted.allowed is None:
            found = None if self._card is None else self.on_card(queries, wanted)
            if found is None:
                nprobe, shortlist = self.parameters(wanted)
                found = stage.search(queries, k=k, nprobe=nprobe, shortlist=shortlist)
            return self._exact.filled(found, queries, wanted, kept=len(self._rows))
        kept = self._kept(wanted)
        if wanted.filtered and (not stage.filters or exact.is_sooner(kept, queries=len(queries))):
            return self._exact.search(queries, wanted)
        nprobe, shortlist = self._measured(wanted, kept) if wanted.filtered else self.parameters(wanted)
        if not stage.filters:
            found = self._living(queries, wanted, nprobe=nprobe, shortlist=shortlist, kept=kept)
            return self._exact.filled(found, queries, wanted, kept=kept)
        selector = (
            ivf.selector(wanted.allowed[: len(self._rows)])
            if wanted.filtered
            else self._without_dead(wanted.allowed)[1]
        )
        found = stage.search(queries, k=k, nprobe=nprobe, shortlist=shortlist, selector=selector)
        return self._exact.filled(found, queries, wanted, kept=kept)

    def on_card(self, queries: Vectors, wanted: Wanted) -> Neighbors | None:
        """Search on the GPU; None where there is none, it cannot, or not every row may be found."""
        card = None if self._card is None or wanted.allowed is not None else self._card.get()
        if card is None:
            return None
        nprobe, shortlist = self.parameters(wanted)
        return card.search(self.stage.index, queries, k=wanted.k, nprobe=nprobe, shortlist=shortlist)

    def proposer(self, wanted: Wanted) -> Callable[[Vectors], Neighbors] | None:
        """Return what finds the rows that `search` compares at full width, as `Refined.proposals`; no filter is the caller's.

        None where the index cannot leave tombstones out.
        """
        stage, selector = self.file.opened, None
        if wanted.allowed is not None:
            if not stage.filters:
                return None
            selector = self._without_dead(wanted.allowed)[1]
        nprobe, shortlist = self.parameters(wanted)
        return partial(stage.proposals, count=shortlist, nprobe=nprobe, selector=selector)

    def _living(
        self, queries: Vectors, wanted: Wanted, *, nprobe: int | None, shortlist: int, kept: int
    ) -> Neighbors:
        """Search an index that cannot leave tombstones out: more rows are found, and more again for whom they were too few."""
        k, rows = wanted.k, len(self._rows)
        live = np.asarray(wanted.allowed)[:rows]
        most = min(k + rows - kept, _OVER * k, rows)
        found, short, more = padding(len(queries), k), np.arange(len(queries)), min(2 * k, most)
        while len(short):
            some = self.stage.search(queries[short], k=more, nprobe=nprobe, shortlist=max(shortlist, more))
            some = _living(some, live, k=k)
            found.ids[short], found.scores[short] = some.ids, some.scores
            short = short[some.ids[:, -1] < 0] if more < most else short[:0]
            more = min(4 * more, most)
        return found

    def parameters(self, wanted: Wanted) -> Parameters:
        """Return what was measured for ten neighbours among all rows, and more for more or fewer."""
        if wanted.filtered:
            return self._measured(wanted, self._kept(wanted))
        asked = (wanted.k, wanted.nprobe, wanted.shortlist, wanted.depth)
        known = self._known.get(asked)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            known = self._known[asked] = self._measured(wanted, len(self._rows))
        return known

    def _measured(self, wanted: Wanted, kept: int) -> Parameters:
        """Return what `parameters` does, where ``kept`` rows may be found."""
        k, info = wanted.k if wanted.depth is None else wanted.depth, self._info
        shortlist = wanted.shortlist
        if shortlist is None:
            shortlist = lengthened(info.shortlist or 4 * TUNED_K, k)
        nprobe = wanted.nprobe
        if nprobe is None and info.nprobe is not None:
            share = max(kept, 1) / info.base_rows if wanted.filtered else 1.0
            least = TUNED_K if wanted.depth is None else 1
            nprobe = reaching(info.nprobe, k=k, share=share, least=least)
            if nprobe != info.nprobe:
                nprobe = min(nprobe, self.stage.nlist)
        return Parameters(nprobe, max(shortlist, wanted.k))

    @property
    def memory(self) -> int:
        """Bytes of the index file."""
        return self.file.bytes

    def probed(self, chosen: Probes, *, k: int, live: Bitmap | None) -> Neighbors:
        """Find each query's best ``k`` live rows by their codes, in lists that an index of the same training chose.

        Returns:
            ids and scores as `Refined.codes` gives them; they compare among indexes of one training.
        """
        selector = None if live is None else self._without_dead(live)[1]
        return self.stage.probed(chosen, k=k, selector=selector)

    def codes(self, queries: Vectors, *, k: int, nprobe: int | None, live: Bitmap | None) -> Neighbors:
        """Find each query's best ``k`` live rows by their codes alone, nothing reranked.

        Args:
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            k: neighbours wanted.
            nprobe: lists to probe; None for what was measured.
            live: flags of the rows without a tombstone; None for all.
        Returns:
            ids and scores as `Refined.codes` gives them.
        """
        stage = self.stage
        nprobe = nprobe or self._info.nprobe
        live = None if live is None else live[: len(self._rows)]
        if live is None or live.all():
            return stage.codes(queries, k=k, nprobe=nprobe)
        if stage.filters:
            return stage.codes(queries, k=k, nprobe=nprobe, selector=self._without_dead(live)[1])
        wanted = min(k + len(live) - int(np.count_nonzero(live)), len(live))
        return _living(stage.codes(queries, k=wanted, nprobe=nprobe), live, k=k)

    def _kept(self, wanted: Wanted) -> int:
        """Return how many rows may be found."""
        if wanted.allowed is None:
            return len(self._rows)
        if wanted.filtered:
            return int(np.count_nonzero(wanted.allowed[: len(self._rows)]))
        return self._without_dead(wanted.allowed)[0]

    def _without_dead(self, live: Bitmap) -> tuple[int, Any]:
        """Return how many rows have no tombstone and FAISS's selector of them, counted and made once."""
        if self._live is None:
            own = live[: len(self._rows)]
            self._live = int(np.count_nonzero(own)), ivf.selector(own)
        return self._live


def _living(found: Neighbors, live: Bitmap, *, k: int) -> Neighbors:
    """Leave the rows with a tombstone out of answers, and keep the best ``k``; padded with -1 and -inf."""
    ids = np.where((found.ids >= 0) & live[np.maximum(found.ids, 0)], found.ids, -1)
    order = np.argsort(ids < 0, axis=1, kind="stable")[:, :k]  # the live ones first, in their order
    ids, scores = np.take_along_axis(ids, order, axis=1), np.take_along_axis(found.scores, order, axis=1)
    padded = padding(len(ids), k)
    padded.ids[:, : ids.shape[1]] = ids
    padded.scores[:, : ids.shape[1]] = np.where(ids < 0, -np.inf, scores)
    return padded
