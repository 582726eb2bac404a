"""Write a generation's files and publish the generation whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from indexes.derivation.construction import Writer
from indexes.derivation.derived_files import DerivedFile
from indexes.derivation.tuning import Rows
from indexes.errors import StoreCorrupt
from indexes.files import link_or_copy, sync_directory, sync_names, writing
from indexes.generation import (
    GENERATIONS,
    INDEX,
    KEYS,
    TOMBSTONES,
    Columns,
    Exact,
    IndexInfo,
    KeyTable,
    Manifest,
    Request,
    Source,
    free_number,
    further_files,
    further_name,
    generation_path,
    kept_files_and_next,
    new_generation_dir,
    open_keys,
    publish as publish_whole,
    read_manifest,
    write_list_sizes,
    write_live,
)
from indexes.layout import REPORT, VECTORS
from indexes.store import VectorStore
from indexes.vectors import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a generation is given besides its index.

    Attributes:
        upgrades: the manifest's new ones; None keeps those that are there.
        write: writes further files into the prepared generation.
        basis: the manifest whose index already answers for rows of these ids, where that is not the published one.
        probes: what the manifest records of encoders besides what is there, see `indexes.generation.Manifest`.
    """

    upgrades: tuple[Mapping[str, Any], ...] | None = None
    write: Writer | None = None
    basis: Manifest | None = None
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the manifest says besides the index; of the rows' columns None for what is published."""

    space: Space
    encoder: str | None
    sources: tuple[Source, ...]
    store: str
    carried: Carried
    request: Request
    derived: Sequence[DerivedFile] = ()
    columns: Columns | None = None


def published(home: Path) -> Manifest | None:
    """Return the manifest that readers see, None where there is none.

    Raises:
        StoreCorrupt: there is one and it cannot be read: what it says of upgrades and activations stands nowhere else.
    """
    try:
        return read_manifest(home)
    except FileNotFoundError:
        return None


def publish(
    home: Path,
    store: VectorStore,
    now: Rows,
    report: dict[str, Any],
    info: IndexInfo,
    index: Writer,
    before: Manifest | None,
    facts: Facts,
) -> Manifest:
    """Publish an index with its tombstones, keys and report.

    Args:
        home: the collection's directory.
        store: its rows.
        now: the same, as they are published.
        report: what report.json says.
        info: what was built and measured.
        index: writes it.
        before: the published manifest.
        facts: what the manifest says besides.
    """
    number = before.generation + 1 if before is not None else _next_number(home)
    prepared = new_generation_dir(home, number)
    with writing(prepared):
        index(prepared / INDEX)
        write_list_sizes(prepared, home, before)
        write_live(prepared / TOMBSTONES, now.dead)
        same = before if before is not None and before.store == facts.store else None
        _write_keys(prepared, home, store, same)
        (prepared / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        for file in facts.derived:
            file.write(prepared, home=home, store=store, before=same)
        if facts.carried.write is not None:
            facts.carried.write(prepared)
    if (path := prepared / INDEX).exists() and not isinstance(info, Exact):
        info = replace(info, bytes_per_vector=path.stat().st_size / max(info.base_rows, 1))
    manifest = Manifest(
        space=facts.space,
        encoder=facts.encoder,
        sources=facts.sources,
        request=facts.request,
        count=now.count,
        live=now.live,
        generation=number,
        index=info,
        store=facts.store,
        columns=facts.columns or _columns(before, store, facts),
    )
    if before is not None:
        manifest = replace(
            manifest,
            created=before.created,
            upgrades=before.upgrades,
            activations=before.activations,
            views=before.views,
        )
    if facts.carried.upgrades is not None:
        manifest = replace(manifest, upgrades=facts.carried.upgrades)
    manifest = replace(manifest, probes=_probes(before, manifest, facts.carried))
    with writing(home):
        _sync_stores(home, store, manifest)
    return publish_whole(home, manifest, prepared)


def _probes(before: Manifest | None, manifest: Manifest, carried: Carried) -> Mapping[str, Mapping[str, Any]]:
    """Return what is recorded of the space's encoder, and of the other one of an upgrade that can still be taken back."""
    known = {**({} if before is None else before.probes), **carried.probes}
    needed = {manifest.space.fingerprint}
    last = manifest.upgrades[-1] if manifest.upgrades else {}
    if manifest.migrating or manifest.reencoding or last.get("previous"):
        needed |= {last.get(name, {}).get("fingerprint") for name in ("old_space", "new_space")}
    return {fingerprint: probes for fingerprint, probes in known.items() if fingerprint in needed}


def with_folder(
    before: Manifest | None, *, root: str | None, options: Mapping[str, Any] | None
) -> tuple[Source, ...]:
    """Return the sources that are recorded, the folder among them with this root and these options.

    Args:
        before: the published manifest.
        root: the folder, as `Source.path` has it.
        options: of the folder; None for those that are recorded. Where no folder is recorded, only options add one.
    """
    if before is None:
        return (Source(path=root, options=dict(options or {})),)
    own = before.folder
    if own is None:
        new = Source(path=root, options=dict(options or {}), number=free_number(before.sources))
        return before.sources if options is None else (*before.sources, new)
    now = replace(own, path=root, options=own.options if options is None else dict(options))
    return tuple(now if source is own else source for source in before.sources)


def _sync_stores(home: Path, store: VectorStore, manifest: Manifest) -> None:
    """Make durable the names of all that the manifest is about to point to, besides the generation itself.

    Contents are durable already; a file or directory that was made since may yet lose its name in a crash, and the next
    writer would take what is left of it for rubbish.
    """
    places = {store.directory, home / GENERATIONS}
    if manifest.migrating or manifest.reencoding:
        places.add(home / str(manifest.upgrades[-1]["staging"]))
    for place in places:
        for inside in (place / VECTORS, place):
            if inside.is_dir():
                sync_directory(inside)
        if place.is_dir() and place != home:
            sync_names(place.parent, below=home)


def _write_keys(prepared: Path, home: Path, store: VectorStore, before: Manifest | None) -> None:
    """Write the table of all keys: that of the generation before is carried on, unless one of its keys has changed."""
    table = None
    with suppress(OSError, StoreCorrupt):  # a damaged one would be taken over
        table = None if before is None else open_keys(home, before)
    if before is None or table is None or table.renames != store.renames or len(table) > store.count:
        KeyTable.of(store.keys(), renames=store.renames).write(prepared / KEYS)
        return
    folder = generation_path(home, before.generation)
    kept, start = kept_files_and_next(further_files(before.files, KEYS), len(table), store.count)
    for first in kept:
        name = further_name(KEYS, first)
        link_or_copy(folder / name, prepared / name)
    if start is not None:
        table.extended(store.keys(len(table))).write(prepared / further_name(KEYS, start), start=start)


def _columns(before: Manifest | None, store: VectorStore, facts: Facts) -> Columns | None:
    """Return what is published of the columns; a copy of the store holds the same, and counts its changes anew."""
    if before is None or before.columns is None or before.store == facts.store:
        return None if before is None else before.columns
    return replace(before.columns, changes=store.column_changes)


def _next_number(home: Path) -> int:
    """Return a generation's number above all that lie there, for a collection whose manifest is lost."""
    found = [int(path.name) for path in (home / "generations").glob("[0-9]*") if path.name.isdigit()]
    return max(found, default=0) + 1
