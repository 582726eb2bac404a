"""Compare two encoders over the same images: which neighbours they share, where they differ, which finds the right labels.

Long because all steps of a comparison share what was asked and what both encoders found.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from indexes.vectors import integer
from retrieval.collection import Collection, open_collection, require_settled
from retrieval.curation.compare.compared_words import compare_words
from retrieval.curation.compare.comparison import (
    ComparedGroup,
    ComparedImage,
    ComparedQuality,
    Comparison,
)
from retrieval.curation.compare.neighbour_agreement import (
    mean_of,
    neighbours_of,
    right_of,
    shared_by,
)
from retrieval.curation.compare.paired_images import encode_sample_of, pair_collections
from retrieval.curation.groups import cluster
from retrieval.curation.picks import picked_images
from retrieval.display import progress_shown
from retrieval.encoders import canonical_spec, load_encoder
from retrieval.errors import EncoderError, OptionError
from retrieval.evaluation import known_labels
from retrieval.hints import named_arguments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexes.vectors import Ids
    from retrieval.curation.compare.comparison import ComparedWords
    from retrieval.curation.compare.neighbour_agreement import Near, Right
    from retrieval.curation.compare.paired_images import PairedImages
    from retrieval.encoders import Encoder, EncoderLike
    from retrieval.evaluation import KnownLabels, LabelsLike
    from retrieval.progress import OnProgress, ShowProgress

_LABELLED: Final = 5_000
"""Labelled images that ask; the gallery has all of them."""

_LEAST: Final = 5
"""Images asked for in a group, below which nothing is said of it."""

_GROUPS, _OF_GROUP, _TURNED, _SHOWN = 12, 3, 12, 5
"""Groups that are reported, examples of each, labelled images won and lost, and neighbours of each that are shown."""

_SEED: Final = 34


@named_arguments
def compare(
    a: Collection | str | os.PathLike[str],
    b: Collection | EncoderLike | os.PathLike[str],
    *,
    labels: LabelsLike | None = None,
    column: str | None = None,
    words: str | os.PathLike[str] | None = None,
    k: int = 10,
    sample: int = 1000,
    device: str = "auto",
    progress: ShowProgress = None,
) -> Comparison:
    """Compare two encoders over the same images, for example before an upgrade. Nothing is changed.

    Two collections are compared by the images that both have, by their paths. A collection and an encoder are compared by a
    sample of the collection's images, which the encoder sees for it.

    Args:
        a: a collection, or its path.
        b: another collection of the same images, or its path; or an encoder: a spec or an object. A text that names a folder is
            a path.
        labels: a CSV file with the header ``file,label``, or labels by key: measure how often the nearest image has the same one.
        column: the column that has the labels; give this or `labels`.
        words: a text file of words that both are asked, one a line; None for the names of labels, or for a hundred everyday nouns
            that stand out. Nothing is asked where one of the encoders knows no words.
        k: neighbours that are compared.
        sample: images that are asked for; with an encoder, the images that it encodes.
        device: where the encoder runs.
        progress: True for a bar where somebody sees one, or a function.
    Raises:
        OptionError: both are of one space, no image is in both, or fewer than `k` + 2; an upgrade is under way; labels that
            cannot be read; `k` or `sample` is less than 1.
        CollectionNotFound: there is none.
        EncoderError: the encoder cannot be had, or reads no images; or `words` are given, and one knows none of them.
    """
    k, sample = integer(k, "`k`"), integer(sample, "`sample`")
    with ExitStack() as stack:
        if isinstance(a, str | os.PathLike):
            a = stack.enter_context(open_collection(a))
        watch = stack.enter_context(progress_shown(progress))
        require_settled(a.manifest, what="the vectors are of two spaces, so they cannot be compared")
        if isinstance(b, os.PathLike) or (isinstance(b, str) and os.path.isdir(b)):
            b = stack.enter_context(open_collection(b))
        known = None if labels is None and column is None else known_labels(a, labels, column=column)
        if isinstance(b, Collection):
            require_settled(b.manifest, what="the vectors are of two spaces, so they cannot be compared")
            _require_other(a, b.space, str(b.directory))
            images, name, dim = pair_collections(a, b, watch), _name_of(b), b.space.dim
        else:
            encoder = _encoder(b, device=device)
            spec = canonical_spec(b) if isinstance(b, str) else getattr(encoder, "spec", None)
            name, dim = spec or encoder.space.name, encoder.space.dim
            _require_other(a, encoder.space, name)
            images = encode_sample_of(a, encoder, sample=sample, progress=watch)
        if len(images.ids) < k + 2:
            raise OptionError(
                f"{len(images.ids):,} images can be compared; for {k:,} neighbours each {k + 2:,} are needed at least"
            )
        run = _Comparing(a, images, known, k=k, progress=watch)
        answered = compare_words(
            a,
            images,
            lambda: (a.encoder, b.encoder if isinstance(b, Collection) else encoder),
            words=words,
            labels=run.labels,
            k=k,
        )
        return run.report(name, dim, queries=sample, answered=answered)


def _encoder(b: EncoderLike, *, device: str) -> Encoder:
    loaded = load_encoder(b, device=device)
    if not callable(getattr(loaded, "encode_pixels", None)):
        raise EncoderError(
            f"{loaded.space.name} reads no images, so there is nothing to compare; name another"
        )
    return loaded


def _name_of(collection: Collection) -> str:
    return collection.manifest.encoder or collection.space.name


def _some(places: Ids) -> Ids:
    """Return at most `_TURNED` of ascending places, from all over the collection."""
    if len(places) <= _TURNED:
        return places
    return places[np.linspace(0, len(places) - 1, _TURNED).round().astype(np.int64)]


def _require_other(a: Collection, space: Any, name: str) -> None:
    if a.space.same_as(space):
        raise OptionError(
            f"{name} gives vectors of the same space as {a.directory}, {a.space}; their neighbours are the same"
        )


class _Comparing:
    """One comparison of paired images.

    Args:
        collection: the first one, whose files are shown.
        images: by both encoders.
        known: labels of its rows.
        k: neighbours that are compared.
        progress: told while groups are made.
    """

    def __init__(
        self,
        collection: Collection,
        images: PairedImages,
        known: KnownLabels | None,
        *,
        k: int,
        progress: OnProgress | None,
    ) -> None:
        self._collection, self._images, self._known, self._k = collection, images, known, k
        self._progress = progress

    @property
    def labels(self) -> tuple[Ids, NDArray[np.int64], tuple[str, ...]] | None:
        """Places of the labelled images, the label of each, and the labels' names; None without labels."""
        if self._known is None:
            return None
        labelled = np.flatnonzero(np.isin(self._images.ids, self._known.ids))  # (m,) places
        return labelled, self._codes(labelled), self._known.names

    def report(
        self, name: str, dim: int, *, queries: int, answered: tuple[ComparedWords | None, str]
    ) -> Comparison:
        """Compare neighbours of so many images, and by labels; ``answered`` is what words found, or why none was asked."""
        images, k = self._images, self._k
        count = len(images.ids)
        draws = np.random.default_rng(_SEED)
        asked = np.sort(draws.permutation(count)[:queries])
        near_a, near_b = (neighbours_of(rows, asked, k=k) for rows in (images.a, images.b))
        overlap = shared_by(near_a, near_b).mean(axis=1)  # (q,)
        first = near_a.places[:, 0] == near_b.places[:, 0]
        quality, labelled, right = self._quality(draws)
        lost, won = self._turned(right, labelled)
        return Comparison(
            a=_name_of(self._collection),
            b=name,
            dim_a=images.a.shape[1],
            dim_b=dim,
            images=count,
            encoded=images.encoded,
            only_a=images.only_a,
            only_b=images.only_b,
            changed=images.changed,
            unreadable=images.unreadable,
            copies=images.copies,
            queries=len(asked),
            k=k,
            overlap=mean_of(overlap),
            same_first=mean_of(first),
            chance=k / (count - 1),
            quality=quality,
            labelled=len(labelled),
            groups=self._groups(asked, near_a, near_b, overlap, labelled, right),
            lost=self._shown(_some(lost)),
            won=self._shown(_some(won)),
            losses=len(lost),
            wins=len(won),
            words=answered[0],
            wordless=answered[1],
        )

    def _quality(
        self, draws: np.random.Generator
    ) -> tuple[tuple[ComparedQuality, ...], Ids, tuple[Ids, Right, Right] | None]:
        """Measure both by labels: the measures, the places of labelled images, and which of those asked for were right."""
        if self._known is None:
            return (), np.empty(0, dtype=np.int64), None
        images = self._images
        labelled = np.flatnonzero(np.isin(images.ids, self._known.ids))  # (m,) places
        if len(labelled) < self._k + 2:
            raise OptionError(
                f"{len(labelled):,} of {len(images.ids):,} compared images have a label; label more of them, or raise `sample`"
            )
        codes = self._codes(labelled)
        asked = np.sort(draws.permutation(len(labelled))[:_LABELLED])
        one, other = (
            right_of(neighbours_of(rows[labelled], asked, k=self._k), asked, codes)
            for rows in (images.a, images.b)
        )
        measures = []
        for name, of_a, of_b in (
            ("knn_accuracy", one.first, other.first),
            (f"map_at_{self._k}", one.precision, other.precision),
        ):
            difference = np.asarray(of_b, dtype=np.float64) - np.asarray(of_a, dtype=np.float64)
            measures.append(
                ComparedQuality(
                    measure=name, a=mean_of(of_a), b=mean_of(of_b), difference=mean_of(difference)
                )
            )
        return tuple(measures), labelled, (labelled[asked], one, other)

    def _codes(self, places: Ids) -> NDArray[np.int64]:
        """Return the label of labelled images, by its place among the names."""
        known = self._known
        if known is None:
            return np.empty(0, dtype=np.int64)
        return known.codes[np.searchsorted(known.ids, self._images.ids[places])]

    def _turned(self, right: tuple[Ids, Right, Right] | None, labelled: Ids) -> tuple[Ids, Ids]:
        """Return places of images that only the first encoder gets right, and of those that only the second does."""
        if right is None:
            return labelled, labelled
        asked, one, other = right
        return asked[one.first & ~other.first], asked[other.first & ~one.first]

    def _groups(
        self,
        asked: Ids,
        near_a: Near,
        near_b: Near,
        overlap: NDArray[np.float64],
        labelled: Ids,
        right: tuple[Ids, Right, Right] | None,
    ) -> tuple[ComparedGroup, ...]:
        """Report the groups about which the encoders agree least: by label, or by likeness where there are no labels."""
        of_image, names = self._division(labelled)
        groups = []
        for number, name in enumerate(names):
            members = np.flatnonzero(of_image[asked] == number)
            if len(members) < _LEAST:
                continue
            least = members[np.argsort(overlap[members], kind="stable")[:_OF_GROUP]]
            knn_a = knn_b = None
            if right is not None:
                own = of_image[right[0]] == number
                if own.any():
                    knn_a, knn_b = float(right[1].first[own].mean()), float(right[2].first[own].mean())
            groups.append((float(overlap[members].mean()), name, len(members), knn_a, knn_b, least))
        groups.sort(key=lambda group: (group[0], group[1]))
        return tuple(
            ComparedGroup(
                name=name,
                queries=size,
                overlap=mean,
                knn_a=knn_a,
                knn_b=knn_b,
                images=tuple(
                    self._example(int(asked[one]), near_a, near_b, int(one), float(overlap[one]))
                    for one in least.tolist()
                ),
            )
            for mean, name, size, knn_a, knn_b, least in groups[:_GROUPS]
        )

    def _division(self, labelled: Ids) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Return the group of each compared image ``(n,)``, -1 for none, and the groups' names."""
        of_image = np.full(len(self._images.ids), -1, dtype=np.int64)
        if self._known is not None:
            of_image[labelled] = self._codes(labelled)
            return of_image, self._known.names
        found = cluster(self._collection, ids=self._images.ids, progress=self._progress)
        of_image[np.searchsorted(self._images.ids, found.ids)] = found.labels - 1
        return of_image, tuple(found.title(group.number) for group in found)

    def _shown(self, places: Ids) -> tuple[ComparedImage, ...]:
        """Return images with their neighbours by both encoders."""
        if not len(places):
            return ()
        near_a, near_b = (neighbours_of(rows, places, k=self._k) for rows in (self._images.a, self._images.b))
        overlap = shared_by(near_a, near_b).mean(axis=1)
        return tuple(
            self._example(int(place), near_a, near_b, number, float(overlap[number]))
            for number, place in enumerate(places.tolist())
        )

    def _example(self, place: int, near_a: Near, near_b: Near, number: int, overlap: float) -> ComparedImage:
        """Return one image with its neighbours; ``number`` is its place among those asked for."""
        ids = self._images.ids
        (image,) = picked_images(self._collection, [int(ids[place])], [overlap])
        of_a, of_b = (
            picked_images(
                self._collection,
                ids[near.places[number, :_SHOWN]].tolist(),
                near.scores[number, :_SHOWN].tolist(),
            )
            for near in (near_a, near_b)
        )
        return ComparedImage(image=image, a=of_a, b=of_b, label=self._label(place))

    def _label(self, place: int) -> str:
        known, number = self._known, self._images.ids[place]
        if known is None:
            return ""
        at = int(np.searchsorted(known.ids, number))
        return known.names[known.codes[at]] if at < len(known.ids) and known.ids[at] == number else ""
