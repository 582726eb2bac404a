"""What a build takes of a folder: its options, kept in the manifest so that the next build asks the same question."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from retrieval.errors import OptionError
from retrieval.sources.folders.selection import Selection
from retrieval.sources.media import MediaOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """The options of a folder.

    Attributes:
        exclude, include: globs, see `retrieval.sources.folders.selection.Selection`.
        follow_links: linked folders are walked.
        media: which pictures of films and documents are taken.
    """

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    follow_links: bool = False
    media: MediaOptions = field(default_factory=MediaOptions)

    @classmethod
    def from_json(cls, options: Mapping[str, Any]) -> Self:
        """Parse what `to_json` made, or what a caller gave.

        Raises:
            OptionError: a value that is no glob, or no number of seconds.
        """
        return cls(
            exclude=_globs(options.get("exclude", ())),
            include=_globs(options.get("include", ())),
            follow_links=bool(options.get("follow_links", False)),
            media=MediaOptions.from_json(options),
        )

    @cached_property
    def selection(self) -> Selection:
        """Which paths are walked."""
        return Selection(exclude=self.exclude, include=self.include)

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest keeps: only what is not the default."""
        facts = {
            "exclude": list(self.exclude),
            "include": list(self.include),
            "follow_links": self.follow_links,
        }
        return {name: value for name, value in facts.items() if value} | self.media.to_json()


def _globs(globs: Any) -> tuple[str, ...]:
    """Return globs without empty ones: an empty one alone says that there are none."""
    if isinstance(globs, str):
        globs = (globs,)
    if not all(isinstance(glob, str) for glob in globs):
        raise OptionError(f"{globs!r}: globs are text, such as '*.gif'")
    return tuple(glob for glob in globs if glob)
