"""Find sets of duplicates in a collection: fold equal images, compare likely pairs, group around the one that stays."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval import matching
from retrieval.collection import open_collection
from retrieval.collection.queries import passing_rows
from retrieval.curation.duplicates.images import ImageRows, Pictures, Results
from retrieval.curation.duplicates.judgements import DECISIONS, Decisions, read_decisions
from retrieval.curation.duplicates.pairs import (
    AT_MOST,
    Candidates,
    Classes,
    GeometryCheck,
    HashCheck,
    PairChecks,
    Star,
    between,
    calibration,
    stars,
    within,
)
from retrieval.curation.duplicates.sets import KINDS, Duplicates, Member, ReportedSets, check_rule
from retrieval.display import progress_shown
from retrieval.errors import OptionError, SpaceMismatch
from retrieval.hints import named_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from retrieval.collection import Collection
from retrieval.progress import OnProgress, ShowProgress

_NAMED: Final = 3
SURE: Final = 0.95
"""Probability from which a copy goes without a person's decision."""
_ALIKE: Final = frozenset({"pixels", "picture"})


@named_arguments
def duplicates(
    collection: Collection | str | os.PathLike[str],
    *,
    kinds: Sequence[str] = KINDS,
    precision: float = 0.99,
    against: Collection | str | os.PathLike[str] | None = None,
    splits: str | None = None,
    reference: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    keep: str = "best",
    ignore: str | os.PathLike[str] | None = None,
    under: str | os.PathLike[str] | None = None,
    glob: str | None = None,
    where: Any = None,
    progress: ShowProgress = None,
) -> Duplicates:
    """Find sets of images that are the same: by bytes, by pixels, by picture, by scene. Nothing is changed.

    ``bytes`` are equal files, ``pixels`` files that show equal pixels, ``picture`` one exposure whatever was done to it
    afterwards, and ``scene`` another exposure of one place or event. Images that an index finds alike are compared one by one
    with the one that stays.

    Args:
        collection: a collection, or its path.
        kinds: degrees to look for, of ``bytes``, ``pixels``, ``picture`` and ``scene``.
        precision: what share of the images listed as one picture should be it; 0.5 to 0.999. A copy goes by itself from this
            probability on, 0.95 at most; others are likely copies, and stay until a person decides.
        against: another collection of the same space: only what is in both is listed, and the other's images never go.
        splits: a column, such as a split's name: only sets whose images have several values of it are listed.
        reference: folders whose images never go; sets of these alone are not listed.
        keep: who stays. ``best`` has the most pixels, then what compression left, then sharpness, and an uncropped image
            comes before its crop. ``largest`` goes by bytes, ``oldest`` and ``newest`` by the file's time, ``first`` by row.
        ignore: a file of decisions that the review page saved: what a person judged different or wants to keep is left out.
        under, glob, where: only images that pass these filters of `Collection.search`.
        progress: True for a bar where somebody sees one, or a function.
    Returns:
        the sets, each with the one that stays first.
    Raises:
        OptionError: a value that cannot be.
        SpaceMismatch: `against` is of another space.
        CollectionNotFound: there is none.
    """
    wanted = _checked_kinds(kinds)
    check_rule(keep)
    if not 0.5 <= precision <= 0.999:
        raise OptionError(f"`precision` is {precision}; give 0.5 to 0.999")
    if against is not None and splits is not None:
        raise OptionError("`against` and `splits` exclude each other; give one")
    folders = (reference,) if isinstance(reference, str | os.PathLike) else tuple(reference)
    with ExitStack() as stack:
        own = _open(collection, stack)
        other = None if against is None else _open(against, stack)
        if other is not None and not other.space.same_as(own.space):
            raise SpaceMismatch(
                f"{other.directory} holds vectors of {other.space}, expected {own.space}; build it with the same encoder"
            )
        show = stack.enter_context(progress_shown(progress))
        galleries = [
            stack.enter_context(ImageRows(own, passing_rows(own, under=under, glob=glob, where=where)))
        ]
        if other is not None:
            galleries.append(stack.enter_context(ImageRows(other, other.mask())))
        search = _Search(
            galleries,
            kinds=wanted,
            precision=precision,
            splits=splits,
            reference=folders,
            keep=keep,
            decisions=_decisions(own, ignore),
            progress=show,
        )
        return search.run(stack)


def _open(collection: Collection | str | os.PathLike[str], stack: ExitStack) -> Collection:
    if isinstance(collection, str | os.PathLike):
        collection = stack.enter_context(open_collection(collection))
    return collection


def _checked_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    named = tuple(kinds.split(",")) if isinstance(kinds, str) else tuple(kinds)
    unknown = [kind for kind in named if kind not in KINDS]
    if unknown or not named:
        raise OptionError(f"`kinds` is {','.join(map(str, named))!r}; give some of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in named)


def _decisions(collection: Collection, ignore: str | os.PathLike[str] | None) -> Decisions:
    """Read what the collection keeps of a review, and the file that was named."""
    kept = collection.directory / DECISIONS
    return read_decisions(*([kept] if kept.exists() else []), *([] if ignore is None else [ignore]))


class _Search:
    """A search under way. Rows of the second collection are numbered behind those of the first."""

    def __init__(
        self,
        galleries: list[ImageRows],
        *,
        kinds: tuple[str, ...],
        precision: float,
        splits: str | None,
        reference: Sequence[str | os.PathLike[str]],
        keep: str,
        decisions: Decisions,
        progress: OnProgress | None,
    ) -> None:
        self._galleries, self._kinds, self._precision, self._keep = galleries, kinds, precision, keep
        self._decisions, self._progress = decisions, progress
        self._own = galleries[0].collection
        self._offset = galleries[0].count
        self._count = sum(gallery.count for gallery in galleries)
        self._rows = np.concatenate([galleries[0].ids, *(one.ids + self._offset for one in galleries[1:])])
        self._splits = None if splits is None else galleries[0].splits(splits)
        self._reference = np.zeros(self._count, dtype=np.bool_)
        self._reference[: self._offset] = galleries[0].below(reference)
        self._reference[self._offset :] = True
        self._shared = np.zeros(self._count, dtype=np.bool_)
        for other in galleries[1:]:
            self._shared[: self._offset] |= galleries[0].also_in(other)
        self._reference |= self._shared
        self._classes = Classes(self._count)
        self._measured = calibration(self._own.space.name, precision=precision)

    def run(self, stack: ExitStack) -> Duplicates:
        """Do the steps in their order."""
        contents = np.concatenate([gallery.contents for gallery in self._galleries])
        self._classes.fold_contents(contents, self._rows)
        alike = any(kind in self._kinds for kind in ("picture", "scene"))
        geometry = alike and matching.available()
        features = matching.features if geometry else None
        self._results = results = stack.enter_context(
            Results(
                self._own.directory,
                version=self._measured.way(self._precision, geometry=geometry),
                facts=self._measured.version,
            )
        )
        self._pictures = Pictures(self._galleries, results, features)
        if int(self._galleries[0].mask.sum()) == len(self._own):  # all are looked at
            own = contents[: self._offset]
            results.forget_features([one.tobytes() for one in own[own.any(axis=1)]])
        self._reported = ReportedSets(
            self._galleries,
            self._pictures,
            classes=self._classes,
            decisions=self._decisions,
            kinds=self._kinds,
            keep=self._keep,
            splits=self._splits,
            reference=self._reference,
            shared=self._shared,
            sure=min(SURE, self._precision),
        )
        check: Any = HashCheck(self._pictures, most=self._measured.hash_bits, probability=self._precision)
        if geometry:
            check = stack.enter_context(GeometryCheck(self._pictures, precision=self._precision))
        self._checks = PairChecks(check, self._pictures, results, self._decisions)
        found: list[tuple[str, int, list[Member]]] = []
        threshold, cut = None, 0
        if self._kinds != ("bytes",):
            threshold = self._measured.picture if alike else self._measured.pixels
            pairs, cut = self._compared_pairs(threshold)
            if alike:
                pictures = self._picture_sets(pairs)
                cut += pictures.cut
                found += self._reported.sets_of(pictures.sets)
                if geometry and "scene" in self._kinds:
                    scenes = self._scene_sets(pairs, pictures.sets)
                    cut += scenes.cut
                    found += self._reported.sets_of(scenes.sets, kind="scene")
        found += self._reported.classes_alone(found)
        sets = [made for one in found if (made := self._reported.made(*one)) is not None]
        sets.sort(key=lambda one: (KINDS.index(one.kind), one.stays.path))
        return Duplicates(
            sets=tuple(sets),
            kinds=self._kinds,
            method="geometry" if geometry else "hash" if alike else "exact",
            threshold=threshold,
            precision=self._precision,
            expected_recall=self._measured.recall(geometry=geometry) if "picture" in self._kinds else None,
            images=len(self._rows),
            compared=self._checks.compared,
            unread=len(self._pictures.unread),
            unread_named=tuple(self._reported.path(row) for row in self._pictures.unread[:_NAMED]),
            at_most=AT_MOST,
            cut=cut,
            missed=self._measured.missed(self._kinds, geometry=geometry),
            _root=self._galleries[0].root,
            _directory=os.fspath(self._own.directory),
        )

    def _compared_pairs(self, threshold: float) -> tuple[NDArray[np.int64], int]:
        """Return pairs of classes that may be alike, once equal pixels are folded, and how many were cut."""
        found = self._likely(threshold)
        pairs, scores = self._classes.of_pairs(found.pairs, found.scores)
        if self._splits is not None and len(pairs):
            pairs, scores = self._across(pairs, scores)
        self._pictures.read(np.unique(pairs).tolist(), progress=self._progress)
        close = pairs[scores >= self._measured.pixels]
        self._classes.fold_pixels(
            ((one, two) for one, two in close.tolist() if self._same_size(one, two)), self._pictures.pixels
        )
        return self._classes.of_pairs(pairs, scores)[0], found.cut

    def _likely(self, threshold: float) -> Candidates:
        if len(self._galleries) == 1:
            return within(self._galleries[0], self._results, threshold=threshold, progress=self._progress)
        return between(
            self._own,
            self._galleries[1].collection,
            self._galleries[0].mask,
            threshold=threshold,
            progress=self._progress,
        )

    def _across(
        self, pairs: NDArray[np.int64], scores: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Leave out pairs of classes within one split."""
        splits = [self._splits_of(row) for row in range(self._count)] if len(pairs) else []
        across = np.array([len(splits[one] | splits[two]) > 1 for one, two in pairs.tolist()], dtype=np.bool_)
        return pairs[across], scores[across]

    def _splits_of(self, row: int) -> set[str | None]:
        assert self._splits is not None  # noqa: S101 - asked for with splits only
        return {self._splits[member] for member in self._classes.members(int(self._classes.first[row]))}

    def _same_size(self, one: int, two: int) -> bool:
        first, second = self._pictures.facts(one), self._pictures.facts(two)
        return (
            first is not None
            and second is not None
            and (first.width, first.height) == (second.width, second.height)
        )

    def _picture_sets(self, pairs: NDArray[np.int64]) -> Any:
        return stars(
            pairs,
            order=self._reported.order(np.unique(pairs).tolist()),
            compare=self._checks,
            accepts=_ALIKE,
            shows_more=self._reported.shows_more if self._keep == "best" else None,
        )

    def _scene_sets(self, pairs: NDArray[np.int64], sets: list[Star]) -> Any:
        """Group the images that stay by scene."""
        stays = np.arange(self._count)
        for star in sets:
            stays[list(star.members)] = star.stays
        apart = np.sort(stays[pairs], axis=1)
        apart = np.unique(apart[apart[:, 0] != apart[:, 1]], axis=0)
        return stars(
            apart,
            order=self._reported.order(np.unique(apart).tolist()),
            compare=self._checks,
            accepts=frozenset({"scene"}),
        )
