"""Search a gallery during an upgrade: old and new rows ranked together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.engine import flat
from indexes.errors import OptionError, ShapeError
from indexes.generation import check_file, generation_path
from indexes.migration.background import Background
from indexes.migration.blend import Blend
from indexes.migration.calibration import Calibration
from indexes.migration.staging import ROWS_OF, read_rows_of
from indexes.search import Generation, Narrow, require_whole, unmeasured
from indexes.store import RERANK, RerankRows
from indexes.vectors import (
    Bitmap,
    Halves,
    Ids,
    Space,
    Vectors,
    best,
    clipped,
    optional_integer,
    places,
    ranking,
    rescored,
)

_WIDER, _LEAST = 4, 64  # rows that each side is asked for, for each neighbour wanted, and at least


class Mixture:
    """An old generation and the rows that replace some of its own; safe to share by threads.

    Attributes:
        rows_of: ``(count,)`` int64: the new row of each id, -1 where there is none yet.
        rows: ``(m, d_new)`` float16, mapped; some may answer for nothing.
        space: the new space.
        prefixes: widths at which both sides may be searched.
    """

    def __init__(
        self,
        generation: Generation,
        rows: Halves,
        rows_of: Ids,
        *,
        space: Space,
        calibrations: Mapping[str, Calibration],
        background: Background | None = None,
        prefixes: tuple[int, ...] = (),
    ) -> None:
        self._generation, self._background = generation, background
        self._calibrations = calibrations
        self.rows, self.rows_of, self.space, self.prefixes = rows, rows_of, space, prefixes
        live = generation.live
        renewed = rows_of >= 0 if live is None else (rows_of >= 0) & live  # (count,)
        self._old: Bitmap | None = ~(rows_of >= 0) if (rows_of >= 0).any() else None
        self._ids = np.full(len(rows), -1, dtype=np.int64)  # (m,) the id that each new row answers for
        self._ids[rows_of[renewed]] = np.flatnonzero(renewed)
        self._any = bool(renewed.any())
        self._narrow = Narrow(rows, space, rotation=lambda: None)

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        generation: Generation,
        *,
        staging: str,
        space: Space,
        calibrations: Mapping[str, Calibration],
        background: Background | None = None,
        prefixes: tuple[int, ...] = (),
    ) -> Mixture:
        """Open what a manifest in the middle of a change names, by mapping.

        Raises:
            StoreCorrupt: a file is missing or short.
        """
        home, manifest = Path(directory), generation.manifest
        check_file(home, manifest, ROWS_OF)
        table = read_rows_of(generation_path(home, manifest.generation), count=manifest.count)
        needed = int(table.max(initial=-1)) + 1
        rows = RerankRows.open(home / staging / RERANK, dim=space.dim, count=needed).rows
        return cls(
            generation,
            np.asarray(rows),
            table,
            space=space,
            calibrations=calibrations,
            background=background,
            prefixes=prefixes,
        )

    def search(
        self,
        new: Vectors,
        old: Vectors,
        *,
        k: int,
        keep: Bitmap | None = None,
        nprobe: int | None = None,
        shortlist: int | None = None,
        exact: bool = False,
        dim: int | None = None,
        words: bool = False,
    ) -> Blend:
        """Find each query's ``k`` best live rows on both sides.

        Images are ordered by cosines about the mean of each side, those of the old side on the new one's scale (`Background`).
        They are taken from four times as many rows, and as many again, that either side ranks first without regard to length.

        Args:
            new: ``(q, d_new)`` unit rows: the queries in the new space.
            old: ``(q, d_old)`` unit rows: the same queries, mapped.
            k: neighbours wanted, at least 1.
            keep: ``(count,)`` flags; only rows whose flag is set are found.
            nprobe, shortlist, exact: for the old side, as `Generation.search`; the new rows are all compared.
            dim: rank by this prefix width first; not with ``exact``.
            words: the queries are words, whose scores have a scale of their own.
        Raises:
            ShapeError: widths or numbers differ.
            OptionError: ``dim`` is no prefix of both sides, or narrows what is to be ``exact``.
        """
        if len(new) != len(old) or new.ndim != 2 or new.shape[1] != self.space.dim:
            raise ShapeError(f"queries: expected (q, {self.space.dim}) beside {old.shape}, got {new.shape}")
        dim = optional_integer(dim, "truncate_dim", least=None)
        if dim is not None and dim not in self.prefixes:
            known = ", ".join(map(str, self.prefixes)) or "none"
            raise OptionError(
                f"{dim} is no prefix width while old and new rows are mixed (valid: {known}); "
                "finish with `backfill`"
            )
        if exact:
            require_whole(dim, width=self.space.dim)
        aside = self._old if keep is None or self._old is None else keep & self._old
        k = places(k, queries=len(new), rows=self._generation.count)
        if self._background is not None and not words:
            return self._about_means(
                self._background,
                new,
                old,
                k=k,
                keep=keep,
                aside=aside,
                nprobe=nprobe,
                shortlist=shortlist,
                exact=exact,
                dim=dim,
            )
        found = self._generation.search(
            old,
            k=k,
            keep=keep if self._old is None else aside,
            nprobe=nprobe,
            shortlist=shortlist,
            exact=exact,
            dim=None if dim == old.shape[1] else dim,
        )
        found = rescored(found, old, self._generation.rows)
        calibration = self._calibrations.get("text" if words else "image", self._calibrations["image"])
        scores = clipped(calibration.apply(found.scores))  # (q, k)
        if not self._any:
            return Blend(
                ids=found.ids,
                scores=scores,
                cosines=found.scores,
                renewed=np.zeros(found.ids.shape, dtype=np.bool_),
            )
        fresh_ids, fresh = self._fresh(new, k=k, keep=keep, dim=dim)
        ids = np.hstack((found.ids, fresh_ids))  # (q, 2k)
        both = np.hstack((scores, fresh))
        merged = best(ids, both, k=k)
        cosines = np.hstack((found.scores, fresh))  # (q, 2k)
        picked = np.take_along_axis(cosines, ranking(ids, both, k=k), axis=1)
        return Blend(
            ids=merged.ids,
            scores=merged.scores,
            cosines=np.where(merged.ids < 0, -np.inf, picked).astype(np.float32),
            renewed=(merged.ids >= 0) & (self.rows_of[merged.ids] >= 0),
        )

    def _about_means(
        self,
        background: Background,
        new: Vectors,
        old: Vectors,
        *,
        k: int,
        keep: Bitmap | None,
        aside: Bitmap | None,
        shortlist: int | None,
        dim: int | None,
        **options: Any,
    ) -> Blend:
        """Search both sides by what queries score about the means, on one scale; arguments as of `search`."""
        asked_old = background.old.asked(old, moved=True)
        asked_new = background.new.asked(new, moved=True)
        wide = max(k, min(max(_WIDER * k, _LEAST), self._generation.count))
        # Rows near the mean come first by plain cosines, others by those about the mean: so both are asked for.
        seen = _either(
            self._generation.search(
                np.concatenate((asked_old, old)),
                k=wide if shortlist is None else min(wide, max(shortlist, k)),
                keep=keep if self._old is None else aside,
                shortlist=shortlist,
                dim=None if dim == old.shape[1] else dim,
                **options,
            ).ids
        )
        centred, plain = background.old.found(asked_old, old, self._generation.rows, seen)
        ids, scores = seen, background.on_new_scale(centred, asked_old, asked_new)
        cosines = plain  # (q, wide)
        if self._any:
            fresh = _either(self._fresh(np.concatenate((asked_new, new)), k=wide, keep=keep, dim=dim)[0])
            staged = np.where(fresh < 0, -1, self.rows_of[fresh])
            centred, plain = background.new.found(asked_new, new, self.rows, staged)
            ids, scores = np.hstack((ids, fresh)), np.hstack((scores, centred))
            cosines = np.hstack((cosines, plain))
        merged = best(ids, scores, k=k)
        picked = np.take_along_axis(cosines, ranking(ids, scores, k=k), axis=1)
        if picked.shape[1] < k:
            picked = np.pad(picked, ((0, 0), (0, k - picked.shape[1])), constant_values=-np.inf)
        return Blend(
            ids=merged.ids,
            scores=merged.scores,
            cosines=np.where(merged.ids < 0, -np.inf, picked).astype(np.float32),
            renewed=(merged.ids >= 0) & (self.rows_of[merged.ids] >= 0),
        )

    def _fresh(
        self, new: Vectors, *, k: int, keep: Bitmap | None, dim: int | None
    ) -> tuple[Ids, NDArray[np.float32]]:
        """Search the new rows; return ids of the collection and cosines ``(q, k)``."""
        flags = self._ids >= 0  # (m,)
        if keep is not None:
            flags &= keep[self._ids]  # -1 reads the last flag, and is masked already
        queries = np.ascontiguousarray(new, dtype=np.float32)
        if dim is None or dim == self.space.dim:
            found = flat.exact(self.rows, queries, k=k, keep=flags)
        else:
            found = self._narrow.search(queries, dim=dim, shortlist=unmeasured(k), k=k, keep=flags)
        found = rescored(found, queries, self.rows)
        return np.where(found.ids < 0, -1, self._ids[found.ids]), found.scores


def _either(ids: Ids) -> Ids:
    """Return what either of two searches found, ``(q, 2k)`` of ``(2q, k)``, padded with -1; each row once."""
    one, other = ids[: len(ids) // 2], ids[len(ids) // 2 :].copy()
    for first, second in zip(one, other, strict=True):
        second[np.isin(second, first)] = -1
    return np.hstack((one, other))
