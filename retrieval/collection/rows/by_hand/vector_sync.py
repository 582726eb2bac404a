"""Make the rows by hand of a collection equal to an array: add, update, and delete on request."""

from __future__ import annotations

import hashlib
import os
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.derivation import check_dim, derive
from indexes.errors import value_text
from indexes.generation import SHARDS
from indexes.vectors import Space
from retrieval.collection import open_collection, require_settled
from retrieval.collection.rows import (
    TIMEOUT,
    check_request,
    derived_files,
    learn_rotation,
    locked,
    opened,
    plain,
    swept,
)
from retrieval.collection.rows.by_hand.hand_rows import HandRows
from retrieval.collection.rows.by_hand.row_sources import hand_number, origin_of, sources_with_hand
from retrieval.collection.rows.by_hand.rows_report import RowsReport
from retrieval.collection.rows.inputs import KeyList, VectorBlocks, VectorsLike
from retrieval.deprecation import warn_renamed
from retrieval.display import progress_shown
from retrieval.encoders import require_device
from retrieval.errors import OptionError, PruneRefused, ShapeError
from retrieval.location import home_of, place_collection, record_root
from retrieval.progress import Progress, telling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexes.generation import Manifest
    from retrieval.collection.rows.by_hand.rows_by_hand import RowsByHand
    from retrieval.collection.rows.inputs import KeysLike
    from retrieval.progress import OnProgress, ShowProgress


def sync_vectors(
    folder: str | os.PathLike[str],
    vectors: VectorsLike,
    keys: KeysLike,
    *,
    space: str | Space | None = None,
    index: str | os.PathLike[str] | None = None,
    kind: str | None = None,
    truncate_dim: int | str | None = None,
    target_recall: float | None = None,
    prune: bool = False,
    timeout: float = TIMEOUT,
    device: str = "auto",
    progress: ShowProgress = True,
) -> RowsReport:
    """Make a collection's rows by hand equal to vectors that you have; make the collection where there is none.

    Rows of other keys are deleted with `prune` only. Rows of images that a build made are not touched.

    Args:
        folder: where the collection lies (in its ``.retrieve``); made if need be.
        vectors: ``(n, d)`` real numbers, or the path of a ``.npy`` file of them (mapped, not read); normalised here.
        keys: n distinct texts, bytes or integers, or the path of a UTF-8 file with one a line. On a first call id = row number.
        space: the space the vectors live in, or a name for it; ``None`` is the collection's own, or the file's stem.
        index, kind, truncate_dim, target_recall, device, progress: as in `build_index`.
        prune: delete the rows by hand whose keys are not among these.
        timeout: seconds to wait for another writer.
    Raises:
        ShapeError: `vectors` is not ``(n, d)``, or there are not n keys.
        VectorError: a row is zero or not finite.
        OptionError: a key is empty, stands twice or belongs to a file; a file cannot be read; or an upgrade is under way.
        PruneRefused: the collection has rows whose keys are not among these, and `prune` does not allow to delete them.
        SpaceMismatch: the collection holds another space.
        CollectionLocked: somebody else still writes after `timeout`.
    """
    started = time.monotonic()
    device = require_device(device)
    home = home_of(folder)
    blocks, names = VectorBlocks(vectors), KeyList(keys)
    if len(names) != len(blocks):
        raise ShapeError(f"{len(blocks):,} vectors but {len(names):,} keys; give one key a vector")
    directory = place_collection(home, index)
    if (directory / SHARDS).is_file():
        asked = {"kind": kind, "truncate_dim": truncate_dim, "target_recall": target_recall}
        return _sync_shards(
            directory, vectors, keys, space, asked, prune=prune, timeout=timeout, progress=progress
        )
    with progress_shown(progress) as watch, locked(directory, timeout=timeout) as lock:
        before = swept(directory)
        require_settled(before, what="vectors cannot be imported now")
        target = _space(space, vectors, dim=blocks.dim, before=before)
        check_request(lambda: target, kind=kind, dim=truncate_dim, recall=target_recall)
        check_dim(target, truncate_dim, rows=len(blocks))
        blocks.check(dim=target.dim, space=target.name)
        encoder = None if before is None else before.encoder
        recorded = record_root(directory, home) if before is None else before.root
        facts: dict[str, Any] = {"space": target, "encoder": encoder, "root": recorded}
        sources = sources_with_hand(before, root=recorded)
        with opened(directory, lock, before, **facts, with_rows=sources) as growing:
            store = plain(growing)
            rows = HandRows(
                store,
                source=hand_number(before),
                origin=lambda number: origin_of(number, sources, directory),
            )
            rows.require_own(names)
            gone = {number: key for number, key in rows.rows_by_hand() if key not in names}
            if not prune:
                refuse_dropping(rows=store.live, removed=len(gone), keys=len(names), folder=home)
            write_blocks(rows, blocks, names, progress=watch)
            rows.delete(gone)
            rows.commit()
            lock.check()
            manifest = derive(
                directory,
                store,
                **facts,
                sources=sources if rows.written else None,
                kind=kind,
                dim=truncate_dim,
                recall=target_recall,
                device=device,
                learn=learn_rotation,
                derived=derived_files(),
                progress=telling(watch),
            )
    return RowsReport.of(
        manifest,
        root=home,
        directory=directory,
        seconds=time.monotonic() - started,
        added=rows.added,
        updated=rows.updated,
        unchanged=rows.unchanged,
        deleted=rows.deleted,
    )


def _sync_shards(
    directory: Path,
    vectors: VectorsLike,
    keys: KeysLike,
    space: str | Space | None,
    asked: Mapping[str, Any],
    *,
    prune: bool,
    timeout: float,
    progress: ShowProgress,
) -> RowsReport:
    """Make the rows by hand of a sharded collection equal to vectors."""
    for name, value in asked.items():
        if value is not None:
            raise OptionError(
                f"{directory} is a sharded collection: `{name}` is given to `build_index`; nothing was changed"
            )
    with open_collection(directory) as collection:
        _space(space, vectors, dim=VectorBlocks(vectors).dim, before=collection.manifest)
        return collection.sync_vectors(vectors, keys, prune=prune, timeout=timeout, progress=progress)


def build_index_from_vectors(
    folder: str | os.PathLike[str],
    vectors: VectorsLike,
    keys: KeysLike,
    *,
    dim: int | str | None = None,
    recall: float | None = None,
    **options: Any,
) -> RowsReport:
    """Call `sync_vectors` by its old name."""
    warn_renamed("build_index_from_vectors()", "sync_vectors()")
    return sync_vectors(folder, vectors, keys, truncate_dim=dim, target_recall=recall, **options)


def refuse_dropping(*, rows: int, removed: int, keys: int, folder: Path) -> None:
    """Stop a call that would delete rows, because their keys are not among the new ones.

    Raises:
        PruneRefused: it would; nothing was changed.
    """
    if removed:
        raise PruneRefused(
            f"{removed:,} of {rows:,} rows of the collection of {folder} have keys that are not among the {keys:,} given, and would "
            f"be deleted; nothing was changed. Give vectors and keys of all rows that are to stay, delete the others "
            "with `prune=True`, or keep them and `add` or `upsert` these"
        )


def named_space(name: str, dim: int) -> Space:
    """Return the space of a name: the caller vouches that equal names are equal spaces.

    Raises:
        OptionError: it is empty, or has characters that cannot be printed.
    """
    if not name.strip() or not name.isprintable():
        raise OptionError(
            f"the space is named {value_text(name)}; give `space` a name of printable characters"
        )
    return Space(name=name, dim=dim, fingerprint=hashlib.sha256(f"named:{name}".encode()).hexdigest())


def _space(space: str | Space | None, vectors: Any, *, dim: int, before: Manifest | None) -> Space:
    if space is None and before is not None:
        target = before.space
    elif isinstance(space, Space):
        target = space
    else:
        name = space or (Path(vectors).stem if isinstance(vectors, str | os.PathLike) else "vectors")
        target = named_space(name, dim)
    if target.dim != dim:
        raise ShapeError(f"vectors: expected {target.dim} columns for the space {target.name}, got {dim}")
    if before is not None:
        before.space.require(target, what="the imported array")
    return target


def write_blocks(
    rows: RowsByHand, blocks: VectorBlocks, names: KeyList, *, progress: OnProgress | None
) -> None:
    """Bring new and changed rows into the store, block by block."""
    keys = iter(names)
    for start, block in blocks.blocks():
        rows.put(block, list(islice(keys, len(block))))
        rows.commit_if_due()
        if progress is not None:
            progress(Progress(phase="store", done=start + len(block), total=len(blocks)))
