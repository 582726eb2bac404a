"""Encode the gallery again with the new encoder, at any pace, and switch when all is done."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.derivation import publish_tail
from indexes.generation import SHARDS, read_manifest, store_path
from indexes.migration import SERVED, Staging
from indexes.store import CommitPace, VectorStore, WriterLock
from retrieval.collection import Migration, remove_staging, sweep, writer
from retrieval.collection.rows import derived_files
from retrieval.display import progress_shown
from retrieval.encoders import expect, load_encoder
from retrieval.errors import OptionError, RetrievalError
from retrieval.location import find_whole
from retrieval.progress import Progress
from retrieval.sources import open_source
from retrieval.sources.media import same_content
from retrieval.upgrades import refuse_rows_without_images
from retrieval.upgrades.backfilling.reencoding import Reencoding
from retrieval.upgrades.backfilling.switch import switch_over

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from indexes.generation import Manifest
    from indexes.store import Record
    from indexes.vectors import Ids, Vectors
    from retrieval.encoders import Encoder, EncoderLike
    from retrieval.progress import OnProgress, ShowProgress
    from retrieval.sources import Source

PUBLISH_SECONDS = 30.0
_BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillReport:
    """What one run of a backfill did.

    Attributes:
        encoded: images encoded again.
        gone: files that are missing or changed; unreadable: files that could not be read. Their rows remain old.
        backfilled, remaining: rows of the new space, and of the old one, after it.
        complete: the collection is wholly in the new space now.
        entry: what the manifest records of the upgrade.
    """

    encoded: int
    gone: int
    unreadable: int
    backfilled: int
    remaining: int
    complete: bool
    entry: dict[str, Any] = field(repr=False)

    def _repr_html_(self) -> str | None:
        """Show the report in a notebook."""
        from retrieval.display import notebook

        facts = {field.name: getattr(self, field.name) for field in fields(self) if field.repr}
        return notebook.shown(lambda: notebook.facts("backfill", facts))


def complete_before(entry: Mapping[str, Any], *, live: int) -> BackfillReport:
    """Report that an upgrade was complete before; of what is recorded of it, and the number of live rows."""
    return BackfillReport(
        encoded=0, gone=0, unreadable=0, backfilled=live, remaining=0, complete=True, entry=dict(entry)
    )


def in_order(todo: Ids) -> Ids:
    """Return ids in the order in which they are encoded again: at random.

    Ten orders were compared on real encoders, by how far a map misses, by density, by hubs and by coverage: none found more.
    """
    return np.random.default_rng(len(todo)).permutation(todo)


def backfill(
    path: str | os.PathLike[str] | None = None,
    *,
    count: int | None = None,
    encoder: EncoderLike | None = None,
    device: str = "auto",
    root: str | os.PathLike[str] | None = None,
    progress: ShowProgress = True,
) -> BackfillReport:
    """Encode images of the gallery again, in random order; searches go on meanwhile.

    Interrupted or killed, it keeps what it had and the next run continues. It does nothing where the last upgrade is complete. When every image is done, a generation wholly
    in the new space is published at once, with the same ids; the old vectors stay for `retrieval.rollback`.

    Args:
        path: the collection, as in `retrieval.open`.
        count: images to encode at most; None for all.
        encoder: stands in for the recorded new one; of its space.
        device: where it runs.
        root: where the images lie, if not where the collection recorded them.
        progress: True shows a bar on a terminal or in a notebook, False nothing; a function is called with each `Progress`.
    Raises:
        OptionError: no upgrade is under way, or rows were added by hand that have no image.
        SpaceMismatch: `encoder`, or the recorded one by now, is of another space.
        StoreLocked: somebody else writes to the collection.
    """
    if count is not None and count < 0:
        raise OptionError(f"a backfill of {count} images cannot be; give a number from 0 up, or all")
    directory = find_whole(path, what="`backfill`")
    options: dict[str, Any] = {"count": count, "encoder": encoder, "device": device, "root": root}
    with progress_shown(progress) as watch:
        if (directory / SHARDS).is_file():
            from retrieval.upgrades.sharded import backfill_shards

            return backfill_shards(directory, **options, progress=watch)
        return backfill_one(directory, **options, progress=watch)


def backfill_one(
    directory: Path,
    *,
    count: int | None,
    encoder: EncoderLike | None,
    device: str,
    root: str | os.PathLike[str] | None,
    progress: OnProgress | None,
    kind: str | None = None,
) -> BackfillReport:
    """Encode images of the collection in a directory again, a shard or a whole; takes and returns what `backfill` does.

    ``kind`` is the index that the new rows get with the last one; None for that of the old rows.
    """
    with writer(directory) as lock:
        manifest = read_manifest(directory)
        migration = Migration.read(directory, manifest) or Reencoding.read(directory, manifest)
        if migration is None:
            last = manifest.upgrades[-1] if manifest.upgrades else {}
            if last.get("state") == "complete":
                return complete_before(last, live=manifest.live)
            raise OptionError(f"{directory}: no upgrade is under way; begin one with `upgrade(encoder=SPEC)`")
        sweep(directory, manifest)
        source = open_source(directory, manifest, root=root)
        with (
            VectorStore.open(store_path(directory, manifest), dim=manifest.space.dim) as store,
            Staging.open(directory / migration.staging, dim=migration.new_space.dim, lock=lock) as staging,
        ):
            given = None if encoder is None else load_encoder(encoder, device=device)
            if isinstance(migration, Reencoding):  # rows may have come by hand since it began
                refuse_rows_without_images(store, manifest, source)
            run = _Run(directory, lock, manifest, migration, store, staging, given, device, source, progress)
            run.go(count)
            complete = run.remaining == 0
            if complete:
                run.complete(kind)
        if complete:
            remove_staging(directory)
    return BackfillReport(
        encoded=run.encoded,
        gone=run.gone,
        unreadable=run.unreadable,
        backfilled=run.live - run.remaining,
        remaining=run.remaining,
        complete=complete,
        entry=dict(run.manifest.upgrades[-1]),
    )


class _Run:
    """One run of a backfill; it holds the writer's lock."""

    def __init__(
        self,
        directory: Path,
        lock: WriterLock,
        manifest: Manifest,
        migration: Migration | Reencoding,
        store: VectorStore,
        staging: Staging,
        encoder: Encoder | None,
        device: str,
        source: Source,
        progress: OnProgress | None,
    ) -> None:
        self.manifest = manifest
        self.encoded = self.gone = self.unreadable = 0
        self._directory, self._lock, self._migration = directory, lock, migration
        self._store, self._staging, self._source, self._progress = store, staging, source, progress
        self._encoder, self._device = encoder, device
        if encoder is not None:
            migration.new_space.require(encoder.space, what=f"the encoder {encoder.space.name}")
        staging.drop_from(store.count)
        self._dead = store.tombstones()  # (count,)
        self._table = staging.rows_of(store.count)  # (count,)

    @property
    def live(self) -> int:
        """Live rows of the collection."""
        return int(np.count_nonzero(~self._dead))

    @property
    def remaining(self) -> int:
        """Live rows that only the old space has."""
        return int(np.count_nonzero(~self._dead & (self._table < 0)))

    def encoder(self) -> Encoder:
        """Return the new encoder, loaded when the first image needs it."""
        if self._encoder is None:
            if self._migration.new is None:
                raise OptionError(
                    f"the new encoder {self._migration.new_space.name} was given as an object; give it again"
                )
            self._encoder = load_encoder(self._migration.new, device=self._device)
            self._migration.new_space.require(self._encoder.space, what=f"the encoder {self._migration.new}")
        expect(self._encoder, self.manifest.probes.get(self._encoder.space.fingerprint))
        return self._encoder

    def go(self, count: int | None) -> None:
        """Encode up to ``count`` images and publish what there is; also when it is interrupted."""
        try:
            self._go(count)
        except BaseException:
            with suppress(RetrievalError, OSError):  # the first error matters more
                self._publish(briefly=True)
            raise
        self._publish()

    def _go(self, count: int | None) -> None:
        todo = np.flatnonzero(~self._dead & (self._table < 0))
        if not len(todo) or count == 0:
            return
        behind = isinstance(self._migration, Reencoding)
        order = todo if behind else in_order(todo)
        wanted = len(order) if count is None else min(count, len(order))
        published = time.monotonic()
        start = 0
        while self.encoded < wanted and start < len(order):
            part = order[start : start + min(wanted - self.encoded, _BLOCK)]
            start += len(part)
            for _ in self._encode(part, total=wanted):
                if not behind and time.monotonic() - published > PUBLISH_SECONDS:
                    self._publish()
                    published = time.monotonic()

    def _encode(self, ids: Ids, *, total: int) -> Iterator[None]:
        """Encode images again, yielding now and then."""
        from retrieval.embedding import embed

        rest: list[Record] = []
        for record in self._store.records(ids):
            if self._staging.holds(record):
                self._staging.serve(record.id)  # of the sample that the map was fitted on
                self.encoded += 1
            else:
                rest.append(record)
        self._staging.commit()
        yield
        if not rest:
            return
        pace = CommitPace(self._staging.store)
        same: dict[bytes, Vectors] = {}
        for batch in embed(rest, self.encoder(), open_image=self._source.read):
            for record, content, row in zip(batch.items, batch.contents, batch.vectors, strict=True):
                same[content] = row
                self._keep(record, content, row)
            for record, content in batch.reused:
                self._keep(record, content, same[content])
            self.unreadable += sum(error.reason != "vanished" for _, error in batch.failed)
            self.gone += sum(error.reason == "vanished" for _, error in batch.failed)
            if self._progress is not None:
                self._progress(
                    Progress(
                        phase="backfill",
                        done=self.encoded,
                        total=total,
                        skipped=self.gone + self.unreadable,
                    )
                )
            if pace.commit_if_due():
                yield
        self._staging.commit()

    def _keep(self, record: Record, content: bytes, row: Vectors) -> None:
        same = same_content(record.key, record.content, content)
        if same is None:  # other bytes than were indexed: a build's business
            self.gone += 1
            return
        self._staging.append([record.id], row[np.newaxis], [same], state=SERVED)
        self.encoded += 1

    def _publish(self, *, briefly: bool = False) -> None:
        """Let what was encoded answer; ``briefly`` trains no index of it."""
        self._staging.commit()
        self._lock.check()
        if not isinstance(self._migration, Reencoding):
            self._staging.index(self._migration.new_space, briefly=briefly, whole=True)
        self._table, added = self._staging.tables(self._store.count)
        self.manifest = publish_tail(
            self._directory,
            self._store,
            space=self.manifest.space,
            encoder=self.manifest.encoder,
            root=self.manifest.root,
            carried=self._migration.carried(
                self._table,
                added,
                live=self.live,
                served=self.live - self.remaining,
            ),
            derived=derived_files(),
        )

    def complete(self, kind: str | None) -> None:
        """Switch over to the new space, with an index of a kind."""
        self.manifest = switch_over(
            self._directory,
            self.manifest,
            self._migration,
            store=self._store,
            staging=self._staging,
            table=self._table,
            dead=self._dead,
            encoder=self.encoder,
            lock=self._lock,
            progress=self._progress,
            kind=kind,
        )
