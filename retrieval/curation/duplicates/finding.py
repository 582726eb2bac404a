"""Find sets of duplicates in a collection: fold equal images, compare likely pairs, group around the one that stays.

Long because the order of a search stands in one place.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval import matching
from retrieval.collection import open_collection
from retrieval.curation.duplicates.calibration import calibration
from retrieval.curation.duplicates.candidates import AT_MOST, Candidates, between, within
from retrieval.curation.duplicates.decisions import DECISIONS, Decisions, read_decisions
from retrieval.curation.duplicates.grouping import Star, stars, unlike_parts
from retrieval.curation.duplicates.image_facts import GRID
from retrieval.curation.duplicates.image_rows import ImageRows
from retrieval.curation.duplicates.image_sets import KINDS, DuplicateImage, DuplicateSet
from retrieval.curation.duplicates.judgements import Judgement, Overlay, outside
from retrieval.curation.duplicates.keep_rules import Candidate, check_rule, order_among_equals, order_of, why
from retrieval.curation.duplicates.pair_checks import GeometryCheck, HashCheck, PairChecks
from retrieval.curation.duplicates.pictures import Pictures
from retrieval.curation.duplicates.report import Duplicates
from retrieval.curation.duplicates.results import Results
from retrieval.curation.duplicates.same_images import Classes
from retrieval.display import progress_shown
from retrieval.errors import OptionError, SpaceMismatch
from retrieval.hints import named_arguments
from retrieval.sources import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from retrieval.collection import Collection
    from retrieval.progress import OnProgress, ShowProgress

__all__ = ["duplicates"]

_WHOLE: Final = 0.93
"""Share of an image that another one must show to show all of it."""

_AS_SHARP: Final = 1 / 1.5
"""Pixels a side for each of the other's, from which an image is as good as the other where both show the same."""

_NO_SHARPER: Final = 1.1
"""Pixels a side for each of the other's, up to which an image was enlarged at most."""

_BUSY: Final = 6
"""Levels of brightness by which a cell varies that shows something."""

_PICTURE: Final = 0.5
"""Share of the cells outside that show something, from which they are a picture and no border."""

_NAMED: Final = 3
_LEAST: Final = 1e-12
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
        precision: what share of the images listed as one picture should be it; 0.5 to 0.999.
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
        galleries = [stack.enter_context(ImageRows(own, own.mask(under=under, glob=glob, where=where)))]
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
        return stack.enter_context(open_collection(collection))
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


@dataclass(frozen=True, slots=True)
class _Member:
    """A row of a set: what it is to the one that stays."""

    row: int
    kind: str
    judgement: Judgement | None


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
        self._classes = Classes(self._count)
        self._candidates: dict[int, Candidate] = {}
        self._measured = calibration(self._own.space.name, precision=precision)

    def run(self, stack: ExitStack) -> Duplicates:
        """Do the steps in their order."""
        contents = np.concatenate([gallery.contents for gallery in self._galleries])
        self._classes.fold_contents(contents, self._rows)
        alike = any(kind in self._kinds for kind in ("picture", "scene"))
        geometry = alike and matching.available()
        features = matching.features if geometry else None
        self._results = results = stack.enter_context(
            Results(self._own.directory, version=self._measured.way(self._precision, geometry=geometry))
        )
        self._pictures = Pictures(self._galleries, results, features)
        check: Any = HashCheck(self._pictures, most=self._measured.hash_bits, probability=self._precision)
        if geometry:
            check = stack.enter_context(GeometryCheck(self._pictures, precision=self._precision))
        self._checks = PairChecks(check, self._pictures, results, self._decisions)
        found: list[tuple[str, int, list[_Member]]] = []
        threshold, cut = None, 0
        if self._kinds != ("bytes",):
            threshold = self._measured.picture if alike else self._measured.pixels
            pairs, cut = self._compared_pairs(threshold)
            if alike:
                pictures = self._picture_sets(pairs)
                cut += pictures.cut
                found += self._sets_of(pictures.sets)
                if geometry and "scene" in self._kinds:
                    scenes = self._scene_sets(pairs, pictures.sets)
                    cut += scenes.cut
                    found += self._sets_of(scenes.sets, kind="scene")
        found += self._classes_alone(found)
        sets = [made for one in found if (made := self._made(*one)) is not None]
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
            unread_named=tuple(self._path(row) for row in self._pictures.unread[:_NAMED]),
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
            order=self._order(np.unique(pairs).tolist()),
            compare=self._checks,
            accepts=_ALIKE,
            shows_more=self._shows_more if self._keep == "best" else None,
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
            order=self._order(np.unique(apart).tolist()),
            compare=self._checks,
            accepts=frozenset({"scene"}),
        )

    def _order(self, rows: list[int]) -> NDArray[np.int64]:
        """Return the place of each class by the rule, ``(count,)``."""
        place = order_of(self._keep)
        best = sorted(
            rows, key=lambda row: min(place(self._candidate(one)) for one in self._classes.members(row))
        )
        order = np.full(self._count, self._count, dtype=np.int64)
        order[best] = np.arange(len(best))
        return order

    def _shows_more(self, row: int, stays: int, found: Judgement) -> bool:
        """Say whether an image should stay in place of the one that does.

        That is a part of it and no sharper, or has the same picture within a border or the bars of a screenshot and no sharper.
        """
        if found.outline is None or self._candidate(stays).said > 0 or self._candidate(row).said < 0:
            return False
        if self._candidate(stays).is_reference and not self._candidate(row).is_reference:
            return False
        overlay = self._overlay(row, stays, found)
        if overlay.shown < _WHOLE:
            as_sharp = overlay.scale <= 1 / _AS_SHARP
            return overlay.covered >= _WHOLE and as_sharp and self._has_more(row, found)
        framed = overlay.covered < _WHOLE and overlay.scale <= _NO_SHARPER
        return framed and self._is_framed(stays, found.reversed())

    def _overlay(self, row: int, stays: int, found: Judgement) -> Overlay:
        one, other = self._candidate(row), self._candidate(stays)
        return Overlay.of(found.outline, first=(one.width, one.height), second=(other.width, other.height))

    def _has_more(self, row: int, found: Judgement) -> bool:
        """Say whether what only the first image shows is a picture, and no border or bar."""
        beyond = self._beyond(row, found)
        return len(beyond) > 0 and float((beyond >= _BUSY).mean()) >= _PICTURE

    def _is_framed(self, row: int, found: Judgement) -> bool:
        """Say whether what only the first image shows is a border or bars: most of it is of one colour to the last bit."""
        beyond = self._beyond(row, found)
        return len(beyond) > 0 and float((beyond == 0).mean()) >= _PICTURE

    def _beyond(self, row: int, found: Judgement) -> NDArray[np.uint8]:
        """Return how much the cells of the first image vary that the second does not show."""
        facts, turned = self._pictures.facts(row), found.reversed()
        if facts is None or turned.outline is None:
            return np.empty(0, np.uint8)
        return np.frombuffer(facts.busy, dtype=np.uint8)[outside(turned.outline, GRID).ravel()]

    def _sets_of(
        self, sets: Iterable[Star], *, kind: str = "picture"
    ) -> list[tuple[str, int, list[_Member]]]:
        """Turn sets of classes into sets of rows: the class of the one that stays, and those of the others."""
        found = []
        for star in sets:
            for part in unlike_parts(
                star,
                lambda one: (
                    0.0
                    if one.outline is None
                    else Overlay.of(one.outline, first=(1, 1), second=(1, 1)).covered
                ),
            ):
                members: list[_Member] = []
                for row, judgement in part.members.items():
                    rows = [row] if kind == "scene" else self._classes.members(row)
                    members += [_Member(one, kind, judgement) for one in rows]
                found.append((kind, part.stays, members))
        return found

    def _classes_alone(
        self, found: list[tuple[str, int, list[_Member]]]
    ) -> list[tuple[str, int, list[_Member]]]:
        """Return the classes of equal images that stand in no set as members."""
        taken = {
            int(self._classes.first[one.row])
            for kind, _, members in found
            if kind == "picture"
            for one in members
        }
        taken |= {int(self._classes.first[stays]) for kind, stays, _ in found if kind == "picture"}
        return [("pixels", row, []) for row in self._classes.several() if row not in taken]

    def _made(self, kind: str, stays: int, members: list[_Member]) -> DuplicateSet | None:
        """Return a set as it is reported; None if nothing of it was asked for."""
        place = order_of(self._keep)
        own = self._classes.members(int(self._classes.first[stays]))
        equals = order_among_equals(self._keep)
        first = min(own, key=lambda row: equals(self._candidate(row)))
        same = [] if kind == "scene" else self._same(first, own)
        rows = [one for one in [*same, *members] if one.kind in self._kinds]
        rows = [one for one in rows if not self._apart(one.row, first)]
        if not rows or not self._is_listed(first, rows):
            return None
        others = [self._candidate(one.row) for one in rows]
        kept = self._candidate(first)
        reason = why(self._keep, kept, others)
        if reason.startswith("most pixels") and any(
            one.width * one.height > kept.width * kept.height for one in others
        ):
            reason = "the whole picture, without a border"
        loosest = max((one.kind for one in rows), key=KINDS.index)
        images = [
            self._image(
                first,
                kind=loosest,
                keep=True,
                reason=reason,
                judgement=None,
                stays=first,
            )
        ]
        rows.sort(key=lambda one: (KINDS.index(one.kind), place(self._candidate(one.row))))
        for one in rows:
            keep, reason = self._verdict(one, first)
            images.append(
                self._image(
                    one.row, kind=one.kind, keep=keep, reason=reason, judgement=one.judgement, stays=first
                )
            )
        return DuplicateSet(kind=loosest, images=tuple(images))

    def _same(self, first: int, rows: list[int]) -> list[_Member]:
        """Return the rows that are equal to one, without links to its file."""
        name = self._content(first)
        real = os.path.realpath(self._file(first)) if self._file(first) else ""
        found = []
        for row in rows:
            if row == first or (real and self._file(row) and os.path.realpath(self._file(row)) == real):
                continue
            found.append(_Member(row, "bytes" if name and self._content(row) == name else "pixels", None))
        return found

    def _apart(self, row: int, first: int) -> bool:
        return self._decisions.are_apart(self._pictures.judged(row), self._pictures.judged(first))

    def _is_listed(self, first: int, members: list[_Member]) -> bool:
        rows = [first, *(one.row for one in members)]
        if len(self._galleries) > 1 and (min(rows) >= self._offset or max(rows) < self._offset):
            return False
        if self._splits is not None and len({self._splits[row] for row in rows}) < 2:
            return False
        return not all(self._reference[row] for row in rows)

    def _verdict(self, one: _Member, stays: int) -> tuple[bool, str]:
        """Say whether a member stays, and what it is to the one that does."""
        path = self._path(stays)
        candidate = self._candidate(one.row)
        if candidate.is_reference:
            return True, "in the other collection" if one.row >= self._offset else "in a reference folder"
        if one.kind == "bytes":
            return False, f"the same bytes as {path}"
        if one.kind == "pixels":
            return False, f"the same pixels as {path}"
        if one.kind == "scene":
            return self._kinds != ("scene",), f"another photograph of the scene of {path}"
        judgement = one.judgement
        what = "mirrored, " if judgement is not None and judgement.mirrored else ""
        size = f"{candidate.width} × {candidate.height}"
        if judgement is None or judgement.outline is None:
            return False, f"the same picture as {path}: {what}{size}"
        overlay = self._overlay(one.row, stays, judgement)
        if candidate.said < 0:
            return False, f"you decided so: {what}{size}"
        if overlay.shown < _WHOLE and self._has_more(one.row, judgement):
            return True, f"shows {path} and more: {what}{size}"
        if self._keep == "best" and overlay.covered < _WHOLE and overlay.scale < _AS_SHARP:
            return True, f"a part of {path}, in more pixels: {what}{size}"
        if overlay.covered < _WHOLE:
            return False, f"a part of {path}: {what}{size}"
        return False, f"the same picture as {path}: {what}{size}"

    def _image(
        self, row: int, *, kind: str, keep: bool, reason: str, judgement: Judgement | None, stays: int
    ) -> DuplicateImage:
        gallery, number = self._pictures.gallery(row)
        record = gallery.record(number)
        candidate = self._candidate(row)
        score = None
        if row != stays:
            one, other = self._vector(row), self._vector(stays)
            lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
            score = min(float(one @ other) / max(lengths, _LEAST), 1.0)
        return DuplicateImage(
            path=os.fsdecode(record.key),
            id=number,
            kind=kind,
            keep=keep,
            reason=reason,
            score=score,
            probability=None if row == stays else 1.0 if judgement is None else judgement.probability,
            outline=None if judgement is None else judgement.outline,
            mirrored=judgement is not None and judgement.mirrored,
            width=candidate.width,
            height=candidate.height,
            size_bytes=candidate.size_bytes,
            content=record.content.hex(),
            against=row >= self._offset,
            split=None if self._splits is None else self._splits[row],
            _root=gallery.root,
            stamp=record.stamp,
            _origin=gallery.origin(record),
        )

    def _vector(self, row: int) -> NDArray[np.float32]:
        gallery, number = self._pictures.gallery(row)
        vector: NDArray[np.float32] = gallery.collection.vectors(number)[0]
        return vector

    def _candidate(self, row: int) -> Candidate:
        """Return what the rules look at; a row of a class has the facts of its bytes."""
        known = self._candidates.get(row)
        if known is not None:
            return known
        gallery, number = self._pictures.gallery(row)
        record = gallery.record(number)
        facts = self._pictures.facts(row) or self._pictures.facts_of(record.content)
        made = Candidate(
            id=number,
            path=os.fsdecode(record.key),
            width=0 if facts is None else facts.width,
            height=0 if facts is None else facts.height,
            size_bytes=max(keys.size_of(record.stamp), 0) if facts is None else facts.size_bytes,
            quality=0 if facts is None else facts.quality,
            sharpness=0.0 if facts is None else facts.sharpness,
            has_camera=facts is not None and facts.has_camera,
            time=gallery.time(record),
            is_reference=bool(self._reference[row]),
            said=self._decisions.said(self._pictures.judged(row)),
        )
        self._candidates[row] = made
        return made

    def _path(self, row: int) -> str:
        gallery, number = self._pictures.gallery(row)
        return os.fsdecode(gallery.record(number).key)

    def _file(self, row: int) -> str:
        gallery, number = self._pictures.gallery(row)
        record = gallery.record(number)
        return "" if gallery.origin(record) is not None else gallery.path(record)

    def _content(self, row: int) -> bytes:
        return self._pictures.record(row).content
