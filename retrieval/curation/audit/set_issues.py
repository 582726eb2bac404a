"""Turn sets of duplicates into issues: equal files, like pictures, leaks between splits, labels that contradict each other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from retrieval.curation.audit.issues import Issue, IssueImage
from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from retrieval.collection import Collection
    from retrieval.curation.duplicates import DuplicateImage, Duplicates, DuplicateSet

FOLDERS: Final = {
    "train",
    "training",
    "test",
    "testing",
    "val",
    "valid",
    "validation",
    "dev",
    "eval",
    "holdout",
}
"""Names of folders, in small letters, that are taken for splits if two of them lie at the top."""

_EXACT: Final = frozenset({"bytes", "pixels"})
_BLOCK: Final = 8_192
_WORDS: Final = {
    "bytes": "same bytes",
    "pixels": "same pixels",
    "picture": "same picture",
    "scene": "same scene",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Parts of a collection that should have no picture in common.

    Attributes:
        by: ``column NAME``, or ``folders``.
        of: the split of each row, by id.
    """

    by: str
    of: Mapping[int, str]

    @property
    def counts(self) -> dict[str, int]:
        """Images of each split, by name."""
        return dict(sorted(Counter(self.of.values()).items()))

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {"by": self.by, "counts": self.counts}


def splits_of(collection: Collection, column: str | None) -> Splits | None:
    """Return the splits that a column says, or folders such as ``train`` and ``test``; None where there are none.

    Raises:
        OptionError: the column is there and no row has a value.
    """
    if column is None:
        named = [name for name in collection.folders() if name.lower() in FOLDERS]
        if len(named) < 2:
            return None
        found = {
            number: name
            for name in named
            for number in collection.row_ids(collection.mask(under=name)).tolist()
        }
        return Splits(by="folders", of=found)
    live = collection.row_ids()
    found = {}
    for start in range(0, len(live), _BLOCK):
        some = live[start : start + _BLOCK]
        for number, columns in zip(some.tolist(), collection.columns(some), strict=True):
            if columns.get(column) is not None:
                found[number] = str(columns[column])
    if not found:
        raise OptionError(
            f"no row of {collection.directory} has a column {column!r}; `info` lists those that there are"
        )
    return Splits(by=f"column {column}", of=found)


def duplicate_issues(found: Duplicates) -> list[Issue]:
    """Return ``exact_duplicates`` and ``near_duplicates``; images that stay count, too."""
    exact: list[IssueImage] = []
    near: list[IssueImage] = []
    for number, one in enumerate(found, start=1):
        contents = Counter(image.content for image in one if image.content)
        equal = [
            image
            for image in one
            if (image is not one.stays and image.kind in _EXACT) or contents[image.content] > 1
        ]
        if any(image is not one.stays and image.kind in _EXACT for image in one) and one.stays not in equal:
            equal.insert(0, one.stays)
        exact += [_image(image, number, one) for image in equal]
        if one.kind == "picture":
            near += [
                _image(image, number, one) for image in one if image is one.stays or image.kind == "picture"
            ]
    return [
        Issue(name="exact_duplicates", images=tuple(exact), looked_at=found.images),
        Issue(name="near_duplicates", images=tuple(near), looked_at=found.images),
    ]


def leaks(found: Duplicates, splits: Splits) -> Issue:
    """Return the images of sets that stand in several splits."""
    return Issue(
        name="leaks",
        looked_at=len(splits.of),
        images=_differing(found, splits.of, lambda image: f"{splits.of[image.id]}: {_WORDS[image.kind]}"),
    )


def label_conflicts(found: Duplicates, labels: Mapping[int, str]) -> Issue:
    """Return the images of sets of one picture that have several labels.

    Args:
        found: the sets.
        labels: by row.
    """
    return Issue(
        name="label_conflicts",
        looked_at=len(labels),
        images=_differing(
            found,
            labels,
            lambda image: f"{labels[image.id]}: {_WORDS[image.kind]}",
            without="scene",
        ),
    )


def _differing(
    sets: Iterable[DuplicateSet],
    of: Mapping[int, str],
    note: Callable[[DuplicateImage], str],
    *,
    without: str = "",
) -> tuple[IssueImage, ...]:
    """Return the images of sets, but for those of one kind, to whose rows several values belong."""
    images: list[IssueImage] = []
    for number, one in enumerate(sets, start=1):
        known = [image for image in one if image.id in of]
        if one.kind != without and len({of[image.id] for image in known}) > 1:
            images += [
                IssueImage(path=image.path, id=image.id, value=float(number), note=note(image))
                for image in known
            ]
    return tuple(images)


def _image(image: DuplicateImage, number: int, one: DuplicateSet) -> IssueImage:
    note = f"set {number}: {_WORDS[one.kind if image is one.stays else image.kind]}"
    return IssueImage(path=image.path, id=image.id, value=float(number), note=note)
