"""Search a gallery during an upgrade: old and new rows ranked together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import OptionError, ShapeError
from indexes.generation import check_file, generation_path
from indexes.migration.background import Background
from indexes.migration.blend import Blend
from indexes.migration.calibration import Calibration
from indexes.migration.pair_scores import PairScores
from indexes.migration.sides import NewSide, OldSide
from indexes.migration.staging import ADDED_IDS, ROWS_OF, read_added, read_rows_of
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

_COMPARED = 8
"""Rows that are compared for each neighbour wanted, of those that both sides' codes propose: with 80 of 200 recall@10 was the same."""

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
        added: Ids | None = None,
    ) -> None:
        """Take over what `open` opened.

        ``staging`` is where an index of the new rows may lie; ``added`` are ids of images that the old encoder has not seen.
        """
        self._generation = generation
        self._pair = None if background is None else PairScores(background)
        self._by_both = self._pair is not None and self._pair.by_both
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
        # Old rows of images that were added are what the map expects: the new side scores these alone.
        self._by_new: Bitmap | None = None
        if self._by_both and added is not None and len(added):
            self._by_new = np.zeros(generation.count, dtype=np.bool_)
            self._by_new[added] = True
        # Rows that both sides score are found by either.
        self._old_of_images = OldSide(generation, np.zeros_like(renewed)) if self._by_both else self._old
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
        folder = generation_path(home, manifest.generation)
        table = read_rows_of(folder, count=manifest.count)
        added = None
        if background is not None and background.old_weight and ADDED_IDS in manifest.files:
            check_file(home, manifest, ADDED_IDS)
            added = read_added(folder)
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
            added=added,
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
        They are taken from the rows that an index of either side proposes by plain cosines (`Asked.plain`), or from twice as many
        rows that it ranks first by them.

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
        if self._pair is not None and not words:
            return self._about_means(self._pair, new, old, k=k, dim=dim, **options)
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
        self, pair: PairScores, new: Vectors, old: Vectors, *, k: int, dim: int | None, **options: Any
    ) -> Blend:
        """Search both sides by what queries score about the means, on one scale; arguments as of `search`."""
        asked = [pair.ask(by_old, by_new) for by_old, by_new in zip(old, new, strict=True)]
        if not asked:
            return _nothing(0, k)
        if len(asked) == 1:
            plain_old, plain_new = asked[0][0].plain, asked[0][1].plain
        else:
            plain_old, plain_new = (np.concatenate([one[side].plain for one in asked]) for side in (0, 1))
        seen, fresh = self._to_compare(plain_old, plain_new, k=k, dim=dim, **options)
        blend = None
        for place, one in enumerate(asked):
            ids, by_old = _found(seen, place)
            first, rows = len(ids), None
            if fresh is not None:
                places, by_new = _found(fresh, place)
                wanted = max(_COMPARED * k, 4 * max(len(ids), len(places)) // 5)
                if not self._by_both and len(ids) + len(places) > wanted:
                    best = _most_promising(pair.estimates(*one, by_old, by_new), first, wanted, least=2 * k)
                    ids, places = ids[best[best < first]], places[best[best >= first] - first]
                    first = len(ids)
                if self._by_both:
                    own = self.rows_of.take(ids)
                    places = np.union1d(places, own[own >= 0])
                    ids = ids[own < 0]
                    first = len(ids)
                rows = self.rows.take(places, axis=0)
                ids = np.concatenate((ids, self._ids.take(places)))
            old_rows = self._generation.rows.take(ids if self._by_both else ids[:first], axis=0)
            alone = None if self._by_new is None else self._by_new.take(ids[first:])
            scores, cosines = pair.scores(*one, old_rows, rows, by_new=alone)
            order = np.lexsort((ids, -scores))[:k]
            renewed = order >= first
            # Making places and filling them would cost one query a tenth.
            if len(asked) == 1 and len(order) == k:
                return Blend(
                    ids=ids[order][np.newaxis],
                    scores=scores[order][np.newaxis],
                    cosines=cosines[order][np.newaxis],
                    renewed=renewed[np.newaxis],
                )
            blend = blend or _nothing(len(asked), k)
            there = place, slice(0, len(order))
            blend.ids[there], blend.scores[there] = ids[order], scores[order]
            blend.cosines[there], blend.renewed[there] = cosines[order], renewed
        return blend or _nothing(0, k)

    def _to_compare(
        self,
        old: Vectors,
        new: Vectors,
        *,
        k: int,
        dim: int | None,
        shortlist: int | None,
        keep: Bitmap | None,
        nprobe: int | None,
        exact: bool,
    ) -> tuple[Neighbors, Neighbors | None]:
        """Return rows of both sides to compare with each query, by what one side is searched with; arguments as of `search`.

        Returns:
            ids of old rows ``(q, s)``, and places of new rows ``(q, t)``, None where there are none; padded with -1 at the end; best
            first by their scores, which are cosines or estimates of them.
        """
        near = max(k, TUNED_K)
        wide = max(k, min(_WIDER * near, self._generation.count))
        # Of the nearest of all, the new side's index has to find but those that lie here.
        depth = ceil(near * self._share)
        if keep is None and nprobe is None and shortlist is None and dim is None and not exact:
            seen = self._old_of_images.candidates(old, k=wide, depth=near)
            fresh = self._new.candidates(new, k=wide, depth=depth) if self._any else None
            if not _are_few(seen.ids, None if fresh is None or self._by_both else fresh.ids, k=k):
                return seen, fresh
        if shortlist is not None:
            wide = min(wide, max(shortlist, k))
        options: dict[str, Any] = {"k": wide, "keep": keep, "nprobe": nprobe, "shortlist": shortlist}
        width = None if dim == old.shape[1] else dim
        seen = self._old_of_images.search(old, dim=width, depth=near, exact=exact, **options)
        if not self._any:
            return seen, None
        fresh = self._new.search(new, dim=dim, depth=depth, exact=exact, **options)
        places = np.where(fresh.ids < 0, -1, self.rows_of[fresh.ids])
        return seen, Neighbors(ids=places, scores=fresh.scores)

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


def _found(seen: Neighbors, place: int) -> tuple[Ids, NDArray[np.float32]]:
    """Return what one query has found, without padding, which stands last."""
    ids, scores = seen.ids[place], seen.scores[place]
    if ids[-1] < 0:
        there = ids >= 0
        ids, scores = ids[there], scores[there]
    return ids, scores


def _most_promising(estimates: NDArray[np.float32], first: int, count: int, *, least: int) -> Ids:
    """Return which of a query's rows to compare, ``count`` of them: the ``first`` are old ones, then come new ones, both best first.

    The ``least`` first of each side are among them, as what one side's codes estimate may lie lower altogether.
    """
    estimates[:least] = estimates[first : first + least] = np.inf
    return np.argpartition(estimates, -count)[-count:]


def _are_few(seen: Ids, fresh: Ids | None, *, k: int) -> bool:
    """Say whether some query has fewer than ``k`` rows to compare: there may be more of them."""
    full = fresh is not None and len(seen) == 1 and seen[0, -1] >= 0 and fresh[0, -1] >= 0
    if full and seen.shape[1] >= k:  # as nearly every query, without another look
        return False
    found = (seen >= 0).sum(axis=1)
    if fresh is not None:
        found += (fresh >= 0).sum(axis=1)
    return bool((found < k).any())


def _nothing(queries: int, k: int) -> Blend:
    """Return places that nobody has taken yet, to be written to."""
    return Blend(
        ids=np.full((queries, k), -1, dtype=np.int64),
        scores=np.full((queries, k), -np.inf, dtype=np.float32),
        cosines=np.full((queries, k), -np.inf, dtype=np.float32),
        renewed=np.zeros((queries, k), dtype=np.bool_),
    )
