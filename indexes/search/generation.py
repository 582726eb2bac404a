"""Open one published generation and search its base index, recent rows and filters together.

Long because every contract of an open generation stands at its definition.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes import forks
from indexes.engine import flat, ivf
from indexes.errors import OptionError, ShapeError
from indexes.generation import (
    INDEX,
    Funnel,
    KeyTable,
    Manifest,
    check_sizes,
    generation_path,
    indexed_rows,
    open_keys,
    open_list_sizes,
    pin_generation,
    published_live,
    segment_files,
    store_path,
)
from indexes.search.searchers import (
    ExactSearcher,
    Searcher,
    Wanted,
    is_sooner,
    open_searcher,
    require_whole,
    unmeasured,
)
from indexes.store import RERANK, RerankRows
from indexes.store.lmdb import Lease
from indexes.vectors import (
    Bitmap,
    Halves,
    Ids,
    Neighbors,
    Vectors,
    merged,
    optional_integer,
    padding,
    places,
    row_flags,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexes.engine import Candidates, Probes, Refined
    from indexes.generation import FileInfo, Pin
    from indexes.join import SelfJoin
    from indexes.search.prefix_scan import Narrow
    from indexes.search.searchers import InvertedSearcher, WithSegments
    from indexes.vectors import Transform


class Generation(forks.Unshared, AbstractContextManager["Generation"]):
    """What a manifest describes, open for searching: a context manager, safe to share by threads.

    Attributes:
        manifest: the manifest that it was opened from.
        live: ``(count,)`` flags, None if every row is live; do not change them.
    """

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        rows: RerankRows,
        live: Bitmap | None,
        pin: Pin,
        *,
        device: str = "cpu",
        exact: Callable[[Halves], Candidates | None] | None = None,
        index: Any = None,
    ) -> None:
        """Take over what `open` opened; call that."""
        self._lease = Lease(f"{directory}: the collection is closed; open it again")
        self.manifest = manifest
        self.live = live
        self._rows: Halves = np.asarray(rows.rows)  # without the memmap's costly slicing
        self._rerank = rows
        self._directory = directory
        self._pin = pin
        card = None
        self._on_card = device.startswith("cuda")
        if device.startswith("cuda"):
            from indexes.search.device import ServingCard

            card = ServingCard(device, self._rows, exact=exact)
        self._every = ExactSearcher(self._rows, card)
        path = generation_path(directory, manifest.generation) / INDEX
        self._base = open_searcher(
            path,
            manifest.index,
            self._rows,
            every=self._every,
            card=card,
            opened=index,
            sizes=partial(open_list_sizes, directory, manifest),
        )
        self._searcher: Searcher = self._base
        self._proposing: dict[tuple[int, int], Callable[[Vectors], Neighbors] | None] = {}
        self._indexed = 0 if isinstance(self._base, ExactSearcher) else indexed_rows(manifest)
        self._segments = self._with_segments() if self._indexed > manifest.index.base_rows else None
        if self._segments is not None:
            self._searcher = self._segments
        if self._base is not self._every and self._indexed < manifest.count:
            from indexes.search.searchers import WithRecent

            self._searcher = WithRecent(self._searcher, self._rows, self._indexed)

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        manifest: Manifest,
        *,
        device: str = "cpu",
        exact: Callable[[Halves], Candidates | None] | None = None,
        before: Generation | None = None,
    ) -> Generation:
        """Open the generation of ``manifest`` by mapping; FAISS itself is loaded with the first search.

        Args:
            directory: the collection's directory.
            manifest: which generation.
            device: ``cuda`` or ``cuda:N`` searches on that GPU what it can hold, where faiss can use it; everything
                else, and every filtered search, stays on the CPU.
            exact: puts the rows on that device for exact search where faiss cannot use it.
            before: one that is open; an index file that both have is not opened again.

        Raises:
            FileNotFoundError: a newer generation has replaced it; read the manifest again.
            StoreCorrupt: a file is missing or has another length.
        """
        home = Path(directory)
        pin = pin_generation(home, manifest.generation)
        try:
            check_sizes(home, manifest)
            rows = RerankRows.open(
                store_path(home, manifest) / RERANK, dim=manifest.space.dim, count=manifest.count
            )
            live = published_live(home, manifest)
            index = None if before is None else before.opened_index(manifest.index.file)
            return cls(home, manifest, rows, live, pin, device=device, exact=exact, index=index)
        except BaseException:
            pin.close()
            raise

    @property
    def count(self) -> int:
        """Rows, tombstoned ones included."""
        return self.manifest.count

    @property
    def rows(self) -> Halves:
        """Every row by its id, ``(count, d)`` float16, mapped; tombstoned ones included.

        Raises:
            StoreClosed: the generation is closed.
        """
        self._lease.require_open()
        return self._rows

    def search(
        self,
        queries: Vectors,
        *,
        k: int,
        keep: Bitmap | None = None,
        among: Ids | None = None,
        nprobe: int | None = None,
        shortlist: int | None = None,
        exact: bool = False,
        dim: int | None = None,
        depth: int | None = None,
    ) -> Neighbors:
        """Find each query's ``k`` best live rows.

        Args:
            queries: ``(q, d)`` float32 unit rows.
            k: neighbours wanted, at least 1.
            keep: ``(count,)`` flags; only live rows whose flag is set are found, and never fewer than ``k`` of them
                while there are as many.
            among: ``(m,)`` ascending ids of live rows, instead of ``keep``; a few are compared directly, whatever else there is.
            nprobe: lists to probe, where an index with lists is searched; None for what was tuned, more for a larger ``k`` or
                a narrow filter.
            shortlist: candidates to rerank; None for what was tuned, more for a larger ``k``.
            exact: compare every live row at full width.
            dim: rank by this prefix width first, then the shortlist at full width, over every live row.
            depth: choose lists and candidates for so many neighbours only; the others come as they do. None for ``k``.
        Returns:
            ids and cosines at full width, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
        Raises:
            ShapeError: the widths differ, or ``keep`` has not one flag a row.
            OptionError: ``k``, ``nprobe`` or ``shortlist`` is less than 1, or ``dim`` is no prefix of the space, or comes
                with ``exact``.
            StoreClosed: the generation is closed.
        """
        with self._lease:
            width = self.manifest.space.dim
            if queries.ndim != 2 or queries.shape[1] != width:
                raise ShapeError(f"queries: expected (q, {width}), got {queries.shape}")
            k = places(k, queries=len(queries), rows=self.count)
            nprobe, shortlist = optional_integer(nprobe, "nprobe"), optional_integer(shortlist, "shortlist")
            if shortlist is not None:
                shortlist = min(shortlist, max(self.count, 1))
            if among is not None:
                if dim is None and is_sooner(len(among), queries=len(queries)):
                    return flat.exact_among(self._rows, queries, among, k=k)
                keep = np.zeros(self.count, dtype=np.bool_)
                keep[among] = True
            allowed = self.live
            if keep is not None:
                keep = row_flags(keep, count=self.count)
                allowed = keep if allowed is None else keep & allowed
            queries = np.ascontiguousarray(queries, dtype=np.float32)
            if dim is not None:
                dim = self._narrower(
                    optional_integer(dim, "truncate_dim", least=None), shortlist, exact=exact
                )
            if dim is not None:
                candidates = unmeasured(k, shortlist)
                return self._prefixes.search(queries, dim=dim, shortlist=candidates, k=k, keep=allowed)
            searcher = self._every if exact or not len(queries) else self._searcher
            return searcher.search(queries, Wanted(k, allowed, keep is not None, nprobe, shortlist, depth))

    def limited(self, rows: Bitmap) -> Generation:
        """Open this generation once more, to answer for some of its rows as if the others had tombstones.

        FAISS's selector of those rows is made once, so that a search costs less than with a filter.

        Args:
            rows: ``(count,)`` flags of the rows that answer; tombstoned ones do not.
        Returns:
            a generation on the CPU, which shares the maps with this one; close it too.
        Raises:
            ShapeError: not one flag a row.
            StoreClosed: the generation is closed.
        """
        with self._lease:
            flags = row_flags(rows, count=self.count)
            return Generation(
                self._directory,
                self.manifest,
                self._rerank,
                flags if self.live is None else flags & self.live,
                pin_generation(self._directory, self.manifest.generation),
                index=self.opened_index(self.manifest.index.file),
            )

    @cached_property
    def _prefixes(self) -> Narrow:
        """The rows behind prefixes of a width that the caller gives."""
        from indexes.search.prefix_scan import Narrow, matrix_of

        matrix = matrix_of(self._directory, self.manifest)
        return Narrow(self._rows, self.manifest.space, rotation=matrix)

    def _narrower(self, dim: int | None, shortlist: int | None, *, exact: bool) -> int | None:
        """Return the prefix width that rows are to be ranked by, None where the whole width or the index answers.

        Raises:
            OptionError: ``exact``, and the width is another than the full one.
        """
        width = self.manifest.space.dim
        if exact:
            require_whole(dim, width=width)
        match self.manifest.index:
            case Funnel(dim=built) if built == dim and shortlist is None:
                return None  # the funnel that was built is this one, tuned by measuring
        return None if dim == width else dim

    @property
    def rotation(self) -> Transform | None:
        """The rotation that makes prefixes of these rows rank well, None where they need none or none was fitted."""
        from indexes.search.prefix_scan import rotation_of

        return rotation_of(self._directory, self.manifest)

    def opened_index(self, file: FileInfo | None) -> Any:
        """Return the FAISS index of a file, if this generation has opened it; else None. Do not change it."""
        base = self._base
        return None if isinstance(base, ExactSearcher) else base.file.index_of(file)

    def first_stage(self) -> Refined:
        """Return the base index, opened by mapping; do not change it.

        Raises:
            OptionError: the collection is flat: it has none.
            StoreClosed: the generation is closed.
        """
        return self._inverted().stage

    @property
    def rows_file(self) -> Path:
        """The file that the rows are mapped from."""
        return self._rerank.path

    @property
    def can_be_joined(self) -> bool:
        """Say whether its lists, if it has some, can be held to some ids, lie on no card and have no segments beside them."""
        index = self.lists_index
        if self._segments is not None:
            return False
        if index is None:
            return isinstance(self._base, ExactSearcher) and not self._on_card
        return not self._on_card and ivf.lists_of(index) > 0 and ivf.filters(index)

    @property
    def is_all_in_lists(self) -> bool:
        """Say whether every row lies in the inverted lists of the index."""
        return self.lists_index is not None and self.manifest.index.base_rows >= self.count

    def copied_index(self) -> Any:
        """Read the base index into memory of its own, to be changed.

        Raises:
            StoreCorrupt: it cannot be read.
            StoreClosed: the generation is closed.
        """
        with self._lease:
            return ivf.load(generation_path(self._directory, self.manifest.generation) / INDEX)

    def self_join(self, threshold: float, *, at_most: int, asked: Ids | None = None) -> SelfJoin:
        """Prepare to find the pairs of live rows whose cosine reaches a threshold; the lists of the base index group them.

        Args:
            threshold: the least cosine of a pair.
            at_most: partners that a row names.
            asked: ``(q,)`` ascending ids of live rows: only pairs of these with any. None for all.
        Raises:
            StoreClosed: the generation is closed.
        """
        from indexes.join import SelfJoin

        with self._lease:
            return SelfJoin(
                self._rows,
                threshold=threshold,
                at_most=at_most,
                live=self.live,
                asked=asked,
                index=self.lists_index,
            )

    @property
    def lists_index(self) -> Any:
        """The FAISS index whose inverted lists group the rows; None where there is none. Do not change it."""
        if isinstance(self._base, ExactSearcher):
            return None
        from indexes.search.searchers import InvertedSearcher

        return self._base.stage.index if isinstance(self._base, InvertedSearcher) else None

    def list_residual(self, ids: Ids) -> float | None:
        """Return the mean squared distance of rows to the centroids of their lists; None without lists.

        Raises:
            StoreClosed: the generation is closed.
        """
        with self._lease:
            index = self.lists_index
            if index is None or not ivf.lists_of(index):
                return None
            from indexes.engine import nearest

            return nearest.list_residual(index, self._rerank.gather(ids))

    def _with_segments(self) -> WithSegments:
        """Return what searches the base and the segments of the rows behind it."""
        from indexes.search.searchers import WithSegments

        manifest, base = self.manifest, self.manifest.index.base_rows
        folder = generation_path(self._directory, manifest.generation)
        files = [(folder / file.name, manifest.files[file.name]) for file in segment_files(manifest)]
        return WithSegments(self._inverted(), self._rows[: self._indexed], files, first=base)

    def _inverted(self) -> InvertedSearcher:
        self._lease.require_open()
        from indexes.engine import SMALLEST
        from indexes.search.searchers import InvertedSearcher

        if isinstance(self._base, InvertedSearcher):
            return self._base
        cure = 'a compressed index has a first stage: build it with `kind="ivfrabitq"`, ivfpq or a FAISS factory string'
        live = self.count if self.live is None else int(np.count_nonzero(self.live))
        if live < SMALLEST:  # naming a kind would lead back here
            cure = (
                f"{live:,} rows are too few for ivfrabitq or ivfpq, which need {SMALLEST:,}: "
                "index more images, or name a FACTORY that so few can train"
            )
        raise OptionError(
            f"{self._directory} is searched exactly (flat), so nothing is lost in codes; {cure}"
        )

    def codes(self, queries: Vectors, *, k: int, nprobe: int | None = None) -> Neighbors:
        """Find each query's best ``k`` live rows of the base by their codes alone, nothing reranked.

        Args:
            queries: ``(q, d)`` float32 unit rows.
            k: neighbours wanted.
            nprobe: lists to probe; None for what was tuned.
        Returns:
            ids and scores as `Refined.codes` gives them.
        Raises:
            OptionError: the collection is flat.
            StoreClosed: the generation is closed.
        """
        with self._lease:
            queries = np.ascontiguousarray(queries, dtype=np.float32)
            return self._inverted().codes(queries, k=k, nprobe=nprobe, live=self.live)

    def candidates(self, queries: Vectors, *, k: int, depth: int) -> Neighbors | None:
        """Return the live rows that `search` would compare at full width, by their codes alone.

        Args:
            queries: ``(q, d)`` float32 C-contiguous unit rows.
            k, depth: as of `search`.
        Returns:
            ids ``(q, s)``, best first by their codes, padded with -1 at the end, and the cosines that the codes estimate (-inf where
            they do not); None where `search` does not go by codes alone: rows wait beside the index, or there is none, or it is on a card or cannot leave tombstones out.
        Raises:
            StoreClosed: the generation is closed.
        """
        with self._lease:
            wanted = k, depth
            if wanted not in self._proposing:
                self._proposing[wanted] = self._proposer(k, depth)
            propose = self._proposing[wanted]
            return None if propose is None else propose(queries)

    def _proposer(self, k: int, depth: int) -> Callable[[Vectors], Neighbors] | None:
        """Return what `candidates` does for every query alike, None where it does nothing."""
        from indexes.search.searchers import InvertedSearcher

        if self._searcher is not self._base or self._on_card or not isinstance(self._base, InvertedSearcher):
            return None
        return self._base.proposer(Wanted(k, self.live, depth=depth))

    def probes(self, queries: Vectors, *, nprobe: int) -> Probes:
        """Choose the lists of queries, ``(q, d)`` unit rows, for every index of this one's training.

        Raises:
            OptionError: the collection is flat.
            StoreClosed: the generation is closed.
        """
        with self._lease:
            return self._inverted().stage.probes(np.ascontiguousarray(queries, np.float32), nprobe=nprobe)

    def probed(self, chosen: Probes, *, k: int) -> Neighbors:
        """Find each query's best ``k`` live rows of the base and its segments by their codes.

        The lists were chosen by an index of the same training. A collection without lists finds none.

        Returns:
            ids and scores as `Refined.codes` gives them; they compare among indexes of one training.
        Raises:
            StoreClosed: the generation is closed.
        """
        with self._lease:
            if isinstance(self._base, ExactSearcher):
                return padding(len(chosen.lists), k)
            return (self._segments or self._inverted()).probed(chosen, k=k, live=self.live)

    def scored(self, queries: Vectors, ids: Ids, *, k: int, unlisted: bool = False) -> Neighbors:
        """Order candidates of each query by exact cosine and keep the best ``k``.

        Args:
            queries: ``(q, d)`` unit rows.
            ids: ``(q, m)`` candidates, none twice; padded with -1.
            k: neighbours wanted.
            unlisted: compare all live rows besides that neither the base index nor a segment holds.
        Raises:
            StoreClosed: the generation is closed.
        """
        with self._lease:
            queries = np.ascontiguousarray(queries, dtype=np.float32)
            found = flat.scored(self._rows, queries, ids, k=k)
            base = self._indexed
            if not unlisted or base >= self.count:
                return found
            keep = None if self.live is None else self.live[base:]
            rest = flat.exact(self._rows[base : self.count], queries, k=k, keep=keep, first_id=base)
            return merged(found, rest, k=k)

    def vectors(self, ids: Ids) -> Vectors:
        """Return the rows ``ids`` ``(m,)`` as ``(m, d)`` float32, in their order, tombstoned ones too.

        Raises:
            MissingRow: an id is negative or not below `count`.
            StoreClosed: the generation is closed.
        """
        with self._lease:
            return self._rerank.gather(ids)

    def keys(self) -> KeyTable | None:
        """Return the mapped table of its rows' keys; None for a generation of a version that wrote none.

        The keys of recent rows (`Manifest.recent`) are not in it: the store has them.

        Raises:
            StoreCorrupt: it is not whole.
            StoreClosed: the generation is closed.
        """
        self._lease.require_open()
        return open_keys(self._directory, self.manifest)

    def close(self) -> None:
        """Release the maps and let the generation go, once searches that are under way have ended; later ones are errors."""
        self._lease.close()
        self._rows = np.empty((0, self.manifest.space.dim), dtype=np.float16)
        self._rerank = RerankRows(self._rerank.path, self._rows)
        self.__dict__.pop("_prefixes", None)
        self._proposing.clear()
        self._every = self._base = self._searcher = ExactSearcher(self._rows)
        self._segments = None
        self._pin.close()

    def __exit__(self, *_error: object) -> None:
        self.close()
