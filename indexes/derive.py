"""Store to generation: decide what the rows call for, build it, tune it, measure it, publish it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from indexes import shards
from indexes.errors import OptionError, StoreCorrupt
from indexes.files import writing
from indexes.generation import REPORT, TOMBSTONES, write_live
from indexes.keytable import KEYS, KeyTable
from indexes.manifest import (
    INDEX,
    IndexInfo,
    Manifest,
    generation_path,
    new_generation_dir,
    publish,
    read_manifest,
)
from indexes.measured import ExtraQueries, Rows
from indexes.plan import Event, OnEvent, Plan, plan
from indexes.rerank import RERANK, RerankRows
from indexes.revision import Request, Revision, Writer
from indexes.rotate import Learn
from indexes.space import Space
from indexes.store import VectorStore

__all__ = ["Event", "Learn", "OnEvent", "Plan", "check_dim", "derive", "plan", "publish_tail"]

RECALL = 0.95


def derive(
    directory: str | os.PathLike[str],
    store: VectorStore,
    *,
    space: Space,
    encoder: str | None,
    root: str | None,
    kind: str | None = None,
    dim: int | str | None = None,
    recall: float | None = None,
    extra_queries: ExtraQueries | None = None,
    learn: Learn | None = None,
    device: str = "cpu",
    progress: OnEvent | None = None,
    previous: Manifest | None = None,
) -> Manifest:
    """Publish a generation that answers for the committed rows, doing no more than they call for.

    Nothing changed: nothing is published. Few new rows: they are searched exactly beside the base. More: they are
    encoded into it and tombstoned rows leave it, and if the recall then measured falls short, it is tuned again, and
    at last trained again. Another kind, width or target: what that takes. The caller holds the writer's lock.

    Args:
        directory: the collection's directory.
        store: its store, opened for writing; every change committed.
        space: of the rows.
        encoder: recorded in the manifest.
        root: recorded in the manifest.
        kind: ``auto``, ``flat``, ``ivfpq``, ``ivfrabitq`` or a FAISS factory string; None keeps the collection's
            own choice, and is ``auto`` for a new one.
        dim: width of the first stage: a prefix of the space, or any width where the space has no prefixes and a
            rotation is fitted; ``auto`` chooses by measuring; None keeps the collection's own with ``kind`` None, and
            is the full width otherwise.
        recall: recall@10 to reach, above 0 and at most 1; None keeps the collection's own, `RECALL` for a new one.
        extra_queries: sets of query vectors by name, such as ``text``, that are tuned for too; or a function that
            returns them, called only when something is measured.
        learn: improves on a PCA rotation, where one is fitted.
        device: ``auto``, ``cpu``, ``cuda`` …; where faiss can use that GPU, kind ``auto`` is one that a GPU can hold.
        progress: called with an `Event` from this thread.
        previous: the published manifest, if the caller has read it.
    Returns:
        the manifest that is current now.
    Raises:
        OptionError: a value that this collection cannot take; then nothing is published.
        StoreFull: no space left; the generation before stays.
        StoreReadOnly: the collection cannot be written.
        ManifestTooNew: a later version published the generation before.
    """
    home = Path(directory)
    if recall is not None and not 0 < recall <= 1:
        raise OptionError(f"recall is {recall}; it must be above 0 and at most 1")
    check_dim(space, dim, rows=store.live)
    before = previous or _published(home)
    asked = _request(home, before, kind=kind, dim=dim, recall=recall, device=device)
    now = _rows(home, store)
    build = Revision(home, now, asked, before, extra_queries, progress or _quiet, space=space, learn=learn)
    info, files = build.decide()
    if (
        before is not None
        and info is None
        and (before.encoder, before.root, before.space) == (encoder, root, space)
    ):
        return before
    if info is None:  # the index stays, what the manifest says of it changes
        info, files = build.as_it_is()
    manifest = _publish(
        home, store, now, build.report(info), info, files, before, space=space, encoder=encoder, root=root
    )
    shards.remove(home / shards.BUILDING)
    return manifest


def check_dim(space: Space, dim: int | str | None, *, rows: int | None = None) -> None:
    """Refuse a width that a first stage cannot have.

    Args:
        space: of the rows.
        dim: what `derive` takes.
        rows: live rows there will be; None if nobody knows yet.
    Raises:
        OptionError: it is no number and not ``auto``, less than 1 or more than the space is wide, no prefix of a space
            that has some, or needs a rotation for which there are too few rows.
    """
    if dim is None or dim == "auto":
        return
    if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= space.dim:
        raise OptionError(f"--dim {dim}: no width of {space.name}; use 1 to {space.dim}, or auto")
    if space.nesting:
        space.prefix(dim)
    elif dim < space.dim and rows is not None and rows < space.dim:
        raise OptionError(
            f"--dim {dim}: {space.name} was not trained to be cut, and the rotation that makes up for it needs at least "
            f"{space.dim} vectors, not {rows}; leave --dim out"
        )


def publish_tail(
    directory: str | os.PathLike[str],
    store: VectorStore,
    *,
    space: Space,
    encoder: str | None,
    root: str | None,
) -> Manifest:
    """Publish the committed rows beside the index that is there, training and measuring nothing.

    For a build that is interrupted: what it has stored answers at once. Raises as `derive` does.
    """
    home = Path(directory)
    before = _published(home)
    now = _rows(home, store)
    asked = _request(home, before, kind=None, dim=None, recall=None, device="cpu")
    build = Revision(home, now, asked, before, None, _quiet, space=space)
    if before is not None and build.unchanged():
        return before
    info, files = build.as_it_is()
    return _publish(
        home, store, now, build.report(info), info, files, before, space=space, encoder=encoder, root=root
    )


def _quiet(_: Event) -> None:
    """Tell nobody."""


def _published(home: Path) -> Manifest | None:
    try:
        return read_manifest(home)
    except (FileNotFoundError, StoreCorrupt):
        return None


def _rows(home: Path, store: VectorStore) -> Rows:
    rows = RerankRows.open(home / RERANK, dim=store.dim, count=store.count).rows
    return Rows(np.asarray(rows), store.tombstones())


def _request(
    home: Path,
    before: Manifest | None,
    *,
    kind: str | None,
    dim: int | str | None,
    recall: float | None,
    device: str,
) -> Request:
    own: dict[str, Any] = {}
    chosen_for: int | None = None
    if before is not None:
        with suppress(OSError, ValueError):
            report = json.loads((generation_path(home, before.generation) / REPORT).read_bytes())
            own, chosen_for = report.get("requested", {}), report.get("chosen_for")
    if kind is None and dim is None:
        dim = own.get("dim")
    if recall is None:
        recall = own.get("recall", RECALL) if before is None else before.index.recall_target
    kind = own.get("kind", "auto") if kind is None else kind
    same = (kind, dim) == (own.get("kind"), own.get("dim"))
    return Request(
        kind=kind, dim=dim, recall=float(recall), device=device, chosen_for=chosen_for if same else None
    )


def _publish(
    home: Path,
    store: VectorStore,
    now: Rows,
    report: dict[str, Any],
    info: IndexInfo,
    index: Writer,
    before: Manifest | None,
    *,
    space: Space,
    encoder: str | None,
    root: str | None,
) -> Manifest:
    number = before.generation + 1 if before is not None else _next_number(home)
    prepared = new_generation_dir(home, number)
    with writing(prepared):
        index(prepared / INDEX)
        write_live(prepared / TOMBSTONES, now.dead)
        _keys(home, store, before).write(prepared / KEYS)
        (prepared / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if (path := prepared / INDEX).exists():
        info = replace(info, bytes_per_vector=path.stat().st_size / max(info.base_rows, 1))
    manifest = Manifest(
        space=space, encoder=encoder, root=root, count=now.count, live=now.live, generation=number, index=info
    )
    if before is not None:
        manifest = replace(
            manifest, created=before.created, upgrades=before.upgrades, activations=before.activations
        )
    return publish(home, manifest, prepared)


def _keys(home: Path, store: VectorStore, before: Manifest | None) -> KeyTable:
    """Return the table of all keys: the one before and the new ones, unless one of those has changed."""
    renames = store.renames
    if before is not None:
        with suppress(OSError, StoreCorrupt):
            table = KeyTable.open(generation_path(home, before.generation) / KEYS)
            if table.renames == renames and len(table) <= store.count:
                return table.extended(store.keys(len(table)))
    return KeyTable.of(store.keys(), renames=renames)


def _next_number(home: Path) -> int:
    """Return a generation's number above all that lie there, for a collection whose manifest is lost."""
    found = [int(path.name) for path in (home / "generations").glob("[0-9]*") if path.name.isdigit()]
    return max(found, default=0) + 1
