"""Write single rows to a sharded collection: lock it, add, replace and delete in its shards, publish all as one."""

from __future__ import annotations

import time
import warnings
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from indexes.derivation import SharedTraining
from indexes.errors import Restored
from indexes.generation import read_shards
from retrieval.collection.rows import (
    REFUSED,
    TIMEOUT,
    KeyList,
    RowsReport,
    RowWriter,
    VectorBlocks,
    phrases_of,
    refuse_dropping,
    show_newest,
    waiting_writer,
    write_blocks,
)
from retrieval.collection.sharded.rows.lost_manifests import restore_manifests
from retrieval.collection.sharded.rows.publication import (
    publish_again,
    publish_as_they_are,
    require_no_upgrade,
)
from retrieval.collection.sharded.rows.shard_hand_rows import ShardHandRows
from retrieval.errors import CollectionNotFound, RetrievalError, ShapeError
from retrieval.progress import telling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from indexes.generation import Shards
    from retrieval.collection.rows import KeysLike, VectorsLike
    from retrieval.collection.sharded import ShardedCollection
    from retrieval.progress import OnProgress


@contextmanager
def writing_shards(collection: ShardedCollection, *, timeout: float = TIMEOUT) -> Iterator[RowWriter]:
    """Lock a sharded collection, give its writer, and publish what that did; `Collection.writer` says more."""
    with _changed(collection, timeout=timeout) as rows:
        writer = RowWriter(rows, collection, contents=rows, find=rows.where)
        try:
            yield writer
        finally:
            writer.end()


def sync_shards(
    collection: ShardedCollection,
    vectors: VectorsLike,
    keys: KeysLike,
    *,
    prune: bool,
    timeout: float = TIMEOUT,
    progress: OnProgress | None,
) -> RowsReport:
    """Make the rows by hand of all shards equal to vectors; `retrieval.sync_vectors` says more."""
    started = time.monotonic()
    blocks, names = VectorBlocks(vectors), KeyList(keys)
    if len(names) != len(blocks):
        raise ShapeError(f"{len(blocks):,} vectors but {len(names):,} keys; give one key a vector")
    space = collection.manifest.space
    blocks.check(dim=space.dim, space=space.name)
    with _changed(collection, timeout=timeout, progress=progress) as rows:
        rows.require_own(names)
        gone = {number: key for number, key in rows.rows_by_hand() if key not in names}
        if not prune:
            refuse_dropping(rows=rows.live, removed=len(gone), keys=len(names), folder=collection.root)
        write_blocks(rows, blocks, names, progress=progress)
        rows.delete(gone)
        rows.commit()
    return RowsReport.of(
        collection.manifest,
        root=collection.root,
        directory=collection.directory,
        seconds=time.monotonic() - started,
        added=rows.added,
        updated=rows.updated,
        unchanged=rows.unchanged,
        deleted=rows.deleted,
    )


@contextmanager
def _changed(
    collection: ShardedCollection, *, timeout: float, progress: OnProgress | None = None
) -> Iterator[ShardHandRows]:
    """Give the rows by hand of all shards, and publish what was committed; also where the block raises."""
    with collection._using():  # noqa: SLF001 - a part of it; whoever closed it may not write
        directory = collection.directory
    require_no_upgrade(_current(directory), what=REFUSED)
    try:
        with waiting_writer(directory, timeout=timeout) as lock:
            before = _current(directory)
            require_no_upgrade(before, what=REFUSED)
            for note in restore_manifests(directory, before):
                warnings.warn(note, Restored, stacklevel=4)
            rows: ShardHandRows | None = None
            try:
                with ExitStack() as stack:
                    rows = ShardHandRows(directory, before, stack)
                    yield rows
                    lock.check()
                    training = before.training
                    rows.publish(
                        None if training is None else SharedTraining.of(directory, training),
                        recall=before.request.recall,
                        phrases=lambda: phrases_of(collection),
                        progress=telling(progress),
                    )
            except BaseException:
                if rows is not None:
                    with suppress(RetrievalError, OSError):  # the first error matters more
                        publish_as_they_are(directory, before, count=rows.count)
                raise
            publish_again(
                directory,
                before,
                count=rows.count,
                phrases=lambda: phrases_of(collection),
                progress=telling(progress),
            )
    finally:
        show_newest(collection)


def _current(directory: Path) -> Shards:
    try:
        return read_shards(directory)
    except FileNotFoundError as error:
        raise CollectionNotFound(
            f"no collection in {directory} any more: it was moved or deleted since it was opened; open it where it is now"
        ) from error
