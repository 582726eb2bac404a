"""Keep what a build saw of each source for the next one, and list what was skipped in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.files import make_directories, remove_tree
from indexes.generation import FOLDER, HAND
from retrieval.sources import MEMORIES, FolderMemory, memory_of, read_skipped, remember, write_skipped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from indexes.generation import Source as Recorded
    from retrieval.ingestion.build_sources.build_sources import BuildSource, BuildSources
    from retrieval.ingestion.intake import Intake


def read_memory(source: BuildSource, directory: Path, *, retry_large: bool = False) -> FolderMemory:
    """Read what the last build kept of a source.

    Args:
        source: the source.
        directory: the collection's.
        retry_large: files that were skipped as too large are to be tried again.
    """
    own = memory_of(directory, source.number)
    skipped = own if source.is_main and own.is_dir() else source.memory
    return FolderMemory.read(source.memory, skipped=skipped, retry_large=retry_large)


def write_memories(directory: Path, sources: BuildSources, intakes: Sequence[Intake]) -> None:
    """Keep what a build saw.

    The list of skipped files beside the manifest is that of all sources. A collection of one folder has no other one.

    Args:
        directory: the collection's.
        sources: of the build.
        intakes: those of the chosen sources, in their order.
    """
    built = [source for source in sources.recorded if source.type != HAND]
    main = next((source for source in built if source.type == FOLDER), None)
    is_alone = built == [main]
    if not is_alone and main is not None:
        _split(directory, main)
    for source, intake in zip(sources.chosen, intakes, strict=True):
        changes, place = intake.changes, source.memory
        listed = place if is_alone or not source.is_main else memory_of(directory, source.number)
        make_directories(listed)
        remember(
            place,
            skipped=intake.skipped_everywhere(),
            folders=changes.folders,  # as they were when they were listed: later changes are news to the next build
            rejected=changes.rejected,
            kept=changes.remembered if source.below or changes.incomplete else None,
            listed=listed,
        )
    for dropped in sources.dropped:
        remove_tree(memory_of(directory, dropped.number))
    if is_alone and main is not None:
        _join(directory, main)
    elif not is_alone:
        lists = [read_skipped(memory_of(directory, source.number)) for source in built]
        write_skipped(directory, [file for files in lists for file in files.values()])


def _split(directory: Path, main: Recorded) -> None:
    """Give the first folder a list of its own: the one beside the manifest is now that of all sources."""
    own = memory_of(directory, main.number)
    if not own.is_dir():
        make_directories(own)
        write_skipped(own, read_skipped(directory).values())


def _join(directory: Path, main: Recorded) -> None:
    """Go back to one list, where the folder is the only source again."""
    own = memory_of(directory, main.number)
    if own.is_dir():
        write_skipped(directory, read_skipped(own).values())
    remove_tree(directory / MEMORIES)
