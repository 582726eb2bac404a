"""Search a gallery during an upgrade: old and new rows ranked together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import OptionError, ShapeError
from indexes.generation import check_file, generation_path
from indexes.migration.background import Asked, Background
from indexes.migration.blend import Blend
from indexes.migration.calibration import Calibration
from indexes.migration.sides import NewSide, OldSide
from indexes.migration.staging import ROWS_OF, read_rows_of
from indexes.search import TUNED_K, Generation, require_whole
from indexes.store import RERANK, RerankRows
from indexes.vectors import (
    Bitmap,
    Halves,
    Ids,
    Neighbors,
    Space,
    Vectors,
    clipped,
    optional_integer,
    places,
    ranking,
    rescored,
)

_LEAST_SHARE = 0.5
"""Of the rows that the new side is taken to have at least, when its lists are chosen: what is asked for may lie there alone."""

_WIDER = 2
"""Rows that each side is asked for, for each neighbour wanted: they hold 0.997 of the ten nearest about the mean, or more."""


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
        staging: Path | None = None,
    ) -> None:
        """Take over what `open` opened; ``staging`` is where an index of the new rows may lie."""
        self._generation, self._background = generation, background
        self._calibrations = calibrations
        self.rows, self.rows_of, self.space, self.prefixes = rows, rows_of, space, prefixes
        live = generation.live
        renewed = rows_of >= 0 if live is None else (rows_of >= 0) & live  # (count,)
        self._ids = ids = np.full(len(rows), -1, dtype=np.int64)  # (m,) the id that each new row answers for
        ids[rows_of[renewed]] = np.flatnonzero(renewed)
        self._any = bool(renewed.any())
        alive = generation.count if live is None else int(np.count_nonzero(live))
        self._share = max(_LEAST_SHARE, np.count_nonzero(renewed) / max(alive, 1))
        self._old = OldSide(generation, rows_of >= 0)
        self._new = (
            NewSide(rows, ids, space=space)
            if staging is None
            else NewSide.open(staging, rows, ids, space=space)
        )

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
            staging=home / staging,
        )

    def close(self) -> None:
        """Release the files that it opened; the old generation is its owner's."""
        self._old.close()
        self._new.close()

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
        They are taken from twice as many rows, that either side ranks first by plain cosines (`Side.plain`).

        Args:
            new: ``(q, d_new)`` unit rows: the queries in the new space.
            old: ``(q, d_old)`` unit rows: the same queries, mapped.
            k: neighbours wanted, at least 1.
            keep: ``(count,)`` flags; only rows whose flag is set are found.
            nprobe, shortlist, exact: as `Generation.search`; new rows without an index are all compared.
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
        k = places(k, queries=len(old), rows=self._generation.count)
        options: dict[str, Any] = {"keep": keep, "nprobe": nprobe, "shortlist": shortlist, "exact": exact}
        if self._background is not None and not words:
            return self._about_means(self._background, new, old, k=k, dim=dim, **options)
        found = self._old.search(old, k=k, dim=None if dim == old.shape[1] else dim, **options)
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
        fresh = self._new.search(new, k=k, dim=dim, **options)
        staged = Neighbors(ids=np.where(fresh.ids < 0, -1, self.rows_of[fresh.ids]), scores=fresh.scores)
        fresh = rescored(staged, new, self.rows)
        ids = np.hstack((found.ids, np.where(fresh.ids < 0, -1, self._ids[fresh.ids])))  # (q, 2k)
        both = np.hstack((scores, fresh.scores))
        return self._ordered(ids, both, np.hstack((found.scores, fresh.scores)), k=k)

    def _about_means(
        self,
        background: Background,
        new: Vectors,
        old: Vectors,
        *,
        k: int,
        dim: int | None,
        shortlist: int | None,
        **options: Any,
    ) -> Blend:
        """Search both sides by what queries score about the means, on one scale; arguments as of `search`."""
        asked = [
            (background.old.ask(by_old), background.new.ask(by_new))
            for by_old, by_new in zip(old, new, strict=True)
        ]
        near = max(k, TUNED_K)
        wide = max(k, min(_WIDER * near, self._generation.count))
        if shortlist is not None:
            wide = min(wide, max(shortlist, k))
        options |= {"k": wide, "shortlist": shortlist}
        by_old, by_new = zip(*asked, strict=True) if asked else ((), ())
        width = None if dim == old.shape[1] else dim
        seen = self._old.search(_plain(by_old, like=old), dim=width, depth=near, **options).ids
        fresh = None
        if self._any:
            # Of the nearest of all, this side's index has to find but those that lie here.
            depth = ceil(near * self._share)
            fresh = self._new.search(_plain(by_new, like=new), dim=dim, depth=depth, **options).ids
        blend = None if len(asked) == 1 else _nothing(len(asked), k)
        for place, (one, other) in enumerate(asked):
            ids = _found(seen[place])
            centred, cosines = background.old.compared(one, self._generation.rows.take(ids, axis=0))
            scores = background.on_new_scale(centred, (one.mean, one.spread), (other.mean, other.spread))
            old_rows = len(ids)
            if fresh is not None:
                more = _found(fresh[place])
                centred, plain = background.new.compared(other, self.rows.take(self.rows_of[more], axis=0))
                ids, scores = np.concatenate((ids, more)), np.concatenate((scores, centred))
                cosines = np.concatenate((cosines, plain))
            order = np.lexsort((ids, -scores))[:k]
            if (
                blend is None and len(order) == k
            ):  # making places and filling them would cost one query a tenth
                return Blend(
                    ids=ids[np.newaxis, order],
                    scores=scores[np.newaxis, order],
                    cosines=cosines[np.newaxis, order],
                    renewed=order[np.newaxis] >= old_rows,
                )
            blend = blend or _nothing(len(asked), k)
            there = place, slice(0, len(order))
            blend.ids[there], blend.scores[there] = ids[order], scores[order]
            blend.cosines[there], blend.renewed[there] = cosines[order], order >= old_rows
        return blend or _nothing(0, k)

    def _ordered(
        self, ids: Ids, scores: NDArray[np.float32], cosines: NDArray[np.float32], *, k: int
    ) -> Blend:
        """Keep the ``k`` best of candidates by their scores ``(q, c)``; ties by smaller id."""
        picked = np.arange(len(ids))[:, np.newaxis], ranking(ids, scores, k=k)  # (q, min(k, c))
        ids, scores, cosines = ids[picked], scores[picked], cosines[picked]
        missing = k - ids.shape[1]
        if missing > 0:
            ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)
            scores, cosines = (
                np.pad(part, ((0, 0), (0, missing)), constant_values=-np.inf) for part in (scores, cosines)
            )
        none = ids < 0
        if none.any():
            scores, cosines = np.where(none, -np.inf, scores), np.where(none, -np.inf, cosines)
        return Blend(ids=ids, scores=scores, cosines=cosines, renewed=~none & (self.rows_of[ids] >= 0))


def _found(ids: Ids) -> Ids:
    """Return the ids of one query without padding, which stands last."""
    return ids if ids[-1] >= 0 else ids[ids >= 0]


def _plain(asked: Sequence[Asked], *, like: Vectors) -> Vectors:
    """Return what one side is searched with, ``(q, d)``."""
    if len(asked) == 1:
        return asked[0].plain[np.newaxis]
    return np.array([one.plain for one in asked], dtype=np.float32).reshape(like.shape)


def _nothing(queries: int, k: int) -> Blend:
    """Return places that nobody has taken yet, to be written to."""
    return Blend(
        ids=np.full((queries, k), -1, dtype=np.int64),
        scores=np.full((queries, k), -np.inf, dtype=np.float32),
        cosines=np.full((queries, k), -np.inf, dtype=np.float32),
        renewed=np.zeros((queries, k), dtype=np.bool_),
    )
