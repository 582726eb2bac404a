"""Back to the old encoder, or for good to the new one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derive import Carried, derive, publish_tail
from indexes.description import Manifest
from indexes.lock import WriterLock
from indexes.manifest import MANIFEST, generation_path, read_manifest, store_path
from indexes.rerank import RERANK, RerankRows
from indexes.staging import SERVED, Staging, assemble, read_added
from indexes.store import VectorStore
from retrieval.encoders import load_encoder
from retrieval.errors import OptionError, RetrievalError
from retrieval.location import find_collection, resolve_root
from retrieval.migration import require_settled
from retrieval.report import Progress
from retrieval.stores import RETURNING, next_store, remove_staging, sweep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexes.arrays import Bitmap, Ids
    from indexes.store import Record
    from retrieval.encoders import Encoder
    from retrieval.report import OnProgress

__all__ = ["RollbackReport", "drop_old", "rollback"]

COMMIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackReport:
    """What ``retrieve rollback --json`` prints.

    Attributes:
        encoder: the one that answers from now on.
        given_up: the one that does no longer.
        images: rows that answer.
        encoded: images added since the upgrade began that the old encoder has encoded now.
        pending: images added since that have no row now; the next build encodes them.
    """

    encoder: str
    given_up: str
    images: int
    encoded: int
    pending: int

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return asdict(self)


def rollback(
    path: str | os.PathLike[str] | None = None,
    *,
    without_new: bool = False,
    encoder: Encoder | None = None,
    device: str = "auto",
    root: str | os.PathLike[str] | None = None,
    progress: OnProgress | None = None,
) -> RollbackReport:
    """Return to the encoder before the upgrade, finished or not, with the same ids.

    Images that were added since are encoded by the old encoder first; interrupted, the same call continues.

    Args:
        path: the collection, as in `retrieval.open`.
        without_new: do not encode them; the next build does.
        encoder: stands in for the recorded old one; of its space.
        device: where it runs.
        root: where the images lie, if not where the collection recorded them.
        progress: called with a `Progress` now and then.
    Raises:
        OptionError: there is nothing to return to, or images were added and the old encoder cannot be loaded.
        StoreLocked: somebody else writes to the collection.
    """
    directory = find_collection(path)
    with WriterLock(directory) as lock:
        manifest = read_manifest(directory)
        sweep(directory, manifest)
        before, entry = _before(directory, manifest)
        if encoder is not None:
            before.space.require(encoder.space, what=f"the encoder {encoder.space.name}")
        images = Path(os.path.abspath(root)) if root is not None else resolve_root(directory, manifest.root)
        with (
            VectorStore.open(store_path(directory, manifest), dim=manifest.space.dim) as present,
            VectorStore.open(store_path(directory, before), dim=before.space.dim) as old,
        ):
            back = _Back(directory, lock, manifest, before, entry, present, old, progress)
            missing = back.missing()
            if len(missing) and not without_new:
                back.encode(missing, _old_encoder(encoder, before, len(missing), device=device), images)
            published = back.publish(missing)
        remove_staging(directory)
        shutil.rmtree(directory / RETURNING, ignore_errors=True)
        sweep(directory, published)
    return RollbackReport(
        encoder=before.encoder or before.space.name,
        given_up=str(entry["new"]),
        images=published.live,
        encoded=back.encoded,
        pending=back.pending,
    )


def _before(directory: Path, manifest: Manifest) -> tuple[Manifest, Mapping[str, Any]]:
    """Return the manifest to go back to, and the upgrade to undo."""
    entry = manifest.upgrades[-1] if manifest.upgrades else {}
    if manifest.migrating:
        return manifest, entry
    if not entry.get("previous"):
        gone = " (the old vectors were dropped)" if entry.get("state") == "complete" else ""
        raise OptionError(f"{directory}: there is no upgrade to undo{gone}")
    return Manifest.from_json(entry["previous"], path=directory / MANIFEST), entry


def _old_encoder(encoder: Encoder | None, before: Manifest, missing: int, *, device: str) -> Encoder:
    """Return the old encoder.

    Raises:
        OptionError: it cannot be had; the message says how many images wait for it.
    """
    if encoder is not None:
        return encoder
    name = before.encoder or before.space.name
    reason = "it is not recorded how to load it"
    if before.encoder is not None:
        try:
            loaded = load_encoder(before.encoder, device=device)
            before.space.require(loaded.space, what=f"the encoder {before.encoder}")
        except RetrievalError as error:
            reason = str(error)
        else:
            return loaded
    raise OptionError(
        f"{missing:,} images were added since the upgrade began and {name} must encode them first, but it cannot be "
        f"loaded ({reason}); install it, or leave those images out for now with --without-new"
    )


class _Back:
    """One way back; it holds the writer's lock."""

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
        self._place = directory / RETURNING / before.space.fingerprint[:16]
        # While the change goes on, the old store still grows: what it holds was stored by the old encoder or listed here.
        self._count = old.count if manifest.migrating else before.count
        self._added = self._added_ids()
        self._table: Ids = np.full(present.count, -1, dtype=np.int64)
        self.encoded = self.pending = 0

    def _added_ids(self) -> Ids:
        if not self._manifest.migrating:
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

    def encode(self, missing: Ids, encoder: Encoder, root: Path) -> None:
        """Encode images with the old encoder into a staging store of their own; what is there already is kept."""
        from retrieval.embed import embed
        from retrieval.images import read_file

        def read(record: Record) -> bytes:
            return read_file(os.fsdecode(os.path.join(os.fsencode(root), record.key)))

        with self._staging() as staging:
            rest = [record for record in self._present.records(missing) if not _has(staging, record)]
            committed, done = time.monotonic(), len(missing) - len(rest)
            rows: dict[bytes, Any] = {}
            try:
                for batch in embed(rest, encoder, open_image=read):
                    rows.update(zip(batch.contents, batch.vectors, strict=True))
                    encoded = [*zip(batch.items, batch.contents, strict=True), *batch.reused]
                    for record, content in encoded:
                        if not record.content or content == record.content:
                            staging.append([record.id], rows[content][np.newaxis], [content], state=SERVED)
                            self.encoded += 1
                    done += len(encoded) + len(batch.failed)
                    if self._progress is not None:
                        self._progress(Progress(phase="rollback", done=done, total=len(missing)))
                    if time.monotonic() - committed > COMMIT_SECONDS:
                        staging.commit()
                        committed = time.monotonic()
            finally:
                staging.commit()  # an interrupt keeps what it had

    def _staging(self) -> Staging:
        return Staging.open(self._place, dim=self._before.space.dim, lock=self._lock)

    def publish(self, missing: Ids) -> Manifest:
        """Publish a generation of the old space: the old store if it says all there is to say, else one made of it."""
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
        if not len(missing) and self._same():
            return self._derive(self._old, carried)
        if not len(missing) and self._place.exists():
            shutil.rmtree(self._place, ignore_errors=True)
        with self._staging() as staging:
            self._table = staging.rows_of(self._present.count)
            fresh = RerankRows.open(
                self._place / RERANK, dim=self._before.space.dim, count=staging.store.count
            ).rows
            dead: Bitmap = self._present.tombstones()
            left = missing[self._table[missing] < 0]
            dead[left] = True
            self.pending = len(left)
            with assemble(
                next_store(self._directory, self._manifest),
                source=self._present,
                rows=self._gather(fresh),
                dead=dead,
                dim=self._before.space.dim,
                lock=self._lock,
            ) as store:
                return self._derive(store, carried)

    def _gather(self, fresh: Any) -> Callable[[Ids], Any]:
        kept = RerankRows.open(self._old.directory / RERANK, dim=self._old.dim, count=self._old.count).rows

        def rows(ids: Ids) -> Any:
            result = np.empty((len(ids), self._before.space.dim), dtype=np.float16)
            again = self._table[ids] >= 0
            result[again] = fresh[self._table[ids[again]]]
            result[~again] = kept[ids[~again]]
            return result

        return rows

    def _same(self) -> bool:
        """Say whether the old store has the rows, records and tombstones of the present one."""
        if self._manifest.migrating:  # it is the same store
            return True
        if self._old.count != self._present.count:
            return False
        if not np.array_equal(self._old.tombstones(), self._present.tombstones()):
            return False
        return all(a == b for a, b in zip(self._old.scan(), self._present.scan(), strict=True))

    def _derive(self, store: VectorStore, carried: Carried) -> Manifest:
        return derive(
            self._directory,
            store,
            space=self._before.space,
            encoder=self._before.encoder,
            root=self._manifest.root,
            previous=self._manifest,
            carried=carried,
        )


def _has(staging: Staging, record: Record) -> bool:
    staged = staging.find(record.id)
    return staged is not None and (not record.content or staged.content == record.content)


def drop_old(path: str | os.PathLike[str] | None = None) -> Mapping[str, Any]:
    """Give up the vectors that a finished upgrade keeps for a rollback; return what the manifest records of it.

    Raises:
        OptionError: nothing is kept, or the upgrade is not finished.
        StoreLocked: somebody else writes to the collection.
    """
    directory = find_collection(path)
    with WriterLock(directory) as lock:
        manifest = read_manifest(directory)
        require_settled(manifest, what="the old vectors are in use")
        sweep(directory, manifest)
        entry = dict(manifest.upgrades[-1]) if manifest.upgrades else {}
        if not entry.pop("previous", None):
            raise OptionError(f"{directory}: no old vectors are kept")
        with VectorStore.open(
            store_path(directory, manifest), dim=manifest.space.dim, count=manifest.count
        ) as store:
            lock.check()
            published = publish_tail(
                directory,
                store,
                space=manifest.space,
                encoder=manifest.encoder,
                root=manifest.root,
                carried=Carried(upgrades=(*manifest.upgrades[:-1], entry)),
            )
        sweep(directory, published)
    return entry
