"""Name the images of some rows, with where to read them and a number that says why they were picked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.display import path_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from retrieval.collection import Collection
    from retrieval.collection.answers import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class PickedImage:
    """An image that was picked from a collection.

    Attributes:
        id, path: its row and key.
        score: a cosine; of what with what, the function says that picked it.
        stands_for: how many images, itself among them, are nearer to it than to the others that were picked; None where nobody counted.
        link: the file's absolute path, or the address of an image that is no file.
        origin: where it is read from, if not from a file of the collection's first folder.
    """

    id: int
    path: str
    score: float
    link: str
    origin: Origin | None = None
    stands_for: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        counted = {} if self.stands_for is None else {"stands_for": self.stands_for}
        return {"id": self.id, **path_json(self.path), "score": round(self.score, 6), **counted}


def picked_images(
    collection: Collection, ids: Iterable[int], scores: Iterable[float], counts: Iterable[int] | None = None
) -> tuple[PickedImage, ...]:
    """Return the images of some rows.

    Args:
        collection: what they are of.
        ids: their rows.
        scores: as many cosines.
        counts: as many numbers of images that they stand for.
    """
    rows = [collection[int(number)] for number in ids]
    counted: list[int | None] = [None] * len(rows) if counts is None else [int(count) for count in counts]
    return tuple(
        PickedImage(
            id=row.id,
            path=row.key,
            score=float(score),
            link=row.link,
            origin=row.origin,
            stands_for=count,
        )
        for row, score, count in zip(rows, scores, counted, strict=True)
    )
