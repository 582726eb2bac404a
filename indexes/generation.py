"""One published generation, opened by mapping: searches its base index, its tail and its filters as one."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from indexes import flat, funnel, ivf, rotate, transforms
from indexes.arrays import Bitmap, Ids, Neighbors, Vectors, best
from indexes.backend import fp16_view, gpu
from indexes.errors import OptionError, ShapeError, StoreCorrupt
from indexes.flat import Halves
from indexes.gpu import Candidates, Card
from indexes.keytable import KEYS, KeyTable
from indexes.manifest import INDEX, Manifest, Pin, check_sizes, generation_path, pin_generation, store_path
from indexes.rerank import RERANK, RerankRows

TOMBSTONES = "tombstones.npy"
REPORT = "report.json"
TRANSFORMS = "transforms.npz"

EXACT_ROWS = 5_000
"""Rows kept by a filter up to which one query searches them exactly sooner than it finds them in many lists."""

EXACT_ROWS_BATCH = 20_000
"""The same for several queries, which fetch those rows once for all."""

_SEVERAL = 8

_HEADS_BYTES = (
    1 << 28
)  # of prefixes laid next to each other for `dim` and `plan`, and kept; more are made for each search

_REACH = 0.6
_TUNED_K = 10  # the settings in the manifest were measured for so many neighbours


class Generation:
    """What a manifest describes, open for searching: a context manager, safe to share by threads.

    Attributes:
        manifest: the manifest that it was opened from.
        rows: ``(count, d)`` float16, mapped; tombstoned rows included.
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
    ) -> None:
        """Take over what `open` opened; call that."""
        self.manifest = manifest
        self.live = live
        self.rows: Halves = np.asarray(rows.rows)  # without the memmap's costly slicing
        self._rerank = rows
        self._live_count = manifest.count if live is None else int(np.count_nonzero(live))
        self._directory = directory
        self._pin = pin
        self._base = 0 if manifest.index.exact else manifest.index.base_rows
        self._opening = threading.Lock()
        self._opened: ivf.Refined | funnel.Funnel | None = None
        self._own_selector: Any = None
        self._device, self._exact = device, exact
        self._card: Card | None = None
        self._tail: Any = None  # the rows behind the base, as faiss sees them
        self._heads: dict[int, Halves] = {}
        self._turn: tuple[transforms.Transform | None] | None = (
            None  # the rotation, once it has been looked for
        )

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        manifest: Manifest,
        *,
        device: str = "cpu",
        exact: Callable[[Halves], Candidates | None] | None = None,
    ) -> Generation:
        """Open the generation of ``manifest`` by mapping; FAISS itself is loaded with the first search.

        Args:
            directory: the collection's directory.
            manifest: which generation.
            device: ``cuda`` or ``cuda:N`` searches on that GPU what it can hold, where faiss can use it; everything
                else, and every filtered search, stays on the CPU.
            exact: puts the rows on that device for exact search where faiss cannot use it.

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
            path = generation_path(home, manifest.generation) / TOMBSTONES
            return cls(
                home, manifest, rows, _read_live(path, manifest.count), pin, device=device, exact=exact
            )
        except BaseException:
            pin.close()
            raise

    @property
    def count(self) -> int:
        """Rows, tombstoned ones included."""
        return self.manifest.count

    def search(
        self,
        queries: Vectors,
        *,
        k: int,
        keep: Bitmap | None = None,
        nprobe: int | None = None,
        shortlist: int | None = None,
        exact: bool = False,
        dim: int | None = None,
        plan: funnel.Stages | None = None,
    ) -> Neighbors:
        """Find each query's ``k`` best live rows.

        Args:
            queries: ``(q, d)`` float32 unit rows.
            k: neighbours wanted, at least 1.
            keep: ``(count,)`` flags; only live rows whose flag is set are found, and never fewer than ``k`` of them
                while there are as many.
            nprobe: lists to probe; None for what was tuned, more for a larger ``k`` or a narrow filter.
            shortlist: candidates to rerank; None for what was tuned, more for a larger ``k``.
            exact: search every live row.
            dim: rank by this prefix width first, then the shortlist at full width, over every live row.
            plan: the same in several stages of rising widths and falling shortlists.
        Returns:
            ids and cosines at full width, ``(q, k)``, best first; ties by smaller id; padded with -1 and -inf.
        Raises:
            ShapeError: the widths differ, or ``keep`` has not one flag a row.
            OptionError: ``k``, ``nprobe`` or ``shortlist`` is less than 1, ``dim`` is no prefix of the space, or ``plan`` is
                none (see `indexes.funnel.check`).
        """
        if queries.ndim != 2 or queries.shape[1] != self.manifest.space.dim:
            raise ShapeError(f"queries: expected (q, {self.manifest.space.dim}), got {queries.shape}")
        if keep is not None and keep.shape != (self.count,):
            raise ShapeError(f"keep: expected ({self.count},) flags, got {keep.shape}")
        if k < 1 or (nprobe is not None and nprobe < 1) or (shortlist is not None and shortlist < 1):
            raise OptionError(f"k is {k}, nprobe {nprobe}, shortlist {shortlist}; each must be at least 1")
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        allowed = self.live
        if keep is not None:
            allowed = keep if allowed is None else keep & allowed
        own = not (self.manifest.index.exact or exact) and self.manifest.index.kind == "flat"
        if own and dim == self.manifest.index.dim and shortlist is None:
            dim = None  # the funnel that was built is this one, planned by measuring
        if plan is None and dim is not None and dim != self.manifest.space.dim:
            wanted = max(k, shortlist or funnel.FACTOR * k)
            plan = (funnel.Stage(dim=dim, shortlist=wanted),)
        if plan is not None:
            return self._narrow(queries, plan, k=k, allowed=allowed)
        if exact or self._base == 0 or len(queries) == 0:
            card = self._on_card() if allowed is None and len(queries) else None
            found = None if card is None else card.exact(queries, k=k)
            return found or flat.exact(self.rows, queries, k=k, keep=allowed)
        kept = self._kept(keep, allowed)
        stage = self._stage()
        few = EXACT_ROWS if len(queries) < _SEVERAL else EXACT_ROWS_BATCH
        if (keep is not None and kept <= few) or (allowed is not None and not stage.filters):
            return flat.exact(self.rows, queries, k=k, keep=allowed)
        found = self._probe(stage, queries, k, allowed, kept, nprobe, shortlist, filtered=keep is not None)
        if self._base == self.count:
            return found
        if len(queries) == 1 and allowed is None and self.count - self._base > k:
            return self._with_tail(found, queries, k=k)
        flags = None if allowed is None else allowed[self._base :]
        tail = flat.exact(self.rows[self._base :], queries, k=k, keep=flags, first_id=self._base)
        return best(np.hstack((found.ids, tail.ids)), np.hstack((found.scores, tail.scores)), k=k)

    def _with_tail(self, found: Neighbors, query: Vectors, *, k: int) -> Neighbors:
        """Merge one query's answers with the tail's; for so few rows preparing costs more than comparing."""
        view = self._tail
        if view is None:
            view = self._tail = fp16_view(self.rows[self._base :])
        scores, ids = view.search(query, k + 1)
        if scores[0, k] == scores[0, k - 1]:  # which of those that tie were taken is chance
            tail = flat.exact(self.rows[self._base :], query, k=k, first_id=self._base)
            scores, ids = tail.scores, tail.ids - self._base
        pairs = [
            *zip((-found.scores[0]).tolist(), found.ids[0].tolist(), strict=True),
            *zip((-scores[0]).tolist(), (ids[0] + self._base).tolist(), strict=True),
        ]
        pairs = sorted(pair for pair in pairs if pair[1] >= 0)[:k]
        return Neighbors(
            ids=np.array([[number for _, number in pairs]], dtype=np.int64),
            scores=np.array([[-score for score, _ in pairs]], dtype=np.float32),
        )

    def _narrow(self, queries: Vectors, plan: funnel.Stages, *, k: int, allowed: Bitmap | None) -> Neighbors:
        """Search every live row by a plan that was given, not measured."""
        matrix = self._matrix()
        funnel.check(plan, k=k, space=self.manifest.space, turned=matrix is not None)
        return funnel.search(
            self.rows,
            queries,
            plan,
            k=k,
            keep=allowed,
            heads=self._compact(plan[0].dim, matrix),
            rotation=matrix,
        )

    def _compact(self, dim: int, rotation: Vectors | None) -> Halves | None:
        """Return the prefixes of all rows, made once where they fit; None where they do not."""
        if 2 * dim * self.count > _HEADS_BYTES:
            return None
        if dim not in self._heads:
            with self._opening:
                if dim not in self._heads:
                    self._heads[dim] = funnel.compact(self.rows, dim, rotation=rotation)
        return self._heads[dim]

    @property
    def rotation(self) -> transforms.Transform | None:
        """The rotation that makes prefixes of these rows rank well, None where they need none or none was fitted."""
        if self.manifest.space.nesting or TRANSFORMS not in self.manifest.files:
            return None
        path = generation_path(self._directory, self.manifest.generation) / TRANSFORMS
        return rotate.recorded(transforms.load(path), self.manifest.space)

    def _kept(self, keep: Bitmap | None, allowed: Bitmap | None) -> int:
        """Return how many rows of the base may be found."""
        if allowed is None:
            return self._base
        if keep is None and self._base == self.count:
            return self._live_count
        return int(np.count_nonzero(allowed[: self._base]))

    def _probe(
        self,
        stage: ivf.Refined | funnel.Funnel,
        queries: Vectors,
        k: int,
        allowed: Bitmap | None,
        kept: int,
        nprobe: int | None,
        shortlist: int | None,
        *,
        filtered: bool,
    ) -> Neighbors:
        info = self.manifest.index
        if isinstance(stage, funnel.Funnel):
            stages = None if shortlist is None else (funnel.Stage(dim=info.dim, shortlist=shortlist),)
            rest = None if allowed is None else allowed[: self._base]
            found = stage.search(queries, k=k, stages=stages, keep=rest)
            return self._filled(found, queries, k, allowed, kept)
        if shortlist is None:
            shortlist = -(-(info.shortlist or 4 * _TUNED_K) * max(k, _TUNED_K) // _TUNED_K)
        if nprobe is None and info.nprobe is not None:
            # The k-th neighbour among a share f of the rows lies about where the k/f-th of all does. Lists for it
            # grow slower: with this power, filters of 1 to 50 % kept the recall tuned for at a million rows.
            reach = max(1.0, k / _TUNED_K) / (max(kept, 1) / self._base if filtered else 1.0)
            nprobe = min(math.ceil(info.nprobe * reach**_REACH), stage.nlist)
        selector = None if allowed is None else self._selector(allowed[: self._base], filtered=filtered)
        shortlist = max(shortlist, k)
        card = self._on_card() if allowed is None and isinstance(stage, ivf.Refined) else None
        there = (
            None
            if card is None
            else card.search(stage.index, queries, k=k, nprobe=nprobe, shortlist=shortlist)
        )
        found = there or stage.search(queries, k=k, nprobe=nprobe, shortlist=shortlist, selector=selector)
        return self._filled(found, queries, k, allowed, kept)

    def _filled(
        self, found: Neighbors, queries: Vectors, k: int, allowed: Bitmap | None, kept: int
    ) -> Neighbors:
        """Search exactly for those queries that found fewer than there are."""
        if found.ids[0, -1] >= 0 if len(queries) == 1 else found.ids[:, -1].min() >= 0:
            return found
        short = np.flatnonzero((found.ids >= 0).sum(axis=1) < min(k, kept))
        if short.size:  # the lists probed held too few rows
            rest = None if allowed is None else allowed[: self._base]
            whole = flat.exact(self.rows[: self._base], queries[short], k=k, keep=rest)
            found.ids[short], found.scores[short] = whole.ids, whole.scores
        return found

    def _selector(self, allowed: Bitmap, *, filtered: bool) -> Any:
        if not filtered and self._own_selector is not None:
            return self._own_selector
        selector = ivf.selector(allowed)
        if not filtered:
            self._own_selector = selector
        return selector

    def _on_card(self) -> Card | None:
        """Return the GPU that serves this generation, if one was asked for and faiss can use it."""
        if self._card is None and self._device.startswith("cuda"):
            number = gpu(self._device)
            with self._opening:
                if number is None and self._exact is None:
                    self._device = "cpu"
                elif self._card is None:
                    self._card = Card(number, self.rows, exact=self._exact)
        return self._card

    def _stage(self) -> ivf.Refined | funnel.Funnel:
        if self._opened is None:
            with self._opening:
                if self._opened is None:
                    info = self.manifest.index
                    path = generation_path(self._directory, self.manifest.generation) / INDEX
                    index = ivf.open_mapped(path)
                    self._opened = (
                        funnel.Funnel(
                            index, self.rows, funnel.from_json(info.stages), rotation=self._matrix()
                        )
                        if info.kind == "flat"
                        else ivf.Refined(index, self.rows)
                    )
        return self._opened

    def first_stage(self) -> ivf.Refined:
        """Return the base index, opened by mapping; do not change it.

        Raises:
            OptionError: the collection is flat: it has none.
        """
        stage = None if self._base == 0 else self._stage()
        if not isinstance(stage, ivf.Refined):
            raise OptionError(
                f"{self._directory} is searched exactly (flat), so nothing is lost in codes; "
                "a compressed index has a first stage: retrieve build-index --kind ivfrabitq, ivfpq or a FACTORY"
            )
        return stage

    def codes(self, queries: Vectors, *, k: int, nprobe: int | None = None) -> Neighbors:
        """Find each query's best ``k`` live rows of the base by their codes alone, nothing reranked.

        Args:
            queries: ``(q, d)`` float32 unit rows.
            k: neighbours wanted.
            nprobe: lists to probe; None for what was tuned.
        Returns:
            ids and scores as `ivf.Refined.codes` gives them.
        Raises:
            OptionError: the collection is flat.
        """
        stage = self.first_stage()
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        nprobe = nprobe or self.manifest.index.nprobe
        live = self.live
        if live is None or live[: self._base].all():
            return stage.codes(queries, k=k, nprobe=nprobe)
        if stage.filters:
            selector = self._selector(live[: self._base], filtered=False)
            return stage.codes(queries, k=k, nprobe=nprobe, selector=selector)
        wanted = min(k + self._base - int(np.count_nonzero(live[: self._base])), self._base)
        found = stage.codes(queries, k=wanted, nprobe=nprobe)
        ids = np.where((found.ids >= 0) & live[np.maximum(found.ids, 0)], found.ids, -1)
        order = np.argsort(ids < 0, axis=1, kind="stable")[:, :k]  # the live ones first, in their order
        ids, scores = np.take_along_axis(ids, order, axis=1), np.take_along_axis(found.scores, order, axis=1)
        return Neighbors(ids=ids, scores=np.where(ids < 0, -np.inf, scores).astype(np.float32))

    def _matrix(self) -> Vectors | None:
        if self._turn is None:
            self._turn = (self.rotation,)
        (turn,) = self._turn
        return None if turn is None else turn.matrix

    def vectors(self, ids: Ids) -> Vectors:
        """Return the rows ``ids`` ``(m,)`` as ``(m, d)`` float32, in their order, tombstoned ones too.

        Raises:
            MissingRow: an id is negative or not below `count`.
        """
        return self._rerank.gather(ids)

    def keys(self) -> KeyTable | None:
        """Return the mapped table of its rows' keys; None for a generation of a version that wrote none.

        Raises:
            StoreCorrupt: it is not whole.
        """
        path = generation_path(self._directory, self.manifest.generation) / KEYS
        try:
            return KeyTable.open(path) if KEYS in self.manifest.files else None
        except FileNotFoundError as error:
            raise StoreCorrupt(f"{path}: missing; run `retrieve build-index` on the folder") from error

    def close(self) -> None:
        """Release the maps and let the generation go; searching afterwards is an error."""
        self._opened = self._own_selector = self._tail = self._card = None
        self._heads = {}
        self.rows = np.empty((0, self.manifest.space.dim), dtype=np.float16)
        self._rerank = RerankRows(self._rerank.path, self.rows)
        self._base = 0
        self._pin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_live(path: Path, dead: Bitmap) -> None:
    """Write which rows have a tombstone, eight to a byte."""
    np.save(path, np.packbits(dead, bitorder="little"), allow_pickle=False)


def _read_live(path: Path, count: int) -> Bitmap | None:
    """Return which rows have no tombstone, None if that is all of them."""
    try:
        packed = np.load(path, allow_pickle=False)
        dead = np.unpackbits(packed, count=count, bitorder="little").view(np.bool_)
    except (OSError, ValueError, TypeError) as error:
        raise StoreCorrupt(
            f"{path}: not readable ({error}); run `retrieve build-index` on the folder: it publishes a new one"
        ) from error
    if len(packed) != -(-count // 8):
        raise StoreCorrupt(
            f"{path}: holds {len(packed)} bytes of flags, expected {-(-count // 8)}; run `retrieve build-index`"
        )
    return ~dead if dead.any() else None
