"""Report the groups of a collection: names, sizes, representatives, odd ones, and which groups lie together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from indexes.vectors import same_facts
from retrieval.display import escape, path_json
from retrieval.errors import OptionError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from retrieval.curation.groups.group_names import NamedBy
    from retrieval.curation.groups.merge_tree import MergeTree
    from retrieval.curation.picks import PickedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Images that are alike.

    Attributes:
        number: from 1, the largest group first.
        name: a word; empty where the encoder knows no words.
        words: the nearest words, each with its cosine with the group's mean.
        size: how many images it has.
        cohesion: mean cosine of its images with the group's mean: how alike they are.
        representatives: images that stand for the others, the most telling first; `score` is the cosine with the group's mean.
        odd: images least like the others, the oddest first; `score` as there.
    """

    number: int
    name: str
    words: NamedBy
    size: int
    cohesion: float
    representatives: tuple[PickedImage, ...]
    odd: tuple[PickedImage, ...]

    def __len__(self) -> int:
        return self.size

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {
            "group": self.number,
            "name": self.name,
            "words": [{"word": word, "score": round(score, 6)} for word, score in self.words],
            "size": self.size,
            "cohesion": round(self.cohesion, 6),
            "representatives": [image.to_json() for image in self.representatives],
            "odd": [image.to_json() for image in self.odd],
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Groups(Sequence[Group]):
    """The groups of a collection, the largest first.

    Attributes:
        groups: all of them.
        ids: ``(n,)`` the rows that were grouped, rising.
        labels: ``(n,)`` the number of each row's group, from 1.
        scores: ``(n,)`` cosine of each row with the mean of its group.
        estimated: whether the number of groups was found.
        unnamed: why the groups have no names; empty where they have.
    """

    groups: tuple[Group, ...]
    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    estimated: bool = True
    unnamed: str = ""
    _keys: Mapping[int, str] = field(default_factory=dict)
    _tree: MergeTree | None = None

    __hash__ = None  # type: ignore[assignment]  # it holds arrays

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Groups) and same_facts(self, other)

    @overload
    def __getitem__(self, at: int) -> Group: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Group, ...]: ...
    def __getitem__(self, at: int | slice) -> Any:
        return self.groups[at]

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __repr__(self) -> str:
        return f"<Groups: {len(self):,} of {len(self.ids):,} images>"

    def level(self, number: int) -> list[list[int]]:
        """Return which groups lie together if there were only ``number``: the groups' numbers, the largest first.

        Raises:
            OptionError: `number` is not from 1 to the number of groups.
        """
        if self._tree is None or not 1 <= number <= len(self):
            raise OptionError(f"`number` is {number}; give 1 to {len(self):,}, the number of groups")
        belongs = self._tree.at(number)
        return [(np.flatnonzero(belongs == one) + 1).tolist() for one in range(number)]

    def levels(self) -> list[list[list[int]]]:
        """Return `level` for half as many groups, for a quarter, and so on down to two."""
        numbers = []
        number = len(self) // 2
        while number >= 2:
            numbers.append(number)
            number //= 2
        return [self.level(number) for number in numbers]

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {
            "images": len(self.ids),
            "estimated": self.estimated,
            "unnamed": self.unnamed,
            "groups": [group.to_json() for group in self.groups],
            "levels": self.levels(),
        }

    def to_csv(self, *, terminal: bool = False) -> str:
        """Return one line for each image, with a header: ``path``, ``group``, ``name``, ``score``, ``id``.

        Args:
            terminal: the text goes to a terminal: what could drive it is escaped.
        """
        from retrieval.render import csv_text

        rows = (
            [
                path_json(self._keys[number])["path"],
                label,
                self.groups[label - 1].name,
                f"{score:.6f}",
                number,
            ]
            for number, label, score in zip(
                self.ids.tolist(), self.labels.tolist(), self.scores.tolist(), strict=True
            )
        )
        return csv_text(("path", "group", "name", "score", "id"), rows, terminal=terminal)

    def write_page(self, path: str | os.PathLike[str]) -> None:
        """Write a page with the representatives and the odd ones of each group.

        Raises:
            StoreFull: no space left; a file that had the name stays.
        """
        from pathlib import Path

        from retrieval.curation.groups.groups_page import write_groups

        write_groups(self, Path(path))

    def title(self, number: int) -> str:
        """Return the name of a group, or its number where it has none; safe to show."""
        return escape(self.groups[number - 1].name) or f"group {number}"
