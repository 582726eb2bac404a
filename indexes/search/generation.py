"""Open one published generation and search its base index, recent rows and filters together.

Long because every way of searching a generation (index, exact, prefix, codes, GPU) begins in `Generation`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from indexes import forks
from indexes.engine import SMALLEST, Candidates, Card, Refined, flat, gpu
from indexes.errors import OptionError, ShapeError, StoreClosed
from indexes.generation import (
    INDEX,
    KEYS,
    FileInfo,
    Funnel,
    KeyTable,
    Manifest,
    Pin,
    check_file,
    check_sizes,
    generation_path,
    pin_generation,
    published_live,
    store_path,
)
from indexes.layout import TRANSFORMS
from indexes.search.first_stage import FirstStage
from indexes.search.prefix_scan import Narrow
from indexes.search.recent_rows import Tail
from indexes.search.widths import require_whole, unmeasured
from indexes.store import RERANK, RerankRows
from indexes.store.lmdb import Lease
from indexes.vectors import (
    Bitmap,
    Halves,
    Ids,
    Neighbors,
    Vectors,
    optional_integer,
    places,
    row_flags,
    transforms,
)

EXACT_ROWS = 5_000
"""Rows kept by a filter up to which one query searches them exactly sooner than it finds them in many lists."""

EXACT_ROWS_BATCH = 20_000
"""The same for several queries, which fetch those rows once for all."""

_SEVERAL = 8


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
        self.manifest = manifest
        self.live = live
        self._rows: Halves = np.asarray(rows.rows)  # without the memmap's costly slicing
        self._rerank = rows
        self._live_count = manifest.count if live is None else int(np.count_nonzero(live))
        self._directory = directory
        self._pin = pin
        self._base = 0 if manifest.index.exact else manifest.index.base_rows
        self._first: FirstStage | None = None
        self._matrix = _matrix_of(directory, manifest)
        if self._base:
            path = generation_path(directory, manifest.generation) / INDEX
            self._first = FirstStage(path, manifest.index, self._rows, index=index)
        self._prefixes = Narrow(self._rows, manifest.space, rotation=self._matrix)
        self._opening = forks.Lock()
        self._device, self._exact = device, exact
        self._card: Card | None = None
        self._tail = Tail(self._rows, self._base)
        self._lease = Lease(self._is_closed)

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
        self._require_open()
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
        Returns:
            ids and cosines at full width, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
        Raises:
            ShapeError: the widths differ, or ``keep`` has not one flag a row.
            OptionError: ``k``, ``nprobe`` or ``shortlist`` is less than 1, or ``dim`` is no prefix of the space, or comes
                with ``exact``.
            StoreClosed: the generation is closed.
        """
        with self._lease:
            return self._search(
                queries,
                k=k,
                keep=keep,
                among=among,
                nprobe=nprobe,
                shortlist=shortlist,
                exact=exact,
                dim=dim,
            )

    def _search(
        self,
        queries: Vectors,
        *,
        k: int,
        keep: Bitmap | None,
        among: Ids | None,
        nprobe: int | None,
        shortlist: int | None,
        exact: bool,
        dim: int | None,
    ) -> Neighbors:
        if queries.ndim != 2 or queries.shape[1] != self.manifest.space.dim:
            raise ShapeError(f"queries: expected (q, {self.manifest.space.dim}), got {queries.shape}")
        keep = None if keep is None else row_flags(keep, count=self.count)
        k = places(k, queries=len(queries), rows=self.count)
        nprobe, dim = optional_integer(nprobe, "nprobe"), optional_integer(dim, "truncate_dim", least=None)
        shortlist = optional_integer(shortlist, "shortlist")
        if shortlist is not None:
            shortlist = min(shortlist, max(self.count, 1))
        if exact:
            require_whole(dim, width=self.manifest.space.dim)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        few = EXACT_ROWS if len(queries) < _SEVERAL else EXACT_ROWS_BATCH
        if among is not None:
            if len(among) <= few and dim is None:
                return flat.exact_among(self._rows, queries, among, k=k)
            keep = np.zeros(self.count, dtype=np.bool_)
            keep[among] = True
        allowed = self.live
        if keep is not None:
            allowed = keep if allowed is None else keep & allowed
        index = self.manifest.index
        if isinstance(index, Funnel) and dim == index.dim and shortlist is None and not exact:
            dim = None  # the funnel that was built is this one, tuned by measuring
        if dim is not None and dim != self.manifest.space.dim:
            return self._prefixes.search(
                queries, dim=dim, shortlist=unmeasured(k, shortlist), k=k, keep=allowed
            )
        if exact or self._first is None or len(queries) == 0:
            card = self._on_card() if allowed is None and len(queries) else None
            found = None if card is None else card.exact(queries, k=k)
            return found or flat.exact(self._rows, queries, k=k, keep=allowed)
        kept = self._kept(keep, allowed)
        if (keep is not None and kept <= few) or (allowed is not None and not self._first.opened.filters):
            return flat.exact(self._rows, queries, k=k, keep=allowed)
        found = self._first.search(
            queries,
            k=k,
            allowed=allowed,
            kept=kept,
            nprobe=nprobe,
            shortlist=shortlist,
            filtered=keep is not None,
            card=self._on_card,
        )
        if self._base == self.count:
            return found
        return self._tail.with_base(found, queries, k=k, allowed=allowed)

    @property
    def rotation(self) -> transforms.Transform | None:
        """The rotation that makes prefixes of these rows rank well, None where they need none or none was fitted."""
        return _rotation_of(self._directory, self.manifest)

    def _kept(self, keep: Bitmap | None, allowed: Bitmap | None) -> int:
        """Return how many rows of the base may be found."""
        if allowed is None:
            return self._base
        if keep is None and self._base == self.count:
            return self._live_count
        return int(np.count_nonzero(allowed[: self._base]))

    def _on_card(self) -> Card | None:
        """Return the GPU that serves this generation, if one was asked for and faiss can use it."""
        if self._card is None and self._device.startswith("cuda"):
            number = gpu(self._device)
            with self._opening:
                if number is None and self._exact is None:
                    self._device = "cpu"
                elif self._card is None:
                    self._card = Card(number, self._rows, exact=self._exact)
        return self._card

    def opened_index(self, file: FileInfo | None) -> Any:
        """Return the FAISS index of a file, if this generation has opened it; else None. Do not change it."""
        first = self._first
        return None if first is None else first.index_of(file)

    def first_stage(self) -> Refined:
        """Return the base index, opened by mapping; do not change it.

        Raises:
            OptionError: the collection is flat: it has none.
            StoreClosed: the generation is closed.
        """
        return self._compressed()[1]

    def _compressed(self) -> tuple[FirstStage, Refined]:
        self._require_open()
        opened = None if self._first is None else self._first.opened
        if self._first is None or not isinstance(opened, Refined):
            cure = 'a compressed index has a first stage: build it with `kind="ivfrabitq"`, ivfpq or a FAISS factory string'
            if self._live_count < SMALLEST:  # naming a kind would lead back here
                cure = (
                    f"{self._live_count:,} rows are too few for ivfrabitq or ivfpq, which need {SMALLEST:,}: "
                    "index more images, or name a FACTORY that so few can train"
                )
            raise OptionError(
                f"{self._directory} is searched exactly (flat), so nothing is lost in codes; {cure}"
            )
        return self._first, opened

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
            first, stage = self._compressed()
            live = None if self.live is None else self.live[: self._base]
            queries = np.ascontiguousarray(queries, dtype=np.float32)
            return first.codes(stage, queries, k=k, nprobe=nprobe, live=live)

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
        self._require_open()
        if KEYS not in self.manifest.files:
            return None
        check_file(self._directory, self.manifest, KEYS)
        return KeyTable.open(generation_path(self._directory, self.manifest.generation) / KEYS)

    def _require_open(self) -> None:
        if self._lease.closed:
            raise self._is_closed()

    def _is_closed(self) -> StoreClosed:
        return StoreClosed(f"{self._directory}: the collection is closed; open it again")

    def close(self) -> None:
        """Release the maps and let the generation go, once searches that are under way have ended; later ones are errors."""
        self._lease.close()
        self._first = self._card = None
        self._rows = np.empty((0, self.manifest.space.dim), dtype=np.float16)
        self._rerank = RerankRows(self._rerank.path, self._rows)
        self._prefixes = Narrow(self._rows, self.manifest.space, rotation=self._matrix)
        self._tail = Tail(self._rows, 0)
        self._base = 0
        self._pin.close()

    def __exit__(self, *_error: object) -> None:
        self.close()


def _rotation_of(directory: Path, manifest: Manifest) -> transforms.Transform | None:
    if manifest.space.nesting or TRANSFORMS not in manifest.files:
        return None
    path = generation_path(directory, manifest.generation) / TRANSFORMS
    check_file(directory, manifest, TRANSFORMS)
    return transforms.recorded(transforms.load(path), manifest.space)


def _matrix_of(directory: Path, manifest: Manifest) -> Callable[[], Vectors | None]:
    """Return what reads the rotation's ``(d, d)`` matrix with its first call; it holds no reference to the generation."""

    @cache
    def matrix() -> Vectors | None:
        turn = _rotation_of(directory, manifest)
        return None if turn is None else turn.matrix

    return matrix
