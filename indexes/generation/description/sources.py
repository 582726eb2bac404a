"""Define the sources of a collection: where its rows come from, each with a number that records name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from indexes.fields import Fields, count, mapping, optional, text
from indexes.store import SOURCES

FOLDER = "folder"
HAND = "hand"
"""Types of sources: a folder of images; rows that were added by calls, which belong to no build.

Every other type is a word that the builder of the collection knows.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where rows of a collection come from, so that the next build can ask the same question.

    Attributes:
        type: `FOLDER`, `HAND`, or the type of another source, such as ``tar``.
        path: of a folder, None for the parent of the collection's directory, else a path, relative to the collection's
            directory where possible. Of another source, the text that opens it; a path relative to the collection's
            directory begins with ``./`` or ``../``.
        options: JSON values that say what is taken of it, such as ``exclude``, ``include`` and ``follow_links``; a
            missing one has its default.
        number: what records of its rows name; each source of a collection has another one, for ever.
    """

    type: str = FOLDER
    path: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0

    @classmethod
    def from_json(cls, value: Any, *, path: Path, place: int = 0) -> Source:
        """Parse what `to_json` made.

        Args:
            value: JSON's.
            path: named in messages.
            place: in the list of sources; its number where none was written.
        """
        found = Fields(value, path=path, within="sources.")
        return cls(
            type=found.get("type", text),
            path=found.get("path", optional(text)),
            options=found.later("options", mapping, missing={}),
            number=found.later("number", count, missing=place),
        )

    def to_json(self, *, numbered: bool) -> dict[str, Any]:
        """Return what the manifest keeps of it.

        Args:
            numbered: its number, too; format 3 has none.
        """
        facts = asdict(self)
        if not numbered:
            del facts["number"]
        return facts


def parse_sources(value: Any, *, path: Path) -> tuple[Source, ...]:
    """Parse the list of a manifest's sources; ``path`` is named in messages."""
    if not isinstance(value, list) or not value:
        raise TypeError("a list of at least one source")
    sources = tuple(Source.from_json(item, path=path, place=place) for place, item in enumerate(value))
    numbers = {source.number for source in sources}
    if len(numbers) < len(sources) or max(numbers) >= SOURCES:
        raise ValueError(f"sources of different numbers below {SOURCES}")
    return sources


def free_number(sources: tuple[Source, ...]) -> int:
    """Return the number that a further source gets."""
    return max((source.number for source in sources), default=-1) + 1


def source_of_type(sources: tuple[Source, ...], name: str) -> Source:
    """Return the first source of a type, or a new one with a number of its own.

    Args:
        sources: those that are recorded.
        name: the type, such as `HAND`.
    """
    found = (source for source in sources if source.type == name)
    return next(found, Source(type=name, number=free_number(sources)))
