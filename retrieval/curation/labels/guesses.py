"""Report guessed labels: of images without one, and of images whose label is doubted; write them as JSON and CSV."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from retrieval.display import path_json

if TYPE_CHECKING:
    from retrieval.curation.labels.label_model import Choice

CLASSIFIED: Final = ("file", "label", "probability", "best", "nearest", "reason", "voters")
SUSPECTED: Final = ("file", "label", "likely", "probability", "likely_probability", "nearest", "voters")
"""Of the CSV."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """A labelled image near to another one.

    Attributes:
        path: relative to the collection's root.
        id: the row.
        label: its label.
        score: cosine of both images.
    """

    path: str
    id: int
    label: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {**path_json(self.path), "id": self.id, "label": self.label, "score": round(self.score, 6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What an image without a label likely shows.

    Attributes:
        path: relative to the collection's root.
        id: the row.
        label: the guess; None where there is none.
        reason: why there is none: ``nothing near`` or ``unsure``; empty otherwise.
        best: the likeliest label, also where it is no guess.
        probability: of `best`, 0 to 1.
        nearest: cosine to the nearest labelled image once the mean of the collection is taken from both.
        voters: the nearest labelled images, nearest first.
    """

    path: str
    id: int
    label: str | None
    reason: str
    best: str
    probability: float
    nearest: float
    voters: tuple[Voter, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {
            **path_json(self.path),
            "id": self.id,
            "label": self.label,
            "reason": self.reason,
            "best": self.best,
            "probability": round(self.probability, 4),
            "nearest": round(self.nearest, 4),
            "voters": [one.to_json() for one in self.voters],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A labelled image that its neighbours contradict.

    Attributes:
        path: relative to the collection's root.
        id: the row.
        label: its label.
        probability: of that label, as if it were not known; 0 to 1.
        likely: the likeliest other label.
        likely_probability: of that.
        nearest: cosine to the nearest other labelled image once the mean of the collection is taken from both.
        voters: the nearest other labelled images, nearest first.
    """

    path: str
    id: int
    label: str
    probability: float
    likely: str
    likely_probability: float
    nearest: float
    voters: tuple[Voter, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {
            **path_json(self.path),
            "id": self.id,
            "label": self.label,
            "probability": round(self.probability, 4),
            "likely": self.likely,
            "likely_probability": round(self.likely_probability, 4),
            "nearest": round(self.nearest, 4),
            "voters": [one.to_json() for one in self.voters],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report(Sequence[T]):
    """What both reports share.

    Attributes:
        names: the labels, sorted.
        labelled: how many images of the collection have a label.
        unknown: how many of the labelled files are not in the collection.
        first_unknown: the first of these files, as it is written; empty where there is none.
        choice: how labels are guessed.
    """

    items: tuple[T, ...]
    names: tuple[str, ...]
    labelled: int
    unknown: int
    choice: Choice
    first_unknown: str = ""
    _root: str = ""
    _directory: str = ""

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[T, ...]: ...
    def __getitem__(self, at: int | slice) -> Any:
        return self.items[at]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        return Path(self._root)

    @property
    def directory(self) -> Path:
        """The collection's directory."""
        return Path(self._directory)

    def _facts(self) -> dict[str, Any]:
        return {
            "labels": list(self.names),
            "labelled": self.labelled,
            "unknown": self.unknown,
            "first_unknown": self.first_unknown,
            "choice": self.choice.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Classification(_Report[Guess]):
    """The guessed labels of the images without one, in the order of their rows."""

    def __repr__(self) -> str:
        return f"<Classification: {len(self.items):,} images, {self.guessed:,} of them with a label>"

    @property
    def guessed(self) -> int:
        """How many images got a label."""
        return sum(one.label is not None for one in self.items)

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return self._facts() | {"guessed": self.guessed, "images": [one.to_json() for one in self.items]}

    def to_csv(self, *, terminal: bool = False) -> str:
        """Return one line for each image, with a header; the label is empty where there is none.

        Args:
            terminal: the text goes to a terminal: what could drive it is escaped.
        """
        from retrieval.render import csv_text

        rows = [
            [
                path_json(one.path)["path"],
                one.label or "",
                f"{one.probability:.4f}",
                one.best,
                f"{one.nearest:.4f}",
                one.reason,
                _named(one.voters),
            ]
            for one in self.items
        ]
        return csv_text(CLASSIFIED, rows, terminal=terminal)

    def write_page(self, path: str | os.PathLike[str]) -> int:
        """Write a page with the images of each label, the surest first: one file, no network.

        Returns:
            how many images are on it.
        Raises:
            CollectionNotFound: the collection is no longer there.
            StoreFull: no space left.
        """
        from retrieval.curation.labels.label_pages import write_classification

        return write_classification(self, Path(path))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Suspects(_Report[Suspect]):
    """The labelled images that their neighbours contradict, the most doubtful first.

    Attributes:
        judged: how many labelled images were looked at.
        alone: how many could not be judged, because no other image has their label.
    """

    judged: int = 0
    alone: int = 0

    def __repr__(self) -> str:
        return f"<Suspects: {len(self.items):,} of {self.judged:,} labelled images>"

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return self._facts() | {
            "judged": self.judged,
            "alone": self.alone,
            "suspects": [one.to_json() for one in self.items],
        }

    def to_csv(self, *, terminal: bool = False) -> str:
        """Return one line for each image, with a header.

        Args:
            terminal: the text goes to a terminal: what could drive it is escaped.
        """
        from retrieval.render import csv_text

        rows = [
            [
                path_json(one.path)["path"],
                one.label,
                one.likely,
                f"{one.probability:.4f}",
                f"{one.likely_probability:.4f}",
                f"{one.nearest:.4f}",
                _named(one.voters),
            ]
            for one in self.items
        ]
        return csv_text(SUSPECTED, rows, terminal=terminal)

    def write_page(self, path: str | os.PathLike[str]) -> int:
        """Write a page with each doubted image beside those that contradict it: one file, no network.

        Returns:
            how many doubted images are on it.
        Raises:
            CollectionNotFound: the collection is no longer there.
            StoreFull: no space left.
        """
        from retrieval.curation.labels.label_pages import write_suspects

        return write_suspects(self, Path(path))


def _named(voters: tuple[Voter, ...]) -> str:
    return " ".join(str(one.id) for one in voters)
