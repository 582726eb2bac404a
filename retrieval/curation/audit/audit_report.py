"""Report the state of a collection: issues by name, skipped files, splits, classes, hubness, association; as JSON, CSV and a page."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from retrieval.display import path_json
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrieval.curation.audit.association_bias import Association
    from retrieval.curation.audit.class_balance import ClassBalance
    from retrieval.curation.audit.hubness import Hubness
    from retrieval.curation.audit.issues import Issue
    from retrieval.curation.audit.set_issues import Splits
    from retrieval.curation.duplicates import Duplicates
    from retrieval.curation.labels import Suspects

COLUMNS: Final = ("issue", "file", "value", "note", "id")
"""Of the CSV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedImage:
    """A file that the last build could not index.

    Attributes:
        path: relative to the collection's root.
        reason: a short word.
        detail: one line for people.
    """

    path: str
    reason: str
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {**path_json(self.path), "reason": self.reason, "detail": self.detail}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Audit:
    """The state of a collection.

    Attributes:
        images: how many were looked at.
        issues: what was looked for, in the order in which it is told, also what nothing was found of.
        skipped: files that the last build could not index.
        unread: images that could not be read now, by reason.
        splits: parts that should have no picture in common; None where there are none.
        classes: how even the labels are; None without labels.
        hubness: how unevenly images are found by images; None where that was not asked, or there are too few.
        association: association bias; None where that was not asked.
        duplicates: the sets; None where they were not asked.
        suspects: the doubtful labels; None without labels.
    """

    images: int
    issues: tuple[Issue, ...]
    skipped: tuple[SkippedImage, ...] = ()
    unread: dict[str, int] = field(default_factory=dict)
    splits: Splits | None = None
    classes: ClassBalance | None = None
    hubness: Hubness | None = None
    association: Association | None = None
    duplicates: Duplicates | None = None
    suspects: Suspects | None = None
    _root: str = ""
    _directory: str = ""

    def __repr__(self) -> str:
        found = sum(bool(issue.images) for issue in self.issues)
        return f"<Audit: {self.images:,} images, {found} of {len(self.issues)} kinds of issues found>"

    def __iter__(self) -> Iterator[Issue]:
        return iter(self.issues)

    def __getitem__(self, name: str) -> Issue:
        """Return an issue by its name.

        Raises:
            OptionError: it was not looked for.
        """
        for issue in self.issues:
            if issue.name == name:
                return issue
        raise OptionError(
            f"{name!r} was not looked for; there are {', '.join(issue.name for issue in self.issues)}"
        )

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        return Path(self._root)

    @property
    def directory(self) -> Path:
        """The collection's directory."""
        return Path(self._directory)

    @property
    def skipped_by_reason(self) -> dict[str, int]:
        """How many files were skipped, by reason, the most frequent first."""
        return dict(Counter(one.reason for one in self.skipped).most_common())

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {
            "images": self.images,
            "issues": [issue.to_json() for issue in self.issues],
            "skipped": [one.to_json() for one in self.skipped],
            "skipped_by_reason": self.skipped_by_reason,
            "unread": self.unread,
            "splits": None if self.splits is None else self.splits.to_json(),
            "classes": None if self.classes is None else self.classes.to_json(),
            "hubness": None if self.hubness is None else self.hubness.to_json(),
            "association": None if self.association is None else self.association.to_json(),
        }

    def to_csv(self, *, terminal: bool = False) -> str:
        """Return one line for each image of each issue, with a header.

        Args:
            terminal: the text goes to a terminal: what could drive it is escaped.
        """
        from retrieval.render import csv_text

        rows = [
            [issue.name, path_json(image.path)["path"], f"{image.value:.4f}", image.note, image.id]
            for issue in self.issues
            for image in issue.images
        ]
        return csv_text(COLUMNS, rows, terminal=terminal)

    def write_page(self, path: str | os.PathLike[str]) -> None:
        """Write a page with all facts, and the first images of each issue: one file, no network.

        Raises:
            CollectionNotFound: the collection is no longer there.
            StoreFull: no space left; a file that had the name stays.
        """
        from retrieval.curation.audit.audit_page import write_audit

        write_audit(self, Path(path))
