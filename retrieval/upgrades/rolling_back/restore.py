"""Restore the old space's rows for a rollback: kept ones, or encoded again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation import Carried, derive
from indexes.files import remove_tree
from indexes.generation import check_file, generation_path
from indexes.migration import ADDED_IDS, SERVED, Staging, assemble, extend, read_added
from indexes.store import RERANK, CommitPace, RerankRows, VectorStore
from retrieval.collection import ROLLBACK_ROWS, next_store
from retrieval.collection.rows import derived_files
from retrieval.errors import OptionError
from retrieval.progress import Progress
from retrieval.sources.media import same_content
from retrieval.upgrades import count_by_hand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from indexes.generation import Manifest
    from indexes.store import Record, WriterLock
    from indexes.vectors import Bitmap, Ids
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress
    from retrieval.sources import Source

_BLOCK = 4096


class Restored:
    """The rows of the old space on the way back to it; the caller holds the writer's lock.

    Attributes:
        encoded: images added since that the old encoder has encoded now.
        pending: images added since that have no row: they are left out.
    """

    encoded: int
    pending: int

    def __init__(
        self,
        directory: Path,
        lock: WriterLock,
        manifest: Manifest,
        before: Manifest,
        entry: Mapping[str, Any],
        present: VectorStore,
        old: VectorStore,
        progress: OnProgress | None,
    ) -> None:
        self._directory, self._lock, self._manifest, self._before = directory, lock, manifest, before
        self._entry, self._present, self._old, self._progress = entry, present, old, progress
        self._place = directory / ROLLBACK_ROWS / before.space.fingerprint[:16]
        # While the change goes on, the old store still grows: what it holds was stored by the old encoder or listed here.
        self._count = old.count if manifest.migrating else before.count
        self._added = self._added_ids()
        self._table: Ids = np.full(present.count, -1, dtype=np.int64)
        self.encoded = self.pending = 0

    def _added_ids(self) -> Ids:
        if not self._manifest.migrating:
            if (
                ADDED_IDS not in self._before.files
            ):  # the old encoder answered to the end, and encoded every row
                return np.empty(0, dtype=np.int64)
            check_file(self._directory, self._before, ADDED_IDS)
            return read_added(generation_path(self._directory, self._before.generation))
        with Staging.open(
            self._directory / str(self._entry["staging"]),
            dim=int(self._entry["new_space"]["dim"]),
            lock=self._lock,
        ) as staging:
            staging.drop_from(self._present.count)
            return staging.tables(self._present.count)[1]

    def missing(self) -> Ids:
        """Return the live ids that have no row of the old space."""
        alive = ~self._present.tombstones()
        without = np.zeros(self._present.count, dtype=np.bool_)
        without[self._count :] = True
        without[self._added] = True
        return np.flatnonzero(alive & without)

    def encode(self, missing: Ids, encoder: Encoder, source: Source) -> None:
        """Encode images with the old encoder into a staging store of their own; what is there already is kept.

        Raises:
            OptionError: not all of them can be had from ``source``; those that can are kept.
        """
        from retrieval.embedding import embed

        with self._staging() as staging:
            rest = [record for record in self._present.records(missing) if not staging.holds(record)]
            pace, done = CommitPace(staging.store), len(missing) - len(rest)
            rows: dict[bytes, Any] = {}
            try:
                for batch in embed(rest, encoder, open_image=source.read):
                    rows.update(zip(batch.contents, batch.vectors, strict=True))
                    encoded = [*zip(batch.items, batch.contents, strict=True), *batch.reused]
                    for record, content in encoded:
                        same = same_content(record.key, record.content, content)
                        if same is not None:
                            staging.append([record.id], rows[content][np.newaxis], [same], state=SERVED)
                            self.encoded += 1
                    done += len(encoded) + len(batch.failed)
                    if self._progress is not None:
                        self._progress(Progress(phase="rollback", done=done, total=len(missing)))
                    pace.commit_if_due()
            finally:
                staging.commit()  # an interrupt keeps what it had
        by_hand = count_by_hand(rest, self._manifest)
        if left := len(rest) - self.encoded:  # their new rows are about to go: not without being told
            added = (
                f"; {by_hand:,} of them were added by hand, and leaving these out deletes them"
                if by_hand
                else ""
            )
            raise OptionError(
                f"{left:,} of the {len(missing):,} images added since the upgrade began cannot be read below {source.name}, or have "
                "changed; mount its drive, update the index with `build_index`, or leave them out "
                f"for now with `without_new=True`{added}"
            )

    def _staging(self) -> Staging:
        return Staging.open(self._place, dim=self._before.space.dim, lock=self._lock)

    def publish(self, missing: Ids) -> Manifest:
        """Publish a generation of the old space: of the old store if that can be brought up to date, else of a copy.

        Nothing that the published manifest answers from is changed. Before the switch the old store of a finished upgrade is
        in nobody's use, so rows may be appended to it and tombstones set: a killed rollback leaves it further along, and the
        next one goes on from there. But rows are only ever added to a store. An image that came in while the upgrade was
        under way has a row in the old store that is no more than a guess; to replace it under the same id takes a copy.
        """
        entry = {
            key: value
            for key, value in self._entry.items()
            if key not in ("previous", "staging", "calibrations")
        } | {"state": "rolled back"}
        carried = Carried(
            upgrades=(*self._manifest.upgrades[:-1], entry),
            basis=self._before,
        )
        self._lock.check()
        if self._manifest.migrating and not len(missing):  # the present store says all there is to say
            return self._derive(self._old, carried)
        fresh = self._fresh(missing)
        dead: Bitmap = self._present.tombstones()
        left = missing[self._table[missing] < 0]
        dead[left] = True
        self.pending = len(left)
        moved = self._moved(missing, dead)
        with self._copied(fresh, dead) if moved is None else self._grown(fresh, dead, moved) as store:
            return self._derive(store, carried)

    def _fresh(self, missing: Ids) -> Any:
        """Return the rows that were encoded again ``(r, d)`` float16, and note in the table whose they are."""
        if not len(missing):
            remove_tree(self._place)
            return np.empty((0, self._before.space.dim), dtype=np.float16)
        with self._staging() as staging:
            self._table = staging.rows_of(self._present.count)
            count = staging.store.count
        return RerankRows.open(self._place / RERANK, dim=self._before.space.dim, count=count).rows

    def _copied(self, fresh: Any, dead: Bitmap) -> VectorStore:
        """Make a store of its own for the old space."""
        return assemble(
            next_store(self._directory, self._manifest),
            source=self._present,
            rows=self._gather(fresh),
            dead=dead,
            dim=self._before.space.dim,
            lock=self._lock,
        )

    def _moved(self, missing: Ids, dead: Bitmap) -> list[Record] | None:
        """Return the records that have another key or stamp by now, None if the old store cannot be brought up to date."""
        deleted = self._old.tombstones()  # (count,)
        if self._manifest.migrating or len(np.intersect1d(missing, self._added)):
            return None
        if (deleted & ~dead[: len(deleted)]).any():  # a killed rollback left out what is there now
            return None
        kept = np.flatnonzero(~deleted & ~dead[: len(deleted)])
        moved = []
        for start in range(0, len(kept), _BLOCK):
            ids = kept[start : start + _BLOCK]
            for was, now in zip(self._old.records(ids), self._present.records(ids), strict=True):
                if was.content != now.content:
                    return None
                if (was.key, was.stamp) != (now.key, now.stamp):
                    holder = self._old.find(now.key)
                    if holder is not None and holder != now.id and not dead[holder]:
                        return None  # names went round; one at a time they would push each other out
                    moved.append(now)
        return moved

    def _grown(self, fresh: Any, dead: Bitmap, moved: list[Record]) -> VectorStore:
        """Bring the old store up to date: tombstones, names, and the rows that came after it."""
        store = VectorStore.open(self._old.directory, dim=self._old.dim, writable=True, lock=self._lock)
        try:
            store.remove(np.flatnonzero(~store.tombstones() & dead[: store.count]))
            for record in moved:
                store.rename(record.id, record.key, record.stamp)
            store.commit()
            self._recolumn(store)
            extend(store, source=self._present, rows=self._gather(fresh), dead=dead)
        except BaseException:
            store.close()
            raise
        return store

    def _recolumn(self, store: VectorStore) -> None:
        """Give the live rows of the old store the columns that they have by now."""
        live = np.flatnonzero(~store.tombstones())
        for start in range(0, len(live), _BLOCK):
            ids = live[start : start + _BLOCK]
            for number, was, now in zip(
                ids.tolist(), store.columns(ids), self._present.columns(ids), strict=True
            ):
                if was != now:
                    store.set_columns(number, now)
            store.commit()

    def _gather(self, fresh: Any) -> Callable[[Ids], Any]:
        kept = RerankRows.open(self._old.directory / RERANK, dim=self._old.dim, count=self._old.count).rows

        def rows(ids: Ids) -> Any:
            result = np.empty((len(ids), self._before.space.dim), dtype=np.float16)
            again = self._table[ids] >= 0
            result[again] = fresh[self._table[ids[again]]]
            result[~again] = kept[ids[~again]]
            return result

        return rows

    def _derive(self, store: VectorStore, carried: Carried) -> Manifest:
        return derive(
            self._directory,
            store,
            space=self._before.space,
            encoder=self._before.encoder,
            root=self._manifest.root,
            previous=self._manifest,
            carried=carried,
            derived=derived_files(),
        )
