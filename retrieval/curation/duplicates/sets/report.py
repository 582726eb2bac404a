"""Report the sets of duplicates of a collection: which images, who stays and why; write them as JSON and CSV."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

from retrieval.curation.duplicates.sets.image_sets import KINDS, DuplicateImage, DuplicateSet
from retrieval.display import escape, path_json
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from retrieval.curation.duplicates.moving import Move, MoveReport

_NAMED: Final = 3
COLUMNS: Final = (
    "set",
    "kind",
    "path",
    "keep",
    "reason",
    "score",
    "probability",
    "width",
    "height",
    "bytes",
    "id",
    "collection",
)
"""Of the CSV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates(Sequence[DuplicateSet]):
    """The sets of duplicates of a collection.

    Attributes:
        sets: the sets, the closest degree first, then by the path of the image that stays.
        kinds: degrees that were looked for.
        method: ``geometry`` (pictures were laid on each other), ``hash`` (they could only be compared coarsely), or ``exact``.
        threshold: cosine from which two images were compared; None where none were.
        precision: what share of the images listed as the same picture should be it.
        expected_recall: share of altered copies that the same way found among photographs whose copies are known; None where nobody measured it.
        images: rows that were looked at.
        compared: pairs of pictures that were compared.
        unread: images that could not be read, so that only their bytes counted.
        unread_named: paths of the first of them.
        at_most: how many images each one names as likely, the likest ones.
        cut: near images that were left out, because each image had likelier ones or stood in a dense group. A pair may count twice,
            or be named by its other image.
        missed: lines that say what this way does not find.
    """

    sets: tuple[DuplicateSet, ...]
    kinds: tuple[str, ...] = KINDS
    method: str = "exact"
    threshold: float | None = None
    precision: float = 1.0
    expected_recall: float | None = None
    images: int = 0
    compared: int = 0
    unread: int = 0
    unread_named: tuple[str, ...] = ()
    at_most: int = 0
    cut: int = 0
    missed: tuple[str, ...] = field(default=())
    _root: str = ""
    _directory: str = ""

    @overload
    def __getitem__(self, at: int) -> DuplicateSet: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[DuplicateSet, ...]: ...
    def __getitem__(self, at: int | slice) -> Any:
        return self.sets[at]

    def __len__(self) -> int:
        return len(self.sets)

    def __iter__(self) -> Iterator[DuplicateSet]:
        return iter(self.sets)

    def __repr__(self) -> str:
        return f"<Duplicates: {len(self.sets):,} sets, {len(self.going):,} images could go>"

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        return Path(self._root)

    @property
    def directory(self) -> Path:
        """The collection's directory."""
        return Path(self._directory)

    @property
    def going(self) -> list[DuplicateImage]:
        """The images that could go, each once."""
        found: dict[tuple[bool, int], DuplicateImage] = {}
        for one in self.sets:
            for image in one.images:
                if not image.keep:
                    found.setdefault((image.against, image.id), image)
        return list(found.values())

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {
            "threshold": self.threshold,
            "precision": self.precision,
            "expected_recall": self.expected_recall,
            "method": self.method,
            "kinds": list(self.kinds),
            "images": self.images,
            "compared": self.compared,
            "unread": self.unread,
            "cut": self.cut,
            "missed": list(self.missed),
            "sets": [one.to_json() for one in self.sets],
        }

    def to_csv(self, *, terminal: bool = False) -> str:
        """Return one line for each image, with a header.

        Args:
            terminal: the text goes to a terminal: what could drive it is escaped.
        """
        from retrieval.render import csv_text

        rows = [
            [
                number,
                image.kind,
                path_json(image.path)["path"],
                "yes" if image.keep else "no",
                image.reason,
                "" if image.score is None else f"{image.score:.6f}",
                "" if image.probability is None else f"{image.probability:.4f}",
                image.width or "",
                image.height or "",
                image.size_bytes,
                image.id,
                "against" if image.against else "",
            ]
            for number, one in enumerate(self.sets, start=1)
            for image in one.images
        ]
        return csv_text(COLUMNS, rows, terminal=terminal)

    def to_pandas(self) -> Any:
        """Return one row for each image as a table.

        Raises:
            MissingExtra: pandas is not installed.
        """
        from indexes.distribution import pip_install
        from retrieval.errors import MissingExtra

        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtra(f"pandas is not installed; run {pip_install('pandas')}") from error
        return pd.DataFrame(
            [
                {"set": number, **image.to_json()}
                for number, one in enumerate(self.sets, start=1)
                for image in one.images
            ]
        )

    def link_to(self, directory: str | os.PathLike[str]) -> list[Path]:
        """Put links to the images of each set into a folder of its own, for looking: ``0001/keep-…``, ``0001/…``.

        Raises:
            OptionError: an image is no file of its own. Nothing was written.
            StoreFull, StoreReadOnly: the folder cannot be written.
        """
        from retrieval.curation.duplicates.sets.links import link_sets

        return link_sets(self.sets, directory)

    def move_to(self, directory: str | os.PathLike[str]) -> MoveReport:
        """Move the images that could go into a folder; `undo_moves` brings them back.

        Raises:
            OptionError: an image to go is no file of a folder, or the folder cannot be used. Nothing was moved.
            StoreFull, StoreReadOnly: something cannot be written. What was moved so far can be undone.
        """
        from retrieval.curation.duplicates.moving import move_files

        return move_files(self._moves(), root=self.root, directory=directory, collection=self.directory)

    def write_page(self, path: str | os.PathLike[str]) -> int:
        """Write a page to review the sets: one file, no network; it saves what a person decides as a file for `ignore`.

        Returns:
            how many sets are on it: a page has room for the first thousand.
        Raises:
            StoreFull: no space left.
        """
        from retrieval.curation.duplicates.review import write_review

        return write_review(self, Path(path))

    def _moves(self) -> list[Move]:
        from retrieval.curation.duplicates.moving import Move

        foreign = [image for image in self.going if not image.against and not _is_own_file(image)]
        if foreign:
            named = ", ".join(escape(image.path) for image in foreign[:_NAMED])
            more = f" and {len(foreign) - _NAMED:,} more" if len(foreign) > _NAMED else ""
            raise OptionError(
                f"{named}{more}: no file of its own in the collection's folder, so it cannot be moved; leave such images out "
                "with `under`, or take the list as JSON or CSV"
            )
        moves: dict[bytes, Move] = {}
        for one in self.sets:
            for image in one.images:
                if not image.keep and not image.against:
                    key = os.fsencode(image.path)
                    if key not in moves:
                        moves[key] = Move(
                            key=key,
                            stamp=image.stamp,
                            content=bytes.fromhex(image.content),
                            stays=os.fsencode(one.stays.link),
                            stays_stamp=one.stays.proof(),
                        )
        return list(moves.values())


def _is_own_file(image: DuplicateImage) -> bool:
    """Say whether an image has a file of its own, or had one that is away now."""
    from retrieval.sources.media import split_key

    if image.origin is not None:
        return False
    return os.path.lexists(image.link) or split_key(os.fsencode(image.path)) is None
