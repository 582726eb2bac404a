"""Divide a collection into groups, name them, and choose what stands for each."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.vectors import integer
from retrieval.collection import open_collection
from retrieval.collection.queries import passing_rows
from retrieval.curation.groups.group_names import name_groups
from retrieval.curation.groups.group_report import Group, Groups
from retrieval.curation.groups.partition import MOST_GROUPS, partition
from retrieval.curation.groups.vocabulary import everyday_nouns, read_words
from retrieval.curation.picks import most_telling, picked_images
from retrieval.display import progress_shown
from retrieval.errors import EncoderError, OptionError, SpaceMismatch
from retrieval.hints import named_arguments
from retrieval.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Vectors
    from retrieval.collection import Collection
    from retrieval.collection.queries import RowNames
    from retrieval.curation.groups.group_names import NamedBy
    from retrieval.curation.groups.partition import Partition
    from retrieval.curation.picks import PickedImage
    from retrieval.progress import OnProgress, ShowProgress

_SHOWN: Final = 5
"""Representatives, and odd ones, of a group."""

_COMPARED: Final = (2 * _SHOWN, 1_000)
"""Images of a group among which representatives are chosen: the half nearest to its mean, but at least and at most so many."""

_SAMPLE: Final = 4_096
_BLOCK: Final = 16_384


@named_arguments
def cluster(
    collection: Collection | str | os.PathLike[str],
    *,
    n_groups: int | None = None,
    words: str | os.PathLike[str] | None = None,
    under: str | os.PathLike[str] | None = None,
    glob: str | None = None,
    where: Any = None,
    ids: RowNames | None = None,
    progress: ShowProgress = None,
) -> Groups:
    """Divide a collection into groups of images that are alike. Nothing is encoded again, and nothing is changed.

    The same rows give the same groups.

    Args:
        collection: a collection, or its path.
        n_groups: how many groups; None for a number that describes the images shortly, of groups that lie apart.
        words: a text file of names to choose from, one a line; None for everyday nouns. Encoders without words name nothing.
        under, glob, where, ids: only images that pass these filters of `Collection.search`.
        progress: True for a bar where somebody sees one, or a function.
    Returns:
        the groups, the largest first. There are fewer than `n_groups` where images have equal vectors.
    Raises:
        OptionError: `n_groups` is no number from 1 to that of the images, or above 1,000; or `words` cannot be read.
        CollectionNotFound: there is none.
    """
    number = None if n_groups is None else integer(n_groups, "`n_groups`", most=MOST_GROUPS)
    names = everyday_nouns() if words is None else read_words(words)
    with ExitStack() as stack:
        if isinstance(collection, str | os.PathLike):
            collection = stack.enter_context(open_collection(collection))
        show = stack.enter_context(progress_shown(progress))
        rows = collection.row_ids(passing_rows(collection, under=under, glob=glob, where=where, ids=ids))
        if number is not None and number > len(rows):
            raise OptionError(
                f"`n_groups` is {number:,}, and there are {len(rows):,} images; give fewer groups"
            )
        return _Clustering(collection, rows, show).run(number, names, required=words is not None)


class _Clustering:
    """One run over some rows of a collection."""

    def __init__(self, collection: Collection, ids: NDArray[np.int64], progress: OnProgress | None) -> None:
        self._collection, self._ids, self._progress = collection, ids, progress

    def run(self, number: int | None, words: tuple[str, ...], *, required: bool) -> Groups:
        """Do the steps in their order; ``required`` says that a person gave the words."""
        if not len(self._ids):
            empty = np.empty(0, dtype=np.int64)
            return Groups(groups=(), ids=empty, labels=empty, scores=np.empty(0, np.float32))
        found = partition(self._read, len(self._ids), number=number, told=self._tell)
        scores = self._scores(found)
        names, nearest, unnamed = self._names(words, found.means, required=required)
        members = self._members(found.labels)
        groups = tuple(
            self._group(place, members[place], scores, names[place], nearest[place])
            for place in range(len(found.means))
        )
        return Groups(
            groups=groups,
            ids=self._ids,
            labels=found.labels + 1,
            scores=scores,
            estimated=number is None,
            unnamed=unnamed,
            _keys=self._keys(),
            _tree=found.tree,
        )

    def _read(self, places: NDArray[np.int64]) -> Vectors:
        return self._collection.vectors(self._ids[places])

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(Progress(phase="group", done=done, total=len(self._ids)))

    def _keys(self) -> dict[int, str]:
        """Return the key of each row by its id."""
        wanted = set(self._ids.tolist())
        every = zip(self._collection.row_ids().tolist(), self._collection.keys(), strict=True)
        return {number: key for number, key in every if number in wanted}

    def _scores(self, found: Partition) -> NDArray[np.float32]:
        """Return the cosine of each row with the mean of its group, ``(n,)``."""
        means = found.means / np.maximum(np.linalg.norm(found.means, axis=1), 1e-12)[:, None]
        scores = np.empty(len(self._ids), dtype=np.float32)
        for start in range(0, len(self._ids), _BLOCK):
            places = np.arange(start, min(start + _BLOCK, len(self._ids)))
            scores[places] = np.einsum("nd,nd->n", self._read(places), means[found.labels[places]])
        return np.clip(scores, -1, 1)

    def _names(
        self, words: tuple[str, ...], means: Vectors, *, required: bool
    ) -> tuple[tuple[str, ...], tuple[NamedBy, ...], str]:
        """Name the groups, and say why they have no names; where a person gave the words, that is an error."""
        numbers = np.random.default_rng(0)
        places = np.sort(numbers.permutation(len(self._ids))[:_SAMPLE])
        try:
            names, nearest = name_groups(self._collection.encoder, words, means, self._read(places))
        except (EncoderError, SpaceMismatch) as error:
            if required:
                raise
            return ("",) * len(means), ((),) * len(means), str(error)
        return names, nearest, ""

    def _members(self, labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        order = np.argsort(labels, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)

    def _group(
        self,
        place: int,
        members: NDArray[np.int64],
        scores: NDArray[np.float32],
        name: str,
        nearest: NamedBy,
    ) -> Group:
        own = scores[members]
        fewest, most = _COMPARED
        half = min(max(len(members) // 2, fewest), most)
        central = np.sort(members[np.argsort(-own, kind="stable")[:half]])
        telling = central[most_telling(self._read(central), _SHOWN)]
        odd = members[np.argsort(own, kind="stable")[:_SHOWN]]
        odd = odd[~np.isin(odd, telling)]
        return Group(
            number=place + 1,
            name=name,
            words=nearest,
            size=len(members),
            cohesion=float(own.mean()),
            representatives=self._images(telling, scores),
            odd=self._images(odd, scores),
        )

    def _images(self, places: NDArray[np.int64], scores: NDArray[np.float32]) -> tuple[PickedImage, ...]:
        return picked_images(self._collection, self._ids[places].tolist(), scores[places].tolist())
