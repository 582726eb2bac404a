"""Make a map of a collection: neighbours, places on a plane, groups, colours and words."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.collection import open_collection
from retrieval.collection.queries import passing_rows
from retrieval.curation.groups import PrincipalAxes, cluster, read_words
from retrieval.curation.map.colorings import (
    Coloring,
    category_coloring,
    column_colorings,
    folder_coloring,
)
from retrieval.curation.map.image_map import ImageMap
from retrieval.curation.map.layout import NEIGHBORS, PASSES, layout, require_layout
from retrieval.curation.map.neighbor_graph import neighbor_graph
from retrieval.curation.map.word_scores import map_words, word_scores
from retrieval.display import progress_shown
from retrieval.errors import EncoderError, SpaceMismatch
from retrieval.evaluation import known_labels
from retrieval.hints import named_arguments
from retrieval.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from indexes.vectors import Bitmap, Vectors
    from retrieval.collection import Collection
    from retrieval.collection.answers import Origin
    from retrieval.curation.groups import Groups
    from retrieval.curation.map.word_scores import WordScores
    from retrieval.evaluation import KnownLabels, LabelsLike
    from retrieval.progress import OnProgress, ShowProgress

MOST_IMAGES: Final = 200_000
"""Images on a map; of more it shows as many, taken by chance."""

_SAMPLE: Final = 20_000
"""Rows whose principal axes are those of all."""

_BLOCK: Final = 8_192


@named_arguments
def map_images(
    collection: Collection | str | os.PathLike[str],
    *,
    labels: LabelsLike | None = None,
    column: str | None = None,
    words: str | os.PathLike[str] | None = None,
    under: str | os.PathLike[str] | None = None,
    glob: str | None = None,
    where: Any = None,
    progress: ShowProgress = None,
) -> ImageMap:
    """Make a two-dimensional map of a collection. Nothing is encoded again, and nothing is changed.

    Images that are alike lie together. The same rows give the same map. It can be coloured by groups, by `labels`, by folders and
    by columns.

    Args:
        collection: a collection, or its path.
        labels: a CSV file with the header ``file,label``, or labels by key.
        column: the column that has the labels, instead of `labels`.
        words: a text file of words to name groups and search by, one a line; None for everyday nouns.
        under, glob, where: only images that pass these filters of `Collection.search`.
        progress: True for a bar where somebody sees one, or a function.
    Raises:
        MissingExtra: openTSNE is not installed.
        OptionError: `words` or `labels` cannot be read, or say nothing.
        CollectionNotFound: there is none.
    """
    require_layout()
    chosen = map_words() if words is None else read_words(words)
    with ExitStack() as stack:
        if isinstance(collection, str | os.PathLike):
            collection = stack.enter_context(open_collection(collection))
        show = stack.enter_context(progress_shown(progress))
        given = labels is not None or column is not None
        known = known_labels(collection, labels, column=column) if given else None
        groups = cluster(collection, words=words, under=under, glob=glob, where=where, progress=show)
        mask = passing_rows(collection, under=under, glob=glob, where=where)
        mask[mask] = _taken(len(groups.ids))
        run = _Mapping(collection, mask, show)
        return run.make(groups, chosen, known, required=words is not None)


def _taken(count: int) -> NDArray[np.bool_]:
    """Say which of some images a map shows, ``(count,)``."""
    return np.random.default_rng(0).permutation(count) < MOST_IMAGES


class _Mapping:
    """One run over some rows of a collection."""

    def __init__(self, collection: Collection, mask: Bitmap, progress: OnProgress | None) -> None:
        self._collection, self._mask, self._progress = collection, mask, progress
        self.ids = collection.row_ids(mask)

    def make(
        self, groups: Groups, words: tuple[str, ...], known: KnownLabels | None, *, required: bool
    ) -> ImageMap:
        """Do the steps in their order; ``required`` says that a person gave the words."""
        graph = neighbor_graph(
            self._collection, self._mask, number=NEIGHBORS, told=self._told("neighbors", len(self.ids))
        )
        positions = layout(graph, self._axes(), told=self._told("layout", PASSES))
        scores, reason = self._words(words, required=required)
        paths, links, origins = self._files()
        own = groups.labels[np.isin(groups.ids, self.ids)]
        names = tuple(groups.title(group.number) for group in groups)
        columns = self._columns()
        labels = None if known is None else self._labels(known)
        colorings = [
            category_coloring("group", [names[label - 1] for label in own.tolist()]),
            *([] if labels is None else [category_coloring("label", labels)]),
            *([folder] if (folder := folder_coloring(paths)) else []),
            *column_colorings(columns, self._collection.column_types()),
        ]
        return ImageMap(
            ids=self.ids,
            positions=positions,
            paths=paths,
            groups=names,
            labels=own,
            neighbors=graph,
            colorings=tuple(_distinct(colorings)),
            words=scores,
            unsearchable=reason,
            total=len(groups.ids),
            columns=columns,
            given_labels=labels,
            unknown=0 if known is None else known.unknown,
            first_unknown="" if known is None else known.first_unknown,
            root=os.path.abspath(self._collection.root),
            links=links,
            origins=origins,
        )

    def _told(self, phase: str, total: int) -> Callable[[int], None]:
        def tell(done: int) -> None:
            if self._progress is not None:
                self._progress(Progress(phase=phase, done=done, total=total))

        return tell

    def _labels(self, known: KnownLabels) -> list[str | None]:
        """Return the label of each row; None where it has none."""
        names = dict(zip(known.ids.tolist(), (known.names[code] for code in known.codes), strict=True))
        return [names.get(number) for number in self.ids.tolist()]

    def _read(self, places: NDArray[np.int64]) -> Vectors:
        return self._collection.vectors(self.ids[places])

    def _axes(self) -> NDArray[np.float32]:
        """Return where the rows lie along their two principal axes, ``(n, 2)``."""
        if not len(self.ids):
            return np.empty((0, 2), dtype=np.float32)
        sample = np.sort(np.random.default_rng(0).permutation(len(self.ids))[:_SAMPLE])
        axes = PrincipalAxes(self._read(sample), 2)
        found = np.zeros((len(self.ids), 2), dtype=np.float32)
        for start in range(0, len(self.ids), _BLOCK):
            places = np.arange(start, min(start + _BLOCK, len(self.ids)))
            along = axes.along(self._read(places))
            found[places, : along.shape[1]] = along
        return found

    def _words(self, words: tuple[str, ...], *, required: bool) -> tuple[WordScores | None, str]:
        """Find the images nearest to words, or why that cannot be; where a person gave the words, that is an error."""
        if not len(self.ids):
            return None, ""
        try:
            found = word_scores(self._collection.encoder, words, self._read, len(self.ids))
        except (EncoderError, SpaceMismatch) as error:
            if required:
                raise
            return None, str(error)
        return replace(found, absent=self._absent(found.words)), ""

    def _absent(self, words: tuple[str, ...]) -> NDArray[np.bool_]:
        """Say of which words a search says that likely nothing matches, ``(w,)``; of none where it cannot tell."""
        answers = self._collection.search(list(words), k=1, names="off", mask=self._mask)
        return np.array([one.error is None and one.likely == 0 for one in answers], dtype=bool)

    def _files(self) -> tuple[tuple[str, ...], tuple[str, ...], dict[int, Origin]]:
        """Return keys, links, and origins by place; a row by hand without a file has no link."""
        rows = [self._collection[number] for number in self.ids.tolist()]
        return (
            tuple(row.key for row in rows),
            tuple("" if row.by_hand and not row.file.is_file() else row.link for row in rows),
            {place: row.origin for place, row in enumerate(rows) if row.origin is not None},
        )

    def _columns(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {name: [] for name in self._collection.column_types()}
        for start in range(0, len(self.ids) if found else 0, _BLOCK):
            for values in self._collection.columns(self.ids[start : start + _BLOCK]):
                for name, known in found.items():
                    known.append(values.get(name))
        return found


def _distinct(colorings: list[Coloring]) -> list[Coloring]:
    """Leave out columns that are called as what stands before them."""
    return list({coloring.name: coloring for coloring in reversed(colorings)}.values())[::-1]
