"""List the row stores of a collection: current, kept for a rollback, staged, left over."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from indexes.files import remove_partials, remove_tree, sync_directory
from indexes.generation import GENERATIONS, has_stale_generations, stores_for_readers, sweep_generations
from indexes.layout import VECTORS
from indexes.store import RERANK, WriterLock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from indexes.generation import Manifest

STAGING = "upgrade"
"""Directory of the new rows while a change of the encoder is under way; below it one for each new space."""

ROLLBACK_ROWS = "rollback"
"""Directory of rows that are encoded by the old encoder again, on the way back to it."""

SPACES = "spaces"
"""Directory of the stores that came after the first one; each has a number."""


PAST = "past"
"""Directory of the kept samples of each space that was left."""

ACTIVATIONS = "activations"
"""Directory of the lists of activated copies."""

_OLD_PARTIALS = ("skipped.tsv.partial", "folders.tsv.partial")
"""What versions before format 3 left when they were killed."""


@contextmanager
def writer(directory: Path) -> Iterator[WriterLock]:
    """Hold the writer's lock of a collection, and remove first what killed processes left unfinished in it.

    Raises:
        StoreLocked: somebody else writes to it.
        StoreReadOnly, StoreFull: the lock's file cannot be written.
    """
    with WriterLock(directory) as lock:
        sweep_partials(directory)
        yield lock


def next_store(directory: Path, manifest: Manifest) -> Path:
    """Return the place of a store that is about to be made."""
    return directory / SPACES / f"{manifest.generation + 1:04d}"


def sweep_partials(directory: Path) -> None:
    """Remove what killed processes left unfinished anywhere in a collection; the caller holds the writer's lock."""
    remove_partials(directory)
    for name in _OLD_PARTIALS:
        with suppress(OSError):
            (directory / name).unlink()
    for folder in (GENERATIONS, SPACES, STAGING, ROLLBACK_ROWS, PAST, ACTIVATIONS):
        remove_partials(directory / folder)
    for folder in (SPACES, STAGING, ROLLBACK_ROWS):
        with suppress(OSError):
            for store in sorted((directory / folder).iterdir()):
                remove_partials(store)
                remove_partials(store / GENERATIONS)


def sweep(directory: Path, manifest: Manifest) -> None:
    """Remove every store and generation that the manifest no longer names; the caller holds the writer's lock.

    Views of images go, too, where it keeps none. A process that was killed after publishing leaves what it was about to remove. Readers that have it mapped go on.
    The manifest is made durable first: it may be a killed process's, and after a crash the one before may name them.
    """
    named = {manifest.store} | stores_for_readers(directory)
    for upgrade in manifest.upgrades:
        previous = upgrade.get("previous")
        if previous:
            named.add(previous.get("store", ""))
    if not manifest.views:
        from retrieval.views import drop_views  # which loads what builds: whoever only reads needs none of it

        drop_views(directory)
    stores = [path for path in (directory / SPACES).glob("*") if f"{SPACES}/{path.name}" not in named]
    with suppress(OSError):
        if stores or "" not in named or has_stale_generations(directory, manifest):
            sync_directory(directory)
            sweep_generations(directory, manifest)
    for path in stores:
        remove_tree(path)
    with suppress(OSError):
        (directory / SPACES).rmdir()  # if it is empty
    if "" not in named:
        remove_tree(directory / VECTORS)
        (directory / RERANK).unlink(missing_ok=True)


def sweep_changes(directory: Path, manifest: Manifest) -> None:
    """Remove the rows that changes of the encoder were made with, if all are over; the caller holds the lock."""
    if manifest.upgrades and not (manifest.migrating or manifest.reencoding):
        remove_staging(directory)
        if manifest.upgrades[-1].get("state") == "rolled back":
            remove_tree(directory / ROLLBACK_ROWS)


def remove_staging(directory: Path, *, but: Sequence[str | None] = ()) -> None:
    """Remove the rows of changes that are over, except those in the places ``but``."""
    kept = {directory / place for place in but if place is not None}
    for path in (directory / STAGING).glob("*"):
        if path not in kept:
            remove_tree(path)
    with suppress(OSError):
        (directory / STAGING).rmdir()  # if it is empty
