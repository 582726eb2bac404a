"""The three kinds of index that a generation may have: `Exact`, `Funnel` or `Inverted`, as the manifest says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

from indexes.checksums import digest
from indexes.fields import Fields, corrupt, count, number, optional, text
from indexes.files import sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What a file of a generation is held to.

    Attributes:
        bytes: its length.
        sha256: of its contents, in hexadecimal.
        digest: by `indexes.checksums.digest`, of what is checked when it is opened; None before format 3.
        head: of an index file the bytes that are checked besides the sizes of its lists; None for all of it.
    """

    bytes: int
    sha256: str
    digest: str | None = None
    head: int | None = None

    @classmethod
    def of(cls, path: Path) -> FileInfo:
        """Measure and hash the file at ``path``."""
        data = np.memmap(path, np.uint8, "r") if path.stat().st_size else b""
        return cls(bytes=len(data), sha256=sha256(path), digest=digest(data))

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest says of the file."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, value: Any) -> FileInfo:
        """Parse what `to_json` made."""
        if not isinstance(value, dict):
            raise TypeError("an object with bytes and sha256")
        return cls(
            bytes=count(value.get("bytes")),
            sha256=text(value.get("sha256")),
            digest=optional(text)(value.get("digest")),
            head=optional(count)(value.get("head")),
        )


RETIRED = "its index is of a kind that is no longer made; the next build makes another"
"""Why a generation is searched exactly that has lists chosen by a shorter prefix (AdANNS), or a funnel of several stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """Every row is compared at full width; there is no index file.

    Attributes:
        dim: width of the rows.
        base_rows: rows when this was decided.
        recall_target: recall@10 that was asked for.
        recall_reason: why another kind that was asked for is not there.
    """

    dim: int
    base_rows: int
    recall_target: float
    recall_reason: str | None = None

    type: ClassVar[str] = "exact"
    kind: ClassVar[str] = "flat"
    wish: ClassVar[str] = "flat"
    exact: ClassVar[bool] = True
    factory: ClassVar[None] = None
    transform: ClassVar[None] = None
    nprobe: ClassVar[None] = None
    shortlist: ClassVar[None] = None
    file: ClassVar[None] = None
    recall_at_10: ClassVar[None] = None
    recall_at_10_text: ClassVar[None] = None
    recall_sample: ClassVar[int] = 0
    trained_rows: ClassVar[int] = 0

    @property
    def bytes_per_vector(self) -> float:
        """Bytes that a search reads of each row: two for each number."""
        return 2.0 * self.dim

    @property
    def retired(self) -> bool:
        """Whether an index lies there that is no longer read: the next build makes another."""
        return self.recall_reason == RETIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compressed:
    """What a `Funnel` and an `Inverted` have in common: a first stage in an index file, whose shortlist is reranked.

    Attributes:
        dim: width of the first stage; less than the space's where a prefix or a projection comes first.
        base_rows: rows in the index, the first ones; those from here to the manifest's count are the tail.
        factory: the FAISS factory string of the first stage.
        transform: the method of the rotation in ``transforms.npz`` that comes before a prefix; None for a plain prefix.
        shortlist: candidates reranked at full width to reach the target.
        recall_target: recall@10 that was asked for.
        recall_at_10: measured against exact search; None for fewer than 100 rows.
        recall_sample: queries it was measured on.
        recall_reason: why there is no recall, or why it stays below the target.
        recall_at_10_text: the same for text queries; None without a text tower.
        bytes_per_vector: length of index.faiss over its rows.
        trained_rows: rows that it was trained on.
        file: the index file, also among the manifest's files.
    """

    dim: int
    base_rows: int
    recall_target: float
    factory: str
    transform: str | None = None
    shortlist: int | None = None
    recall_at_10: float | None = None
    recall_sample: int = 0
    recall_reason: str | None = None
    recall_at_10_text: float | None = None
    bytes_per_vector: float = 0.0
    trained_rows: int = 0
    file: FileInfo | None = None

    exact: ClassVar[bool] = False
    retired: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel(_Compressed):
    """Every row is ranked by codes of a short prefix, the best of them at full width."""

    type: ClassVar[str] = "funnel"
    kind: ClassVar[str] = "flat"
    wish: ClassVar[str] = "flat"
    nprobe: ClassVar[None] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverted(_Compressed):
    """A FAISS index whose shortlist is reranked: inverted lists, or whatever a factory string makes.

    Attributes:
        kind: ``ivfpq``, ``ivfrabitq`` or ``factory``.
        nprobe: lists probed to reach the target; None where there are no lists.
    """

    kind: str
    nprobe: int | None = None

    type: ClassVar[str] = "inverted"

    @property
    def wish(self) -> str:
        """What a build is asked for to make another of this kind; for the other two it is ``flat``, with or without a width."""
        return self.kind if self.kind in NAMED else self.factory


NAMED = ("ivfpq", "ivfrabitq")
"""Kinds of inverted lists that have a name; others have the kind ``factory`` and a factory string."""

IndexInfo: TypeAlias = Exact | Funnel | Inverted
"""How a generation is searched, and what that was measured to do."""

_TYPES = {"exact": Exact, "funnel": Funnel, "inverted": Inverted}


def index_to_json(index: IndexInfo) -> dict[str, Any]:
    """Return the tagged object that the manifest holds: the type first, then the type's own fields."""
    facts = {name: value for name, value in asdict(index).items() if name != "file"}
    if index.file is not None:
        facts |= index.file.to_json()
    return {"type": index.type, **facts}


def index_from_json(value: Any, *, path: Path) -> IndexInfo:
    """Parse what `index_to_json` made.

    Raises:
        StoreCorrupt: a field is missing or is not what it should be.
    """
    found = Fields(value, path=path, within="index.")
    name = found.get("type", text)
    if name not in _TYPES:
        raise corrupt(path, f"index.type is {name!r}, expected {', '.join(_TYPES)}")
    kind = _TYPES[name]
    if _is_retired(found):
        return _searched_exactly(found)
    facts: dict[str, Any] = {
        field.name: found.get(field.name, _PARSED[field.name])
        for field in fields(kind)
        if field.name != "file"
    }
    if kind is not Exact and "sha256" in found:
        facts["file"] = FileInfo.from_json(value)
    made: IndexInfo = kind(**facts)
    return made


def index_from_old_json(value: Any, *, path: Path) -> IndexInfo:
    """Parse the untagged index of formats 1 and 2: ``flat`` without a factory string is exact, with one a funnel."""
    found = Fields(value, path=path, within="index.")
    kind, factory = found.get("kind", text), found.get("factory", optional(text))
    facts: dict[str, Any] = {
        name: found.get(name, _PARSED[name])
        for name in ("dim", "base_rows", "recall_target", "recall_reason")
    }
    measured = {
        name: found.get(name, _PARSED[name])
        for name in (
            "shortlist",
            "recall_at_10",
            "recall_sample",
            "recall_at_10_text",
            "bytes_per_vector",
            "trained_rows",
        )
    }
    measured["transform"] = found.later("transform", optional(text), missing=None)
    nprobe = found.get("nprobe", optional(count))
    file = None if found.get("sha256", optional(text)) is None else FileInfo.from_json(value)
    if factory is None:
        return Exact(**facts)
    if _is_retired(found):
        return _searched_exactly(found)
    if kind == "flat":
        return Funnel(factory=factory, file=file, **facts, **measured)
    return Inverted(kind=kind, factory=factory, nprobe=nprobe, file=file, **facts, **measured)


def _is_retired(found: Fields) -> bool:
    """Say whether lists are chosen by a shorter prefix, or a funnel has stages between its prefix and the full width."""
    none: tuple[tuple[int, int, float | None], ...] = ()
    stages = found.later("stages", _stages, missing=none)
    return (
        found.later("coarse", optional(count), missing=None) is not None
        or len(stages) > 1
        or any(margin is not None for _, _, margin in stages)
    )


def _searched_exactly(found: Fields) -> Exact:
    """Return what answers for an index of a kind that is no longer read: every mapped row is compared."""
    facts: dict[str, Any] = {
        name: found.get(name, _PARSED[name]) for name in ("dim", "base_rows", "recall_target")
    }
    return Exact(recall_reason=RETIRED, **facts)


def _stages(value: Any) -> tuple[tuple[int, int, float | None], ...]:
    if not isinstance(value, list) or not all(isinstance(item, list) and len(item) == 3 for item in value):
        raise TypeError("a list of [width, shortlist, margin]")
    return tuple((count(dim), count(shortlist), optional(number)(margin)) for dim, shortlist, margin in value)


_PARSED: dict[str, Any] = {
    "kind": text,
    "factory": text,
    "dim": count,
    "base_rows": count,
    "transform": optional(text),
    "nprobe": optional(count),
    "shortlist": optional(count),
    "recall_target": number,
    "recall_at_10": optional(number),
    "recall_sample": count,
    "recall_reason": optional(text),
    "recall_at_10_text": optional(number),
    "bytes_per_vector": number,
    "trained_rows": count,
}
