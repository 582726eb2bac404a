"""Define an image of a set of duplicates, and the set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, overload

from retrieval.collection.answers import RowImage, link_of
from retrieval.display import path_json

if TYPE_CHECKING:
    from retrieval.collection.answers import Origin

KINDS: Final = ("bytes", "pixels", "picture", "scene")
"""Degrees of likeness, the closest first."""

_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateImage(RowImage):
    """An image of a set.

    Attributes:
        path: relative to the root of its collection; bytes that are not UTF-8 are surrogate-escaped.
        id: its row.
        kind: how like the image that stays it is; that of the set for the image that stays.
        keep: it stays.
        reason: why it stays, or what it is to the image that stays.
        score: cosine with the image that stays; None where it was not needed.
        probability: that it is what `kind` says; 1 where bytes or pixels were compared.
        outline: where it lies in the image that stays: its corners, as shares of that image's width and height; None where nobody looked.
        mirrored: it is a mirror image of the one that stays.
        width, height: of the upright image in pixels; 0 where it was not read.
        size_bytes: of its file.
        content: hash of its file's bytes, as hexadecimal digits.
        against: it is of the other collection.
        split: its value of the column of splits.
        decided: a person said that it goes.
        stamp: its file's size and time when it was indexed.
    """

    path: str
    id: int
    kind: str
    keep: bool
    reason: str
    score: float | None = None
    probability: float | None = None
    outline: tuple[tuple[float, float], ...] | None = None
    mirrored: bool = False
    width: int = 0
    height: int = 0
    size_bytes: int = 0
    content: str = ""
    against: bool = False
    split: str | None = None
    decided: bool = False
    _root: str = ""
    stamp: bytes = b""
    _origin: Origin | None = None

    @property
    def link(self) -> str:
        """What a person can open: the file's absolute path, or an address."""
        return link_of(self.path, self._origin, root=self._root)

    @property
    def is_file(self) -> bool:
        """Whether it is a file of its own."""
        return self._origin is None and os.path.isfile(self.link)

    def proof(self) -> bytes:
        """Return the stamp that its file must have for it to be there still; empty where it was read again and is the same."""
        if self.is_file or not self.content:
            return self.stamp
        from retrieval.errors import RetrievalError
        from retrieval.sources.decoding import content_hash

        try:
            same = content_hash(self.read_bytes()).hex() == self.content
        except RetrievalError:
            same = False
        return b"" if same else self.stamp

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        facts: dict[str, Any] = {
            **path_json(self.path),
            "id": self.id,
            "keep": self.keep,
            "reason": self.reason,
            "score": None if self.score is None else round(self.score, _DECIMALS),
            "kind": self.kind,
            "probability": None if self.probability is None else round(self.probability, _DECIMALS),
            "width": self.width,
            "height": self.height,
            "bytes": self.size_bytes,
            "content": self.content,
        }
        if self.outline is not None:
            facts["outline"] = [[round(x, 4), round(y, 4)] for x, y in self.outline]
            facts["mirrored"] = self.mirrored
        if self.against:
            facts["collection"] = "against"
        if self.split is not None:
            facts["split"] = self.split
        return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateSet(Sequence[DuplicateImage]):
    """Images that are alike: the one that stays first.

    Attributes:
        kind: the loosest degree among them.
        images: the images.
    """

    kind: str
    images: tuple[DuplicateImage, ...]

    @overload
    def __getitem__(self, at: int) -> DuplicateImage: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[DuplicateImage, ...]: ...
    def __getitem__(self, at: int | slice) -> Any:
        return self.images[at]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def stays(self) -> DuplicateImage:
        """The image that the others were compared with."""
        return self.images[0]

    def to_json(self) -> dict[str, Any]:
        """Return the facts by the names that ``--json`` prints."""
        return {"kind": self.kind, "images": [image.to_json() for image in self.images]}
