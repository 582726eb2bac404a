"""Define the sources of a build: what each is opened as, recorded as, and remembered by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexes.generation import HAND
from retrieval.sources import STANDARD_INPUT, FolderSource, Selection

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.generation import Source as Recorded
    from retrieval.sources import Part, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSource:
    """One source of a build.

    Attributes:
        source: opened.
        recorded: what the manifest is to say of it.
        memory: the folder in which builds remember it.
        below: the key of the part of a folder that is walked, with a slash at its end; empty for all of it.
        is_new: the collection did not have it.
        is_main: its memory lies beside the manifest, as that of the first folder does.
        part: what of it is this collection's, where other shards hold the rest; None for all.
    """

    source: Source
    recorded: Recorded
    memory: Path
    below: bytes = b""
    is_new: bool = False
    is_main: bool = False
    part: Part | None = None

    @property
    def number(self) -> int:
        """What records of its rows name."""
        return self.recorded.number

    @property
    def name(self) -> str:
        """What messages call it: the folder that is walked, or the source's own name."""
        if not self.below:
            return self.source.name
        return self.source.link(self.below.rstrip(b"/"))

    @property
    def selection(self) -> Selection:
        """What the walk of a folder leaves out; nothing elsewhere."""
        return self.source.taken.selection if isinstance(self.source, FolderSource) else Selection()

    @property
    def is_once(self) -> bool:
        """Say whether it cannot be asked again, so that what it does not name is not gone."""
        return self.source.spec == STANDARD_INPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSources:
    """The sources of a build.

    Attributes:
        chosen: those that are listed.
        recorded: what the manifest is to name: these, those that are left alone, and rows by hand.
        dropped: those whose rows are removed.
        passed_over: texts of those that cannot be asked again.
    """

    chosen: tuple[BuildSource, ...]
    recorded: tuple[Recorded, ...]
    dropped: tuple[Recorded, ...] = ()
    passed_over: tuple[str, ...] = ()

    @property
    def adds(self) -> bool:
        """Say whether there is one that the collection did not have."""
        return any(source.is_new for source in self.chosen)

    def may_be_empty(self, source: BuildSource) -> bool:
        """Say whether a source may hold nothing: the collection had it, and has others."""
        return not source.is_new and sum(known.type != HAND for known in self.recorded) > 1

    @property
    def root(self) -> Path | None:
        """The first folder among them."""
        folders = (one.source.root for one in self.chosen if isinstance(one.source, FolderSource))
        return next(folders, None)
