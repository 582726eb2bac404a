"""Search a FAISS index and rerank its shortlist by exact cosines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.engine.backend import faiss, faiss_threads, fp16_view, search_into, threads
from indexes.engine.lists import Probes, choose_lists, ivf, search_lists
from indexes.errors import OptionError
from indexes.vectors import Halves, Ids, Neighbors, Vectors, best, concatenated

_SEARCH_BYTES = 1 << 27  # that a search may take for its tables and candidates
_TABLE_BYTES = (
    24  # a dimension: RaBitQ has 16 entries for 4 dimensions, as floats and as bytes, and the query rotated
)
_CANDIDATE_BYTES = 24  # an id and a score, twice
_KINDS = 64  # of filtered searches whose parameters are kept
_LEAST = 16  # queries at a time, that threads have something to share


class Refined:
    """A first stage whose shortlist is reranked by exact cosines over the stored rows; safe to share by threads.

    Args:
        index: a trained index whose ids are positions in ``rows``; not changed while this lives.
        rows: ``(n, d)`` float16.
    """

    def __init__(self, index: Any, rows: Halves) -> None:
        module = faiss()
        self.index = index
        self.nlist = ivf.lists_of(index)
        self.filters = ivf.filters(index)
        self._inner = ivf.innermost(index)
        view = fp16_view(rows)
        view.ntotal = index.ntotal  # FAISS wants as many here
        view.metric_type = (
            index.metric_type
        )  # LSH measures otherwise, its shortlist is still reranked by cosine
        self._refined = module.IndexRefine(index, view)
        view.metric_type = self._refined.metric_type = module.METRIC_INNER_PRODUCT
        view.ntotal = self._refined.ntotal = len(
            rows
        )  # ids reach beyond the index's own number where rows left it
        self._references = (view, rows)
        # What pads a list found by L2 is infinitely far, and so comes first once inner products are put in its place.
        self._padded_first = bool(index.metric_type != module.METRIC_INNER_PRODUCT)
        self._params: dict[tuple[int | None, int, int], Any] = {}
        self._idle: dict[tuple[int | None, int, int], list[tuple[Any, Any]]] = {}
        self._selected: tuple[Any, dict[tuple[int | None, int, int], Any]] = (None, self._params)

    def search(
        self, queries: Vectors, *, k: int, nprobe: int | None, shortlist: int, selector: Any = None
    ) -> Neighbors:
        """Find each query's best ``k`` of its shortlist.

        Args:
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            k: neighbours wanted.
            nprobe: lists to probe; None for what the index was saved with.
            shortlist: candidates to rerank, at least ``k`` are.
            selector: a FAISS selector of the ids allowed, for an index that `filters`.
        Returns:
            ids and cosines, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
        Raises:
            OptionError: there is a selector, and the index does not `filter`.
        """
        wanted = k + 1  # one more, to see whether rows tie across the end
        with faiss_threads(1 if len(queries) == 1 else threads()):
            scores, ids = self._raw(queries, wanted, nprobe, shortlist, selector)
            if _settled(ids, scores):
                return Neighbors(ids=ids[:, :k], scores=scores[:, :k])
            across = np.flatnonzero((scores[:, k - 1] == scores[:, k]) & (ids[:, k] >= 0))
            if across.size and shortlist > wanted:
                all_scores, all_ids = self._raw(queries[across], shortlist, nprobe, shortlist, selector)
                among = best(all_ids, all_scores, k=wanted)
                ids[across], scores[across] = among.ids, among.scores
        return best(ids, scores, k=k)

    def codes(
        self, queries: Vectors, *, k: int, nprobe: int | None = None, selector: Any = None
    ) -> Neighbors:
        """Find each query's best ``k`` by the codes alone, nothing reranked.

        Args:
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            k: neighbours wanted.
            nprobe: lists to probe; None for what the index was saved with.
            selector: a FAISS selector of the ids allowed, for an index that `filters`.
        Returns:
            ids and scores, ``(q, k)``, best first; padded with -1 and -inf. The scores are the index's own estimates, higher
            is better, and compare only within one index: no cosines, and of LSH negated Hamming distances.
        """
        scores, ids = self._by_codes(queries, k, nprobe, selector)
        if self.index.metric_type != faiss().METRIC_INNER_PRODUCT:
            scores = -scores
        return Neighbors(ids=ids, scores=np.where(ids < 0, -np.inf, scores).astype(np.float32))

    def candidates(self, queries: Vectors, *, count: int, nprobe: int | None, selector: Any = None) -> Ids:
        """Return the rows that `search` reranks with a shortlist of ``count``, best first by their codes; as `codes`."""
        return self._by_codes(queries, count, nprobe, selector)[1]

    def proposals(
        self, queries: Vectors, *, count: int, nprobe: int | None, selector: Any = None
    ) -> Neighbors:
        """Return the rows that `search` reranks with a shortlist of ``count``, and their cosines as the codes estimate them.

        Of an index that is not asked for products the scores are -inf: its own compare with nothing.
        """
        scores, ids = self._by_codes(queries, count, nprobe, selector)
        if self.index.metric_type != faiss().METRIC_INNER_PRODUCT:
            scores = np.full(scores.shape, -np.inf, dtype=np.float32)
        return Neighbors(ids=ids, scores=scores)

    def probes(self, queries: Vectors, *, nprobe: int) -> Probes:
        """Choose the lists of queries, ``(q, d)`` float32 C-contiguous unit rows, for every index of this training."""
        with faiss_threads(1 if len(queries) == 1 else threads()):
            return choose_lists(self.index, queries, nprobe=nprobe)

    def probed(self, chosen: Probes, *, k: int, selector: Any = None) -> Neighbors:
        """Find each query's best ``k`` by the codes in lists that were chosen by an index of this training.

        Returns:
            ids and scores as `codes` gives them; they compare among indexes of one training.
        """
        width = chosen.lists.shape[1]
        step, made, key = self.at_once(width, k), self._made(selector), (width, 0, k)
        params = made.get(key)
        if params is None:
            params = made[key] = ivf.parameters(self._inner, nprobe=width, selector=selector, shortlist=k)
        with faiss_threads(1 if len(chosen.lists) == 1 else threads()):
            return concatenated(
                [
                    search_lists(self._inner, chosen.part(start, start + step), k=k, params=params)
                    for start in range(0, max(len(chosen.lists), 1), step)
                ]
            )

    def at_once(self, nprobe: int | None, shortlist: int) -> int:
        """Return how many queries FAISS may have at a time: it holds tables for each list that each of them probes."""
        tables = _TABLE_BYTES * self.index.d * min(nprobe or 1, max(self.nlist, 1))
        return max(_LEAST, int(_SEARCH_BYTES // (tables + _CANDIDATE_BYTES * shortlist)))

    def _by_codes(
        self, queries: Vectors, k: int, nprobe: int | None, selector: Any
    ) -> tuple[NDArray[np.float32], Ids]:
        """Return the index's own scores and ids, ``(q, k)`` both, padded with -1."""
        made, key = self._made(selector), (nprobe, -1, k)
        params = made.get(key)
        if params is None:
            params = made[key] = ivf.parameters(self.index, nprobe=nprobe, selector=selector, shortlist=k)
        step = _LEAST if len(queries) <= _LEAST else self.at_once(nprobe, k)
        with faiss_threads(1 if len(queries) == 1 else threads()):
            if len(queries) <= step:
                return search_into(self.index, queries, k, params)
            parts = [
                self.index.search(queries[start : start + step], k, params=params)
                for start in range(0, len(queries), step)
            ]
        scores, ids = (np.concatenate(found) for found in zip(*parts, strict=True))
        return scores, ids

    def _raw(
        self, queries: Vectors, wanted: int, nprobe: int | None, shortlist: int, selector: Any
    ) -> tuple[NDArray[np.float32], Ids]:
        if self._padded_first and wanted < shortlist:
            scores, ids = self._raw(queries, shortlist, nprobe, shortlist, selector)
            found = best(ids, scores, k=wanted)
            return found.scores, found.ids
        key = (nprobe, wanted, shortlist)
        if selector is None:
            params = self._params.get(key)
            if params is None:
                inner = ivf.parameters(self.index, nprobe=nprobe, shortlist=shortlist)
                params = self._params[key] = self._around(inner, wanted, shortlist)
            return self._searched(queries, wanted, nprobe, shortlist, params)
        # Making them for each filter takes as long as the search: of each kind as many are kept as there are threads.
        if len(self._idle) > _KINDS:
            self._idle.clear()
        idle = self._idle.setdefault(key, [])
        try:
            params, inner = idle.pop()
        except IndexError:
            inner = ivf.parameters(self._inner, nprobe=nprobe, selector=selector, shortlist=shortlist)
            if inner is None:
                raise OptionError(
                    f"{type(self._inner).__name__}: cannot leave rows out of a search; compare all rows with `exact`"
                ) from None
            params = self._around(ivf.around(self.index, inner), wanted, shortlist)
        inner.sel = selector
        answer = self._searched(queries, wanted, nprobe, shortlist, params)
        idle.append((params, inner))
        return answer

    def _around(self, inner: Any, wanted: int, shortlist: int) -> Any:
        factor = (max(shortlist, wanted) + 0.5) / wanted
        return faiss().IndexRefineSearchParameters(k_factor=factor, base_index_params=inner)

    def _searched(
        self, queries: Vectors, wanted: int, nprobe: int | None, shortlist: int, params: Any
    ) -> tuple[NDArray[np.float32], Ids]:
        step = _LEAST if len(queries) <= _LEAST else self.at_once(nprobe, shortlist)
        if len(queries) <= step:
            return search_into(self._refined, queries, wanted, params)
        scores = np.empty((len(queries), wanted), dtype=np.float32)
        ids = np.empty((len(queries), wanted), dtype=np.int64)
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            scores[part], ids[part] = self._refined.search(queries[part], wanted, params=params)
        return scores, ids

    def _made(self, selector: Any) -> dict[tuple[int | None, int, int], Any]:
        """Return FAISS's parameters that were made with a selector; of the last one they are kept, as tombstones have the same."""
        if selector is None:
            return self._params
        last = self._selected
        if last[0] is not selector:
            last = self._selected = (selector, {})
        return last[1]


def _settled(ids: Ids, scores: NDArray[np.float32]) -> bool:
    """Say whether no list is padded and no scores in it tie, so that nothing is left to order."""
    if len(ids) == 1:  # numpy's calls cost more than the work on one short row
        row = scores[0].tolist()
        return bool(ids[0, -1] >= 0) and len(set(row)) == len(row)
    flat = scores.ravel()  # a tie across the end of a list is chance, and only costs another look
    return not (np.count_nonzero(flat[1:] == flat[:-1]) or np.count_nonzero(ids < 0))
