"""Make the sets that are reported: who stays, why, and what each other image is to it.

Long because every reason that is told of an image depends on who stays in its set.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.curation.duplicates.images import ImageRows
from retrieval.curation.duplicates.judgements import Judgement, Overlay
from retrieval.curation.duplicates.pairs import Star, unlike_parts
from retrieval.curation.duplicates.sets.covered_parts import difference
from retrieval.curation.duplicates.sets.image_sets import KINDS, DuplicateImage, DuplicateSet
from retrieval.curation.duplicates.sets.keep_rules import (
    IN_REFERENCE,
    Candidate,
    order_among_equals,
    order_of,
    why,
)
from retrieval.curation.duplicates.sets.pages import has_more, is_page, may_be_page
from retrieval.sources import keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from retrieval.curation.duplicates.images import Pictures
    from retrieval.curation.duplicates.judgements import Decisions
    from retrieval.curation.duplicates.pairs import Classes

_WHOLE: Final = 0.93
"""Share of an image that another one must show to show all of it."""

_ALL: Final = 0.985
"""Share of an image from which another one covers it to the edge: a thin bar is more than the rest."""

_AS_SHARP: Final = 1 / 1.5
"""Pixels a side for each of the other's, from which an image is as good as the other where both show the same."""

_NO_SHARPER: Final = 1.1
"""Pixels a side for each of the other's, up to which an image was enlarged at most."""

_LEAST: Final = 1e-12

_IN_THE_OTHER: Final = "in the other collection"


@dataclass(frozen=True, slots=True)
class Member:
    """A row of a set: what it is to the one that stays."""

    row: int
    kind: str
    judgement: Judgement | None


class ReportedSets:
    """Sets of a search, from the classes that were grouped. Rows of the second collection are numbered behind those of the first.

    Args:
        galleries: the collection's rows, and those of another one.
        pictures: reads the images.
        classes: rows of equal images.
        decisions: what people said.
        kinds: degrees that are reported.
        keep: the rule for who stays.
        splits: each row's split, if asked for.
        reference: ``(rows,)`` which rows never go.
        shared: ``(rows,)`` which of them are files that the other collection has, too.
        sure: probability of being one picture, below which a copy stays until a person decides.
    """

    def __init__(
        self,
        galleries: list[ImageRows],
        pictures: Pictures,
        *,
        classes: Classes,
        decisions: Decisions,
        kinds: tuple[str, ...],
        keep: str,
        splits: list[str | None] | None,
        reference: NDArray[np.bool_],
        shared: NDArray[np.bool_],
        sure: float,
    ) -> None:
        self._galleries, self._pictures = galleries, pictures
        self._classes, self._decisions = classes, decisions
        self._kinds, self._keep, self._sure = kinds, keep, sure
        self._splits, self._reference, self._shared = splits, reference, shared
        self._offset, self._count = galleries[0].count, len(reference)
        self._candidates: dict[int, Candidate] = {}

    def order(self, rows: list[int]) -> NDArray[np.int64]:
        """Return the place of each class by the rule, ``(count,)``."""
        place = order_of(self._keep)
        best = sorted(
            rows, key=lambda row: min(place(self.candidate(one)) for one in self._classes.members(row))
        )
        order = np.full(self._count, self._count, dtype=np.int64)
        order[best] = np.arange(len(best))
        return order

    def shows_more(self, row: int, stays: int, found: Judgement) -> bool:
        """Say whether an image should stay in place of the one that does.

        That is a part of it and no sharper, or has the same picture no sharper within a border, the bars of a screenshot, or a collage.
        """
        if found.outline is None or self.candidate(stays).said > 0 or self.candidate(row).said < 0:
            return False
        if self.candidate(stays).is_reference and not self.candidate(row).is_reference:
            return False
        overlay = self._overlay(row, stays, found)
        if overlay.shown < _WHOLE:
            more = (
                overlay.covered >= _WHOLE
                and overlay.scale <= 1 / _AS_SHARP
                and has_more(self._pictures, self._compared(row), found)
            )
            return more and not is_page(self._pictures, self._compared(row), found.reversed())
        return (
            overlay.covered < _ALL
            and overlay.scale <= _NO_SHARPER
            and is_page(self._pictures, self._compared(stays), found)
        )

    def _overlay(self, row: int, stays: int, found: Judgement) -> Overlay:
        one, other = self.candidate(row), self.candidate(stays)
        return Overlay.of(found.outline, first=(one.width, one.height), second=(other.width, other.height))

    def _compared(self, row: int) -> int:
        """Return the row of an equal image that was read and compared for all of its class."""
        return int(self._classes.first[row])

    def sets_of(self, sets: Iterable[Star], *, kind: str = "picture") -> list[tuple[str, int, list[Member]]]:
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
                members: list[Member] = []
                for row, judgement in part.members.items():
                    rows = [row] if kind == "scene" else self._classes.members(row)
                    members += [Member(one, kind, judgement) for one in rows]
                found.append((kind, part.stays, members))
        return found

    def classes_alone(
        self, found: list[tuple[str, int, list[Member]]]
    ) -> list[tuple[str, int, list[Member]]]:
        """Return the classes of equal images that stand in no set as members."""
        taken = {
            self._compared(one.row) for kind, _, members in found if kind == "picture" for one in members
        }
        taken |= {self._compared(stays) for kind, stays, _ in found if kind == "picture"}
        return [("pixels", row, []) for row in self._classes.several() if row not in taken]

    def made(self, kind: str, stays: int, members: list[Member]) -> DuplicateSet | None:
        """Return a set as it is reported; None if nothing of it was asked for."""
        place = order_of(self._keep)
        own = self._classes.members(self._compared(stays))
        equals = order_among_equals(self._keep)
        first = min(own, key=lambda row: equals(self.candidate(row)))
        same = [] if kind == "scene" else self._same(first, own)
        rows = [one for one in [*same, *members] if one.kind in self._kinds]
        rows = [one for one in rows if not self._apart(one.row, first)]
        if not rows or not self._is_listed(first, rows):
            return None
        others = [self.candidate(one.row) for one in rows]
        kept = self.candidate(first)
        loosest = max((one.kind for one in rows), key=KINDS.index)
        reason = why(self._keep, kept, others, equal=loosest in ("bytes", "pixels"))
        if reason == IN_REFERENCE and (first >= self._offset or self._shared[first]):
            reason = _IN_THE_OTHER
        if reason.startswith("most pixels") and any(
            one.width * one.height > kept.width * kept.height for one in others
        ):
            reason = "the whole picture, by itself"
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
        rows.sort(key=lambda one: (KINDS.index(one.kind), place(self.candidate(one.row))))
        for one in rows:
            keep, reason = self._verdict(one, first)
            images.append(
                self._image(
                    one.row, kind=one.kind, keep=keep, reason=reason, judgement=one.judgement, stays=first
                )
            )
        return DuplicateSet(kind=loosest, images=tuple(images))

    def _same(self, first: int, rows: list[int]) -> list[Member]:
        """Return the rows that are equal to one, without links to its file."""
        name = self._content(first)
        real = os.path.realpath(self._file(first)) if self._file(first) else ""
        found = []
        for row in rows:
            if row == first or (real and self._file(row) and os.path.realpath(self._file(row)) == real):
                continue
            found.append(Member(row, "bytes" if name and self._content(row) == name else "pixels", None))
        return found

    def _apart(self, row: int, first: int) -> bool:
        return self._decisions.are_apart(self._pictures.judged(row), self._pictures.judged(first))

    def _is_listed(self, first: int, members: list[Member]) -> bool:
        rows = [first, *(one.row for one in members)]
        if len(self._galleries) > 1 and (min(rows) >= self._offset or max(rows) < self._offset):
            return False
        if self._splits is not None and len({self._splits[row] for row in rows}) < 2:
            return False
        return not all(self._reference[row] for row in rows)

    def _verdict(self, one: Member, stays: int) -> tuple[bool, str]:
        """Say whether a member stays, and what it is to the one that does."""
        path = self.path(stays)
        candidate = self.candidate(one.row)
        if candidate.is_reference:
            is_there = one.row >= self._offset or self._shared[one.row]
            return True, _IN_THE_OTHER if is_there else IN_REFERENCE
        if one.kind == "bytes":
            return False, f"the same bytes as {path}"
        if one.kind == "pixels":
            return False, f"the same pixels as {path}"
        if one.kind == "scene":
            return self._kinds != ("scene",), f"likely another photograph of the scene of {path}"
        judgement = one.judgement
        what = "mirrored, " if judgement is not None and judgement.mirrored else ""
        size = f"{candidate.width} × {candidate.height}"
        if judgement is None or judgement.outline is None:
            return False, f"the same picture as {path}: {what}{size}"
        overlay = self._overlay(one.row, stays, judgement)
        if candidate.said < 0:
            return False, f"you decided so: {what}{size}"
        if overlay.shown < _WHOLE and has_more(self._pictures, self._compared(one.row), judgement):
            more = f"shows {path} and more" if overlay.covered >= _WHOLE else f"shares a part with {path}"
            return True, f"{more}: {what}{size}"
        if self._keep == "best" and overlay.covered < _WHOLE and overlay.scale < _AS_SHARP:
            return True, f"a part of {path}, in more pixels: {what}{size}"
        if (
            self._keep == "best"
            and overlay.covered < _WHOLE
            and is_page(self._pictures, self._compared(stays), judgement)
        ):
            # Whether the page shows it enlarged, or it is a thumbnail of what the page shows, is not known.
            return True, f"by itself what {path} shows larger within a border, bars or a page: {what}{size}"
        if (
            self._keep == "best"
            and overlay.covered < _WHOLE
            and may_be_page(self._pictures, self._compared(stays), judgement)
        ):
            # Something goes on beyond it, as when the ends of a thing on white were cut off; or there are words beside it.
            return True, f"a part of {path}, or what it shows within a border: {what}{size}"
        likely = "" if judgement.probability >= self._sure else "likely "
        if overlay.covered < _WHOLE:
            return bool(likely), f"{likely}a part of {path}: {what}{size}"
        if overlay.shown >= _WHOLE and (
            other := difference(self._pictures, self._compared(one.row), self._compared(stays))
        ):
            return True, f"the same picture as {path}, {other}: {what}{size}"
        return bool(likely), f"{likely}the same picture as {path}: {what}{size}"

    def _image(
        self, row: int, *, kind: str, keep: bool, reason: str, judgement: Judgement | None, stays: int
    ) -> DuplicateImage:
        gallery, number = self._pictures.gallery(row)
        record = gallery.record(number)
        candidate = self.candidate(row)
        score = None
        if row != stays:
            one, other = self._vector(row), self._vector(stays)
            lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
            score = min(float(one @ other) / max(lengths, _LEAST), 1.0)
        return DuplicateImage(
            path=os.fsdecode(record.key),
            id=gallery.row_id(number),
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
            decided=not keep and candidate.said < 0,
            _root=gallery.root,
            stamp=record.stamp,
            _origin=gallery.origin(record),
        )

    def _vector(self, row: int) -> NDArray[np.float32]:
        gallery, number = self._pictures.gallery(row)
        vector: NDArray[np.float32] = gallery.collection.vectors(gallery.row_id(number))[0]
        return vector

    def candidate(self, row: int) -> Candidate:
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
            is_link=os.path.islink(self._file(row)),
            said=self._decisions.said(self._pictures.judged(row)),
        )
        self._candidates[row] = made
        return made

    def path(self, row: int) -> str:
        """Return the path of a row, relative to its collection."""
        gallery, number = self._pictures.gallery(row)
        return os.fsdecode(gallery.record(number).key)

    def _file(self, row: int) -> str:
        gallery, number = self._pictures.gallery(row)
        record = gallery.record(number)
        return "" if gallery.origin(record) is not None else gallery.path(record)

    def _content(self, row: int) -> bytes:
        return self._pictures.record(row).content
