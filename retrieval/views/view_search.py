"""Search the views of a collection, and count what they find for the images that they are parts of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from indexes.generation import read_pinned
from indexes.layout import VIEWS
from indexes.search import Generation
from indexes.store import VectorStore
from indexes.vectors import rescored
from retrieval.errors import StoreCorrupt
from retrieval.views.image_table import ImageTable
from retrieval.views.view_rows import box_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from indexes.engine import Candidates
    from indexes.generation import Manifest
    from indexes.vectors import Bitmap, Halves, Ids, Neighbors, Vectors
    from retrieval.views.layout import Box


class OpenViews:
    """The views of one published generation of images, open for searching; safe to share by threads.

    Attributes:
        manifest: of the views.
        per_image: how many an image has at most.
    """

    manifest: Manifest
    per_image: int

    def __init__(
        self, generation: Generation, store: VectorStore, table: ImageTable, *, per_image: int
    ) -> None:
        """Take over what `open_views` opened; call that."""
        self.manifest, self.per_image = generation.manifest, per_image
        self._generation, self._store, self._table = generation, store, table
        self._every: tuple[Bitmap | None] | None = None

    @property
    def generation(self) -> Generation:
        """Their index and rows."""
        return self._generation

    def join(
        self,
        found: Neighbors,
        queries: Vectors,
        *,
        rows: Bitmap,
        is_filtered: bool = False,
        few: bool = False,
        **options: Any,
    ) -> tuple[Ids, NDArray[np.float32], Ids]:
        """Add to the images that were found those whose views are nearer; each image counts by the best of it and its views.

        Args:
            found: ``(q, k)`` images, as `Generation.search` gives them.
            queries: ``(q, d)`` unit rows.
            rows: ``(count,)`` flags of the images that may be found.
            is_filtered: these are not all that are live.
            few: they are few.
            options: the other ones of `Generation.search`.
        Returns:
            ids and cosines ``(q, k)``, best first, padded with -1 and -inf, and ``(q, k)`` the view that answered, -1 for the
            whole image.
        """
        count = self.manifest.count
        ids, scores = found.ids.copy(), found.scores.copy()
        views = np.full(ids.shape, -1, dtype=np.int64)
        kept = self._table.views_of(rows, count) if is_filtered else self._of_all(rows)
        if not ids.size or not count or (kept is not None and not kept.any()):
            return ids, scores, views
        among: dict[str, Any] = {"keep": kept}
        if few and kept is not None:
            among = {"among": np.flatnonzero(kept & self._live())}
        # An image has so many views at most that the best k images are among these.
        wanted = min(ids.shape[1] * self.per_image, count)
        nearest = rescored(
            self._generation.search(queries, k=wanted, **among, **options), queries, self._generation.rows
        )
        for number in range(len(ids)):
            self._join_one(nearest.ids[number], nearest.scores[number], rows, (ids, scores, views), number)
        return ids, scores, views

    def _of_all(self, rows: Bitmap) -> Bitmap | None:
        """Return which views belong to any live row; None where each live view does, as is usual."""
        if self._every is None:
            kept = self._table.views_of(rows, self.manifest.count)
            self._every = (None if (kept >= self._live()).all() else kept,)
        return self._every[0]

    def _live(self) -> Bitmap:
        live = self._generation.live
        return np.ones(self.manifest.count, np.bool_) if live is None else live

    def _join_one(
        self,
        nearest: Ids,
        cosines: NDArray[np.float32],
        rows: Bitmap,
        into: tuple[Ids, NDArray[np.float32], Ids],
        number: int,
    ) -> None:
        """Put the rows of one query's nearest views into its places."""
        ids, scores, views = (whole[number] for whole in into)
        there = nearest >= 0
        nearest, cosines = nearest[there], cosines[there]
        images, best = np.unique(self._table.images[nearest], return_index=True)  # the first is the best
        placed = [
            (row, cosines[place], nearest[place])
            for image, place in zip(images.tolist(), best.tolist(), strict=True)
            for row in self._table.rows_of(image)
            if rows[row]
        ]
        if not placed:
            return
        known = ids >= 0
        all_ids = np.concatenate([ids[known], [row for row, _, _ in placed]]).astype(np.int64)
        all_scores = np.concatenate([scores[known], [score for _, score, _ in placed]]).astype(np.float32)
        all_views = np.concatenate([views[known], [view for _, _, view in placed]]).astype(np.int64)
        order = np.lexsort((all_views >= 0, -all_scores))  # the whole before a view that is as near
        _, once = np.unique(all_ids[order], return_index=True)
        order = order[once]
        order = order[np.lexsort((all_ids[order], -all_scores[order]))][: len(ids)]
        ids[: len(order)], scores[: len(order)] = all_ids[order], all_scores[order]
        views[: len(order)] = all_views[order]

    def boxes(self, views: Ids) -> list[Box]:
        """Return which parts of their pictures some views show: left, top, width and height as shares.

        Raises:
            StoreCorrupt: the store does not say.
        """
        return [box_of(record) for record in self._store.records(views)]

    def close(self) -> None:
        """Release every file."""
        self._generation.close()
        self._store.close()

    @classmethod
    def of(cls, generation: Generation, table: ImageTable, directory: Path, *, per_image: int) -> Self:
        """Open the store beside a generation, which is closed if that fails."""
        manifest = generation.manifest
        try:
            store = VectorStore.open(directory, dim=manifest.space.dim, count=manifest.count)
        except BaseException:
            generation.close()
            raise
        return cls(generation, store, table, per_image=per_image)


def open_views(
    directory: Path,
    manifest: Manifest,
    *,
    device: str,
    exact: Callable[[Halves], Candidates | None] | None,
    before: OpenViews | None = None,
) -> OpenViews | None:
    """Open the newest views for the images of a manifest.

    A view that was stored since belongs to no image of this manifest, and one that was deleted is not found; so views and
    images need not be published in one step.

    Args:
        directory: of the images.
        manifest: of the images.
        device, exact: as `indexes.search.Generation.open` has them.
        before: views that are open; an index file that both have is not opened again.
    Returns:
        the views; None where there are none, or the folder with them was deleted.
    Raises:
        StoreCorrupt: a file is missing or damaged.
    """
    if not manifest.views:
        return None
    table = ImageTable.read(directory, manifest)
    if table is None:
        return None
    home = directory / VIEWS
    try:
        own, pin = read_pinned(home)
        with pin:
            known = None if before is None else before.generation
            generation = Generation.open(home, own, device=device, exact=exact, before=known)
            return OpenViews.of(generation, table, home, per_image=manifest.views)
    except (FileNotFoundError, StoreCorrupt):
        if home.exists():
            raise
        return None  # a build has deleted them since the manifest was read
