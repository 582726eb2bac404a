"""Define `Hit`: one answer, with its facts as attributes and as the items of a dictionary."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Never

from retrieval.collection.answers.origin import RowImage, link_of
from retrieval.deprecation import renamed_attribute, warn_renamed
from retrieval.display import path_json, paths_json
from retrieval.hints import attribute_of
from retrieval.sources.media import seconds_of, split_key

if TYPE_CHECKING:
    from typing import SupportsIndex

    from retrieval.collection.answers.origin import Origin
    from retrieval.matching import Verdict

MOST_NAMED = 100

_CHECK = ("verified", "relation", "verified_probability", "outline")


class Hit(dict[str, Any], RowImage):
    """One answer.

    It is a dictionary of its facts, so ``json.dumps(hit)``, ``dict(hit)`` and ``pandas.DataFrame(hits)`` work; nothing can
    change it. In the dictionary a path that is not UTF-8 is percent-encoded, with its bytes in base64 beside it as
    ``path_bytes``; the attribute `path` has it as Python's own functions take it.

    Attributes:
        rank: 1 for the best.
        score: cosine at full stored width, at most 1, higher is better; while the encoder changes, within the row's own space.
        path: relative to the collection's root, ``/`` between parts; bytes that are not UTF-8 are surrogate-escaped.
        id: the row.
        n_duplicates: how many further files with exactly the same bytes are folded into this hit.
        duplicates: paths of those files by id, the first hundred of them.
        matched: what of the image words were found in; see there.
        moment: seconds since the beginning of the film that the picture is of; None for anything else.
        columns: what else is known of the image, by name: its size, when and with what it was taken, captions, labels.
        region: where the collection keeps views: the part of the picture that answered; None for the whole.
        ranked_by: while the encoder changes: the value on a scale common to both spaces, by which the hits are ordered.
        space: while the encoder changes: the name of the row's own space.
        verified: with `verify`: whether it is the picture that was asked with; None where that was not looked at.
        relation: with `verify`: ``picture``, ``scene``, ``object`` or ``none``; None where that was not looked at.
        verified_probability: with `verify`: how probable it is that both are the same picture.
        match: how probable it is that the image is what was asked; None where that is not known.
        outline: with `verify`: the corners of the picture that was asked with, in the hit's picture.
        file: the absolute path.
        link: what a person can open: a path or an address.
        origin: where the image is read from, if not from a file of the collection's first folder.
    """

    __slots__ = ("_names", "_origin", "_root")

    _origin: Origin | None

    def __init__(
        self,
        *,
        rank: int,
        score: float,
        path: str,
        id: int,  # noqa: A002 - the field's name
        n_duplicates: int = 0,
        duplicates: Iterable[str] = (),
        ranked_by: float | None = None,
        space: str | None = None,
        matched: Iterable[str] | None = None,
        columns: Mapping[str, Any] | None = None,
        region: Iterable[float] | None = None,
        viewed: bool = False,
        check: Mapping[str, Any] | None = None,
        match: float | None = None,
        root: str = "",
        origin: Origin | None = None,
    ) -> None:
        named = list(duplicates)
        known = None if math.isnan(score) else score  # JSON has no such number
        if path.isascii() and not named:
            super().__init__(
                rank=rank, score=known, path=path, id=id, n_duplicates=n_duplicates, duplicates=named
            )
        else:
            super().__init__(
                rank=rank,
                score=known,
                **path_json(path),
                id=id,
                n_duplicates=n_duplicates,
                **paths_json(named, "duplicates"),
            )
        part = split_key(os.fsencode(path)) if "#" in path else None
        moment = None if part is None else seconds_of(part[1])
        if moment is not None:
            dict.update(self, moment=moment)
        if matched is not None:
            dict.update(self, matched=list(matched))
        if columns is not None:
            dict.update(self, columns=dict(columns))
        if viewed:
            dict.update(self, region=None if region is None else list(region))
        if ranked_by is not None:
            dict.update(self, ranked_by=ranked_by, space=space)
        if check is not None:
            dict.update(self, check)
        if match is not None:
            dict.update(self, match=match)
        self._names = path, named
        self._root = root
        self._origin = origin

    @property
    def rank(self) -> int:
        """1 for the best."""
        return int(self["rank"])

    @property
    def score(self) -> float:
        """Cosine at full stored width, at most 1; higher is better. Not a number where the encoder reads no such words."""
        return math.nan if self["score"] is None else float(self["score"])

    @property
    def path(self) -> str:
        """Path relative to the collection's root; bytes that are not UTF-8 are surrogate-escaped."""
        return self._names[0]

    @property
    def id(self) -> int:
        """The row."""
        return int(self["id"])

    @property
    def n_duplicates(self) -> int:
        """How many further files with exactly the same bytes are folded into this hit."""
        return int(self["n_duplicates"])

    @property
    def duplicates(self) -> tuple[str, ...]:
        """Paths of the first hundred of those files, by id."""
        return tuple(self._names[1])

    @property
    def matched(self) -> tuple[str, ...]:
        """What matched the words: ``image``, ``path``, or the name of a column; empty where names were not looked up.

        With ``image`` the hit is also in the answer without names. Without it only names have found it.
        """
        return tuple(self.get("matched", ()))

    @property
    def moment(self) -> float | None:
        """Seconds since the beginning of the film that the picture is of; None for anything else."""
        return self.get("moment")

    @property
    def columns(self) -> dict[str, Any]:
        """What else is known of the image, by name; empty for a row without columns."""
        return dict(self.get("columns", {}))

    @property
    def region(self) -> list[float] | None:
        """The part of the picture that answered: left, top, width and height as shares of it; None for the whole picture."""
        return self.get("region")

    @property
    def match(self) -> float | None:
        """How probable it is that the image is what was asked, 0 to 1; None where that is not known.

        `retrieval.collection.relevance` says how it was measured, and when not to trust it.
        """
        return self.get("match")

    @property
    def ranked_by(self) -> float | None:
        """The value that orders hits while the encoder changes, on a scale common to both spaces; None otherwise."""
        return self.get("ranked_by")

    @property
    def space(self) -> str | None:
        """The name of the row's own space while the encoder changes; None otherwise."""
        return self.get("space")

    @property
    def verified(self) -> bool | None:
        """Whether it is the picture that was asked with, altered or not; None where that was not looked at."""
        return self.get("verified")

    @property
    def relation(self) -> str | None:
        """What it is to the picture that was asked with: ``picture``, ``scene``, ``object`` or ``none``; None where that was not looked at."""
        return self.get("relation")

    @property
    def verified_probability(self) -> float | None:
        """How probable it is that both are the same picture, 0 to 1; None where that was not looked at."""
        return self.get("verified_probability")

    @property
    def outline(self) -> list[list[float]] | None:
        """The corners of the picture that was asked with, as shares of the width and height of the hit's picture.

        They go round from its top left corner. They lie outside 0 to 1 where it shows more than the hit. None without a relation.
        """
        return self.get("outline")

    @property
    def link(self) -> str:
        """What a person can open: the file's absolute path, with the moment or page behind it, or an address."""
        return link_of(self.path, self._origin, root=self._root)

    @property
    def cosine(self) -> float | None:
        """Old name of `score` while the encoder changes; None otherwise."""
        warn_renamed("Hit.cosine", "Hit.score")
        return None if self.ranked_by is None else self.score

    if not TYPE_CHECKING:  # a type checker would take every name for one that exists, old ones too
        copies = renamed_attribute("Hit.copies", "n_duplicates")
        __getattr__ = attribute_of

    def __repr__(self) -> str:
        more = f", n_duplicates={self.n_duplicates}" if self.n_duplicates else ""
        return f"Hit(rank={self.rank}, score={self.score:.4f}, path={self.path!r}, id={self.id}{more})"

    def _repr_html_(self) -> str | None:
        """Show the image and its facts in a notebook."""
        from retrieval.collection.answers.galleries import hit_html

        return hit_html(self)

    def __hash__(self) -> int:  # type: ignore[override]  # nothing changes it
        return hash((self["rank"], self["score"], self.path, self["id"]))

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return _made, (self._facts(),)

    def _facts(self) -> dict[str, Any]:
        """Return what makes it again."""
        path, duplicates = self._names
        facts = {
            name: self.get(name)
            for name in (
                "rank",
                "id",
                "n_duplicates",
                "ranked_by",
                "space",
                "matched",
                "columns",
                "region",
                "match",
            )
        }
        facts |= {"score": self.score, "path": path, "duplicates": duplicates, "root": self._root}
        facts["origin"] = self._origin
        facts["viewed"] = "region" in self
        facts["check"] = {name: self[name] for name in _CHECK} if "verified" in self else None
        return facts

    def __copy__(self) -> Hit:
        return self

    def __deepcopy__(self, memo: Any) -> Hit:
        return self

    def _refuse(self, *_arguments: Any, **_options: Any) -> Never:
        raise TypeError("a hit cannot be changed; dict(hit) gives a dictionary of your own")

    if not TYPE_CHECKING:  # to a type checker these are a dictionary's
        __setitem__ = __delitem__ = __ior__ = _refuse
        update = setdefault = pop = popitem = clear = _refuse


def set_match(hit: Hit, probability: float) -> None:
    """Give a hit that nobody has seen yet its `match`."""
    dict.__setitem__(hit, "match", probability)


def with_verdict(hit: Hit, verdict: Verdict | None, *, rank: int) -> Hit:
    """Return a hit with what a comparison found, at a new rank; `None` is that it was not looked at."""
    check: dict[str, Any] = dict.fromkeys(_CHECK)
    if verdict is not None:
        check = {
            "verified": verdict.verified,
            "relation": verdict.relation,
            "verified_probability": round(verdict.probability, 4),
            "outline": verdict.outline and [list(corner) for corner in verdict.outline],
        }
    return _made(hit._facts() | {"rank": rank, "check": check})  # noqa: SLF001 - of this module


def with_rank(hit: Hit, rank: int) -> Hit:
    """Return the same hit at another place."""
    return _made(hit._facts() | {"rank": rank})  # noqa: SLF001 - of this module


def _made(facts: dict[str, Any]) -> Hit:
    return Hit(**facts)
