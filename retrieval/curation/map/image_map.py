"""Report a map of a collection: where each image lies on a plane; write it as a page and as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.vectors import same_facts
from retrieval.display import progress_shown

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from indexes.vectors import Ids
    from retrieval.collection.answers import Origin
    from retrieval.curation.map.colorings import Coloring
    from retrieval.curation.map.map_page import MapPage
    from retrieval.curation.map.neighbor_graph import NeighborGraph
    from retrieval.curation.map.word_scores import WordScores
    from retrieval.progress import ShowProgress


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageMap:
    """A plane on which images lie near those that they are like.

    Attributes:
        ids: ``(n,)`` the rows on it, rising.
        positions: ``(n, 2)`` float32 from 0 to 1: how far right, how far down.
        paths: the key of each row.
        groups: the names of the groups, the largest first.
        labels: ``(n,)`` the number of each row's group, from 1.
        neighbors: the nearest others of each row, in the collection and not on the map.
        colorings: ways to colour it: by group, label, folder and columns.
        words: the images nearest to each word; None where the encoder knows no words.
        unsearchable: why it does not; empty where it does.
        total: images that it was made for.
        columns: values of each column, one a row; None for what is missing.
        given_labels: the label of each row that it was made with; None where there were none.
        unknown: how many of the files with a label are not in the collection.
        first_unknown: the first of these files, as it is written; empty where there is none.
        root: the folder of the images.
        links: the file or address of each image; empty for a row by hand without a file.
        origins: where images are read from that are no files of the folder, by place.
    """

    ids: Ids
    positions: NDArray[np.float32]
    paths: tuple[str, ...]
    groups: tuple[str, ...]
    labels: NDArray[np.int64]
    neighbors: NeighborGraph
    colorings: tuple[Coloring, ...]
    words: WordScores | None
    unsearchable: str = ""
    total: int
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    given_labels: Sequence[str | None] | None = None
    unknown: int = 0
    first_unknown: str = ""
    root: str = ""
    links: tuple[str, ...] = ()
    origins: Mapping[int, Origin] = field(default_factory=dict)

    __hash__ = None  # type: ignore[assignment]  # it holds arrays

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImageMap) and same_facts(self, other)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<ImageMap: {self.title}>"

    @property
    def sampled(self) -> int:
        """How many images are on it."""
        return len(self.ids)

    @property
    def title(self) -> str:
        """What it shows, such as ``890 images``."""
        return f"{self.sampled:,} {'image' if self.sampled == 1 else 'images'}"

    def group_places(self) -> list[tuple[str, NDArray[np.float32]]]:
        """Return each group's name and the position of the image in its middle, as far as it has images here; the largest group first."""
        return [
            (name, self._middle(np.flatnonzero(self.labels == number)))
            for number, name in enumerate(self.groups, start=1)
            if (self.labels == number).any()
        ]

    def _middle(self, members: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the position nearest to the median of some: the median itself may lie where nothing is."""
        own = self.positions[members]
        middle: NDArray[np.float32] = own[((own - np.median(own, axis=0)) ** 2).sum(axis=1).argmin()]
        return middle

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {
            "images": self.total,
            "shown": self.sampled,
            "groups": list(self.groups),
            "colorings": [coloring.name for coloring in self.colorings],
            "words": len(self.words.words) if self.words else 0,
            "unsearchable": self.unsearchable,
            "unknown": self.unknown,
            "first_unknown": self.first_unknown,
        }

    def write_page(self, path: str | os.PathLike[str], *, progress: ShowProgress = None) -> MapPage:
        """Write a page that pans, zooms, colours and searches: one file of at most 100 MB.

        Args:
            path: the file. Images are linked relative to it.
            progress: True for a bar where somebody sees one, or a function; images are read for small pictures.
        Returns:
            how large it is, and which images have no picture on it.
        Raises:
            StoreFull: no space left; a file that had the name stays.
        """
        from pathlib import Path

        from retrieval.curation.map.map_page import write_map

        with progress_shown(progress) as show:
            return write_map(self, Path(path), progress=show)

    def write_table(self, path: str | os.PathLike[str]) -> None:
        """Write a Parquet file with a row for each image: ``path``, ``id``, ``x``, ``y``, ``group``, ``neighbors`` and the columns.

        If the map was given labels, there is a column ``label``, too.

        Embedding Atlas opens it with ``--x x --y y --neighbors neighbors``.

        Raises:
            MissingExtra: pyarrow is not installed.
            StoreFull: no space left; a file that had the name stays.
        """
        from pathlib import Path

        from retrieval.curation.map.map_table import write_map_table

        write_map_table(self, Path(path))
