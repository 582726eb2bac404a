"""Create a collection or open it for writing: directory, lock, store."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from indexes.derivation import check_dim, plan, publish_tail
from indexes.files import make_directories, remove_tree, sync_directory, writing
from indexes.generation import SHARDS, read_manifest, shards_around, store_path
from indexes.migration import Staging
from indexes.store import VectorStore, WriterLock
from retrieval.collection import sweep, sweep_changes
from retrieval.collection.rows.generation_files import derived_files
from retrieval.collection.rows.growth import BothSpaces, Growing, carried
from retrieval.collection.rows.lock_wait import waiting_writer
from retrieval.errors import OptionError, RetrievalError, StoreCorrupt
from retrieval.location import lost_manifest, require_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from indexes.generation import Columns, Manifest, Source
    from indexes.vectors import Matrix, Space, Vectors


@contextmanager
def locked(directory: Path, *, timeout: float = 0, is_shard: bool = False) -> Iterator[WriterLock]:
    """Make the collection's directory and lock it; where that fails with nothing stored, take it away again.

    Args:
        directory: the collection's.
        timeout: seconds to wait for another writer.
        is_shard: it is written as a shard, by a build of the whole.
    Raises:
        OptionError: a file is in the way; it is a sharded collection, or a shard of one.
        StoreReadOnly, StoreFull: the directory cannot be made.
        CollectionLocked: somebody else writes to it.
    """
    if (directory / SHARDS).is_file():
        raise OptionError(
            f"{directory} is a sharded collection, whose shards are written together: by `build_index`, and by the methods of what "
            "`retrieval.open` gives; nothing was changed"
        )
    require_whole(directory)
    around = None if is_shard else shards_around(directory)
    if around is not None:
        raise OptionError(f'{directory} is a shard of {around}; build that: `build_index(index="{around}")`')
    made = _make(directory)
    with waiting_writer(directory, timeout=timeout) as lock:
        try:
            yield lock
        except BaseException:
            # Only who holds the lock may remove it: another may have made a collection of it.
            if made and not _holds_rows(directory):
                remove_tree(directory)
            raise


def _make(directory: Path) -> bool:
    """Make the directory; say whether it was this call that did."""
    try:
        with writing(directory):
            make_directories(directory.parent)
            try:
                directory.mkdir()
                sync_directory(directory.parent)
            except FileExistsError:
                if not directory.is_dir():
                    raise
                return False
    except RetrievalError as error:
        if isinstance(error.__cause__, FileExistsError | NotADirectoryError):
            raise OptionError(
                f"{directory} cannot be made: a file is in the way; name another place with `index=…`"
            ) from error
        raise
    return True


def _holds_rows(directory: Path) -> bool:
    if not VectorStore.exists(directory):
        return False
    try:
        with VectorStore.open(directory, dim=None) as store:
            return store.count > 0
    except (RetrievalError, OSError):
        return True  # nobody knows: keep it


def check_request(
    space: Callable[[], Space], *, kind: str | None, dim: int | str | None, recall: float | None
) -> None:
    """Refuse before hours of encoding what would be refused after them.

    Args:
        space: returns the space of the rows; called only where it matters, because it may load a model.
        kind, dim, recall: as in `retrieval.build_index`.
    Raises:
        OptionError: a value that cannot be.
    """
    if recall is not None and not 0 < recall <= 1:
        raise OptionError(f"target_recall is {recall}; it must be above 0 and at most 1")
    if dim is not None:
        check_dim(space(), dim)
    if kind not in (None, "auto", "ivfpq", "ivfrabitq"):
        plan(0, space().dim, kind=str(kind), dim=dim if isinstance(dim, int) else None, check=False)


def learn_rotation(rows: Vectors, widths: Sequence[int], start: Matrix) -> Matrix | None:
    """Improve on a PCA rotation with torch; None where torch is not installed: then PCA it is."""
    if find_spec("torch") is None:
        return None
    from retrieval.encoders.training import fit_prefix_rotation

    return fit_prefix_rotation(rows, widths, start)


def published(directory: Path) -> Manifest | None:
    """Return the collection's manifest; ``None`` if there is none yet."""
    try:
        return read_manifest(directory)
    except FileNotFoundError:
        return None


def swept(directory: Path) -> Manifest | None:
    """Return the collection's manifest, after the removal of what killed processes left; the caller holds the lock.

    Raises:
        StoreCorrupt: vectors lie there without a manifest.
    """
    manifest = published(directory)
    if manifest is not None:
        sweep(directory, manifest)
        sweep_changes(directory, manifest)
    elif VectorStore.exists(directory) and (lost := lost_manifest(directory)):
        raise StoreCorrupt(lost)
    return manifest


@contextmanager
def opened(
    directory: Path,
    lock: WriterLock,
    before: Manifest | None,
    *,
    space: Space,
    encoder: str | None,
    root: str | None = None,
    sources: tuple[Source, ...] | None = None,
    with_rows: tuple[Source, ...] | None = None,
    columns: Columns | None = None,
) -> Iterator[Growing]:
    """Open the store for writing; make one, and publish it empty, where there is none yet.

    In the middle of a change of the encoder it is two stores, written as one.

    When the work inside fails or is interrupted, what it has stored is published all the same, so that it answers.

    Args:
        directory: the collection's directory.
        lock: held.
        before: its manifest.
        space, encoder, root, sources: recorded in the manifest, as `indexes.derivation.derivation.derive` has them.
        with_rows: sources that are recorded with rows that were added, where the work inside fails.
        columns: recorded of a new collection.
    Raises:
        StoreCorrupt: the store or the manifest is missing beside the other.
    """
    place = store_path(directory, before)
    there = VectorStore.exists(place)
    if before is not None and not there:
        raise StoreCorrupt(
            f"{directory} has no vectors.lmdb; copy it whole again, or move the directory away and build anew"
        )
    if before is None and there:
        _remove_empty(directory)
    if before is None:
        VectorStore.create(directory, dim=space.dim, lock=lock).close()
    with (
        VectorStore.open(place, dim=space.dim, writable=True, lock=lock) as store,
        _beside(directory, store, lock, before) as growing,
    ):
        if before is None:
            publish_tail(
                directory,
                store,
                space=space,
                encoder=encoder,
                root=root,
                sources=sources,
                derived=derived_files(),
                columns=columns,
            )
        first = store.count
        try:
            yield growing
        except BaseException:
            # If even that cannot be written, the first error matters more.
            with suppress(RetrievalError, OSError):
                growing.commit()
                lock.check()
                publish_tail(
                    directory,
                    store,
                    space=space,
                    encoder=encoder,
                    root=root,
                    carried=carried(growing, briefly=True),
                    sources=with_rows if with_rows is not None and store.count > first else sources,
                    derived=derived_files(),
                )
            raise


@contextmanager
def _beside(
    directory: Path, store: VectorStore, lock: WriterLock, before: Manifest | None
) -> Iterator[Growing]:
    """Give the store, with the one of the new rows beside it while the encoder changes."""
    if before is None or not before.migrating:
        yield store
        return
    from retrieval.collection import Migration

    migration = Migration.read(directory, before)
    if migration is None:
        yield store
        return
    with Staging.open(directory / migration.staging, dim=migration.new_space.dim, lock=lock) as staging:
        yield BothSpaces(store, staging, migration)


def _remove_empty(directory: Path) -> None:
    """Remove the empty store of a build that was killed before its first manifest."""
    if lost := lost_manifest(directory):
        raise StoreCorrupt(lost)
    with writing(directory):
        shutil.rmtree(directory / "vectors.lmdb")
