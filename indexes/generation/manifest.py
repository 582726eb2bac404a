"""Read the manifest, publish generations in atomic steps, and remove old ones."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexes.errors import OptionError, StoreCorrupt
from indexes.files import (
    PARTIAL,
    make_directories,
    move,
    remove_partials,
    remove_tree,
    replace_file,
    sync_directory,
    sync_file,
    writing,
)
from indexes.generation import file_checks
from indexes.generation.description import (
    GENERATIONS,
    MANIFEST,
    Exact,
    FileInfo,
    Manifest,
    generation_path,
    read_manifest,
    returnable,
)
from indexes.generation.pins import PIN
from indexes.layout import SHARDS
from indexes.repair_hints import cure_of_file

INDEX = "index.faiss"


def new_generation_dir(directory: str | os.PathLike[str], number: int) -> Path:
    """Make the empty directory in which generation ``number`` is prepared, and remove what killed writers left.

    The caller holds the writer's lock.

    Raises:
        StoreFull: no space left.
        StoreReadOnly: the collection cannot be written.
    """
    parent = Path(directory) / GENERATIONS
    prepared = parent / f"{PARTIAL}{number:04d}"
    with writing(prepared):
        remove_partials(Path(directory))
        remove_partials(parent)
        make_directories(prepared)
    return prepared


def publish(directory: str | os.PathLike[str], manifest: Manifest, prepared: Path) -> Manifest:
    """Make a prepared generation the one that readers open; atomic at every step.

    Its files become durable, its directory takes its final name, and the manifest is replaced last: a process killed
    in between leaves the generation before. Then the generations that nobody reads are removed. The caller holds the
    writer's lock, and the store has committed every row that the manifest counts.

    Args:
        directory: the collection's directory.
        manifest: what to publish; ``files``, ``index.file`` and ``updated`` are filled in here.
        prepared: what `new_generation_dir` returned, with the generation's files in it.
    Returns:
        the manifest as published.
    Raises:
        OptionError: that number is published already.
        ManifestTooNew: a later version published the generation before.
        StoreFull: no space left; the generation before stays.
        StoreReadOnly: the collection cannot be written.
    """
    home = Path(directory)
    final = generation_path(home, manifest.generation)
    before = _previous(home)
    if before is not None and before.generation == manifest.generation:
        raise OptionError(
            f"{final}: generation {manifest.generation} is published already; number the next one higher"
        )
    with writing(prepared):
        (prepared / PIN).touch()
        files = _measure(prepared, home, before)
        for name in files:
            sync_file(prepared / name)
        sync_directory(prepared)
    index = (
        manifest.index
        if isinstance(manifest.index, Exact)
        else replace(manifest.index, file=files.get(INDEX))
    )
    manifest = replace(manifest, files=files, index=index, updated=_now(), format=manifest.layout)
    with writing(final):
        if final.exists():  # published by a writer that was killed before the manifest: nobody reads it
            _remove(final)
        move(prepared, final)
    write_manifest(home, manifest)
    sweep_generations(home, manifest)
    return manifest


def publish_beside(directory: str | os.PathLike[str], manifest: Manifest) -> Manifest:
    """Publish recent rows beside the generation that is there, in one step; the manifest alone is written.

    The caller holds the writer's lock, and the store has committed every row that the manifest counts.

    Args:
        directory: the collection's directory.
        manifest: the published one with other `recent` rows and counts; ``updated`` is filled in here.
    Returns:
        the manifest as published.
    Raises:
        StoreFull: no space left; the manifest before stays.
        StoreReadOnly: the directory cannot be written.
    """
    manifest = replace(manifest, updated=_now(), format=manifest.layout)
    write_manifest(directory, manifest)
    return manifest


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def sweep_generations(directory: str | os.PathLike[str], manifest: Manifest) -> None:
    """Remove the generations that the published manifest does not need and nobody reads; the caller holds the writer's lock.

    A publish does so, and every writer that has nothing to publish: one that was killed right after its publish could not.
    """
    remove_generations(directory, keep=manifest.generation, also=_kept(directory, manifest))


def has_stale_generations(directory: str | os.PathLike[str], manifest: Manifest) -> bool:
    """Say whether there are generations that `sweep_generations` would remove, if nobody reads them."""
    return bool(_others(directory, {manifest.generation, *_kept(directory, manifest)}))


def _kept(directory: str | os.PathLike[str], manifest: Manifest) -> set[int]:
    """Return the generations that are needed besides the newest.

    A return to an earlier encoder would need its own: its index took long to train. Readers of a sharded collection open those
    that it names.
    """
    from indexes.generation.description import kept_for_readers

    return {earlier.generation for earlier in returnable(manifest)} | kept_for_readers(directory)


def _previous(home: Path) -> Manifest | None:
    """Read the manifest that is about to be replaced, if there is a readable one."""
    try:
        return read_manifest(home)
    except (FileNotFoundError, StoreCorrupt):
        return None


def _measure(prepared: Path, home: Path, before: Manifest | None) -> dict[str, FileInfo]:
    """Hash the prepared files, except those carried by a hard link from the generation before, or from one returned to."""
    known = [] if before is None else [before, *returnable(before)]
    files = {}
    for path in sorted(prepared.iterdir()):
        carried = [info for manifest in known if (info := _carried(path, home, manifest)) is not None]
        files[path.name] = _with_digest(path, carried[0]) if carried else _measured(path)
    return files


def _measured(path: Path) -> FileInfo:
    info = FileInfo.of(path)
    return file_checks.measured(path, info) if path.name == INDEX else info


def _with_digest(path: Path, info: FileInfo) -> FileInfo:
    """Return what is known of a carried file, with the checksum that versions before format 3 did not write."""
    if info.digest is not None:
        return info
    now = _measured(path)
    return now if now.sha256 == info.sha256 else info


def _carried(path: Path, home: Path, manifest: Manifest) -> FileInfo | None:
    """Return what a manifest says of a file that is a link to one of its own."""
    info, own = manifest.files.get(path.name), generation_path(home, manifest.generation) / path.name
    same = info is not None and own.exists() and path.samefile(own)
    return info if info is not None and same and info.bytes == path.stat().st_size else None


def write_manifest(directory: str | os.PathLike[str], manifest: Manifest) -> None:
    """Replace the manifest in one step; a reader sees the old one or the new one.

    Raises:
        StoreFull: no space left; the old manifest stays.
        StoreReadOnly: the directory cannot be written.
    """
    path = Path(directory) / MANIFEST
    with writing(path):
        replace_file(path, manifest.to_bytes())


def remove_generations(
    directory: str | os.PathLike[str], *, keep: int, also: Collection[int] = ()
) -> list[int]:
    """Remove the generations that nobody reads, except ``keep`` and ``also``; return the numbers removed.

    A generation counts as read while its pin file cannot be locked. What cannot be removed now is left for the next
    publish: an old generation costs space, never an answer.
    """
    removed = []
    for path in _others(directory, {keep, *also}):
        with contextlib.suppress(OSError):
            if _remove_unread(path):
                removed.append(int(path.name))
    return removed


def _others(directory: str | os.PathLike[str], kept: Collection[int]) -> list[Path]:
    """Return where generations besides those of some numbers lie."""
    found = sorted((Path(directory) / GENERATIONS).iterdir())
    return [
        path for path in found if path.name.isascii() and path.name.isdigit() and int(path.name) not in kept
    ]


def _remove_unread(path: Path) -> bool:
    try:
        pin = os.open(path / PIN, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # not ours, or half copied: nothing can have pinned it
        _remove(path)
        return True
    try:
        fcntl.flock(pin, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(
            path
        )  # while locked: a reader that comes now finds it busy or deleted, and reads the manifest again
    except BlockingIOError:
        return False
    finally:
        os.close(pin)
    return True


def _remove(path: Path) -> None:
    doomed = path.with_name(f"{PARTIAL}removed-{path.name}")
    remove_tree(doomed)
    os.rename(path, doomed)  # first: a half-removed generation is never seen under its number
    remove_tree(doomed)


def check_file(directory: str | os.PathLike[str], manifest: Manifest, name: str) -> None:
    """Make sure, by its checksum, that a file of the generation is what was published; one that it has not is passed over.

    Raises:
        StoreCorrupt: it is not; the message names it and what to do.
    """
    info = manifest.files.get(name)
    if info is not None:
        file_checks.check(generation_path(directory, manifest.generation) / name, info)


def check_sizes(directory: str | os.PathLike[str], manifest: Manifest) -> None:
    """Make sure that the generation's files have the lengths that the manifest records.

    Raises:
        StoreCorrupt: a file is missing or has another length; the message names it, both lengths and what to do.
    """
    path = generation_path(directory, manifest.generation)
    for name, info in manifest.files.items():
        try:
            found = f"{(path / name).stat().st_size:,} bytes"
        except FileNotFoundError:
            found = "no such file"
        except OSError as error:  # a link that leads to itself
            found = f"cannot be read ({error.strerror})"
        if found != f"{info.bytes:,} bytes":
            raise StoreCorrupt(
                f"{path / name}: {found}, expected {info.bytes:,} bytes; {cure_of_file(path / name)}"
            )


def record_activations(directory: str | os.PathLike[str], runs: Sequence[Mapping[str, Any]]) -> None:
    """Replace the runs of active indexing that a collection, or a sharded one, names; the caller holds its lock.

    Raises:
        StoreFull, StoreReadOnly: it cannot be written.
    """
    if (Path(directory) / SHARDS).is_file():
        from indexes.generation.description import read_shards, write_shards

        write_shards(directory, replace(read_shards(directory), activations=tuple(runs)))
    else:
        write_manifest(directory, replace(read_manifest(directory), activations=tuple(runs)))
