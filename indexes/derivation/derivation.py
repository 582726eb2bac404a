"""Derive a generation from the store: decide, build, tune, measure, publish."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from indexes.derivation.build_plan import Event, OnEvent
from indexes.derivation.construction import Learn, SharedTraining, parts
from indexes.derivation.derived_files import DerivedFile
from indexes.derivation.publish import Carried, Facts, publish, published, with_folder
from indexes.derivation.revision import Revision
from indexes.derivation.tuning import ExtraQueries, Rows
from indexes.errors import OptionError
from indexes.generation import Columns, Manifest, Source, is_new, request
from indexes.store import RERANK, RerankRows, VectorStore
from indexes.vectors import Space

_NOTHING = Carried()


def derive(
    directory: str | os.PathLike[str],
    store: VectorStore,
    *,
    space: Space,
    encoder: str | None,
    root: str | None = None,
    kind: str | None = None,
    dim: int | str | None = None,
    recall: float | None = None,
    extra_queries: ExtraQueries | None = None,
    learn: Learn | None = None,
    device: str = "cpu",
    progress: OnEvent | None = None,
    previous: Manifest | None = None,
    carried: Carried = _NOTHING,
    source_options: Mapping[str, Any] | None = None,
    sources: tuple[Source, ...] | None = None,
    derived: Sequence[DerivedFile] = (),
    columns: Columns | None = None,
    training: SharedTraining | None = None,
    waiting: int | None = None,
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
        root: of the folder among the sources, which are kept besides.
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
        carried: what goes with the index.
        source_options: of that folder, see `indexes.generation.description.description.Source`; None keeps those that are there.
        sources: recorded instead of all these; for collections with others than a folder.
        derived: files that the generation gets besides.
        columns: of the rows, as the manifest is to say it; None keeps what it says.
        training: that the collection shares with others, of the factory string that ``kind`` names; None trains its own.
        waiting: most new rows that are searched beside the base, if fewer than usual.
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
    before = previous or published(home)
    if sources is None:
        sources = with_folder(before, root=root, options=source_options)
    basis = carried.basis or _of_these_rows(before, home, store, space)
    asked = request(home, basis or before, kind=kind, dim=dim, recall=recall, device=device)
    if basis is None and dim is None and asked.dim not in ("auto", *space.nesting):
        asked = replace(asked, dim=None)  # a width of the space before
    now = stored_rows(store)
    build = Revision(
        home,
        now,
        asked,
        basis,
        extra_queries,
        progress or _quiet,
        space=space,
        renames=store.renames,
        learn=learn,
        training=training,
        waiting=waiting,
        known=None if before is None else before.index,
    )
    info, files = build.decide()
    if (
        before is not None
        and info is None
        and carried == _NOTHING
        and (before.encoder, before.space) == (encoder, space)
        and before.sources == sources
        and columns in (None, before.columns)
        and not is_new(asked, home, before)
        and all(file.is_current(home, store=store, before=before) for file in derived)
    ):
        return before
    if info is None:  # the index stays, what the manifest says of it changes
        info, files = build.as_it_is()
    facts = Facts(
        space=space,
        encoder=encoder,
        sources=sources,
        store=_name(home, store),
        carried=carried,
        request=build.request,
        derived=derived,
        columns=columns,
    )
    manifest = publish(home, store, now, build.report(info), info, files, before, facts)
    parts.remove(home / parts.BUILDING)
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
        raise OptionError(f"`truncate_dim={dim}`: no width of {space.name}; use 1 to {space.dim}, or auto")
    if space.nesting:
        space.prefix(dim)
    elif dim < space.dim and rows is not None and rows < space.dim:
        raise OptionError(
            f"`truncate_dim={dim}`: {space.name} was not trained to be cut, and the rotation that makes up for it needs at least "
            f"{space.dim} vectors, not {rows:,}; leave `truncate_dim` out"
        )


def publish_tail(
    directory: str | os.PathLike[str],
    store: VectorStore,
    *,
    space: Space,
    encoder: str | None,
    root: str | None = None,
    carried: Carried = _NOTHING,
    source_options: Mapping[str, Any] | None = None,
    sources: tuple[Source, ...] | None = None,
    derived: Sequence[DerivedFile] = (),
    columns: Columns | None = None,
) -> Manifest:
    """Publish the committed rows beside the index that is there, training and measuring nothing.

    For a build that is interrupted: what it has stored answers at once. Raises as `derive` does.
    """
    home = Path(directory)
    before = published(home)
    same = sources is None or (before is not None and before.sources == sources)
    if sources is None:
        sources = with_folder(before, root=root, options=source_options)
    now = stored_rows(store)
    asked = request(home, before, kind=None, dim=None, recall=None, device="cpu")
    basis = carried.basis or _of_these_rows(before, home, store, space)
    build = Revision(home, now, asked, basis, None, _quiet, space=space, renames=store.renames)
    if (
        basis is not None
        and carried == _NOTHING
        and same
        and build.unchanged()
        and all(file.is_current(home, store=store, before=basis) for file in derived)
    ):
        return basis
    info, files = build.as_it_is()
    facts = Facts(
        space=space,
        encoder=encoder,
        sources=sources,
        store=_name(home, store),
        carried=carried,
        request=build.request,
        derived=derived,
        columns=columns,
    )
    return publish(home, store, now, build.report(info), info, files, before, facts)


def _of_these_rows(before: Manifest | None, home: Path, store: VectorStore, space: Space) -> Manifest | None:
    """Return the published manifest if its index was made of this store's rows; those of another space are others."""
    same = before is not None and before.store == _name(home, store) and before.space.same_as(space)
    return before if same else None


def _name(home: Path, store: VectorStore) -> str:
    """Return a store's directory as the manifest names it."""
    return "" if store.directory == home else store.directory.relative_to(home).as_posix()


def _quiet(_: Event) -> None:
    """Tell nobody."""


def stored_rows(store: VectorStore) -> Rows:
    """Return what a store holds, as it is derived from."""
    rows = RerankRows.open(store.directory / RERANK, dim=store.dim, count=store.count).rows
    return Rows(np.asarray(rows), store.tombstones())
