"""What manifest.json says: the facts of a collection, written and parsed field by field."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from indexes.distribution import pip_install
from indexes.errors import ManifestTooNew, StoreCorrupt
from indexes.files import sha256
from indexes.space import Space

FORMAT = 2
"""The newest layout that this version reads.

1: the store lies beside the manifest. 2: the store lies where the manifest says, or a change of the encoder is under
way; a version that knows 1 only would answer wrongly. What 1 can say is still written as 1.
"""

MANIFEST = "manifest.json"
GENERATIONS = "generations"
MIGRATING = "migrating"

T = TypeVar("T")

_LATER = ("transform", "coarse", "stages")
"""Facts of an index that the first versions did not know; only written where there is something to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """A file of a generation: its length in bytes and the SHA-256 of its contents, in hexadecimal."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileInfo:
        """Measure and hash the file at ``path``."""
        return cls(bytes=path.stat().st_size, sha256=sha256(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexInfo:
    """How the first stage was built, and what it was measured to do.

    Attributes:
        kind: ``flat``, ``ivfpq``, ``ivfrabitq`` or ``factory``.
        factory: the FAISS factory string; None for exact search. ``flat`` with one is a funnel.
        dim: width of the first stage; less than the space's where a prefix or a projection comes first.
        transform: the method of the rotation in ``transforms.npz`` that comes before a prefix; None for a plain prefix.
        coarse: width of the still shorter prefix that chooses the lists (AdANNS); None for ``dim``.
        stages: of a funnel: width, shortlist and margin of each stage.
        base_rows: rows in the base index, the first ones; those from here to the manifest's count are the tail.
        nprobe: lists probed to reach the target; None where there are no lists.
        shortlist: candidates reranked to reach the target; None for exact search.
        recall_target: recall@10 that was asked for.
        recall_at_10: measured against exact search; None for exact search itself and for fewer than 100 rows.
        recall_sample: queries it was measured on.
        recall_reason: why there is no recall, or why it stays below the target.
        recall_at_10_text: the same for text queries; None without a text tower.
        bytes_per_vector: length of index.faiss over its rows.
        trained_rows: rows that it was trained on.
        file: the index file, also among the manifest's files; None for exact search.
    """

    kind: str
    dim: int
    base_rows: int
    recall_target: float
    factory: str | None = None
    nprobe: int | None = None
    shortlist: int | None = None
    recall_at_10: float | None = None
    recall_sample: int = 0
    recall_reason: str | None = None
    recall_at_10_text: float | None = None
    bytes_per_vector: float = 0.0
    trained_rows: int = 0
    transform: str | None = None
    coarse: int | None = None
    stages: tuple[tuple[int, int, float | None], ...] = ()
    file: FileInfo | None = None

    @property
    def middle(self) -> int | None:
        """Width of the turned prefixes that the stages between the first and the full width read; None for none."""
        return self.stages[-1][0] if self.transform is not None and len(self.stages) > 1 else None

    @property
    def exact(self) -> bool:
        """Whether every row is compared at full width, and there is no index file."""
        return self.factory is None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a collection is, as of its newest published generation.

    Attributes:
        space: the space of the stored rows.
        encoder: the encoder's canonical name, e.g. ``nano@1``; None where vectors were imported.
        count: rows that readers may use, tombstoned ones included; the store may already hold more.
        live: rows among them without a tombstone.
        generation: number of the directory under ``generations/``, counted from 1.
        index: the first stage.
        root: the images' folder: None for the parent of the collection's directory, else a path, relative to the
            collection's directory where possible.
        upgrades: JSON objects, oldest first, that tell of changes of the encoder; while the last one's ``state`` is
            ``migrating``, queries are encoded by another encoder than the stored rows.
        activations: JSON objects, oldest first, that tell of active indexing.
        files: the generation's files by name.
        created: when the collection was first published, UTC, ISO 8601.
        updated: when this generation was published, UTC, ISO 8601.
        store: the directory of the rows, relative to the collection's, ``/`` between parts; empty for that itself.
        format: version of the layout on disk, as it was read.
    """

    space: Space
    count: int
    live: int
    generation: int
    index: IndexInfo
    encoder: str | None = None
    root: str | None = None
    upgrades: tuple[Mapping[str, Any], ...] = ()
    activations: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, FileInfo] = field(default_factory=dict)
    created: str = field(default_factory=_now)
    updated: str = field(default_factory=_now)
    store: str = ""
    format: int = 1

    @property
    def migrating(self) -> bool:
        """Say whether a change of the encoder is under way."""
        return bool(self.upgrades) and self.upgrades[-1].get("state") == MIGRATING

    @property
    def layout(self) -> int:
        """The least format that can say all this."""
        return 2 if self.store or self.migrating else 1

    def to_json(self) -> dict[str, Any]:
        """Return the object that `manifest.json` holds; the format comes first."""
        index = {
            name: value
            for name, value in asdict(self.index).items()
            if name != "file" and (value or name not in _LATER)
        }
        index |= {"bytes": None, "sha256": None} if self.index.file is None else asdict(self.index.file)
        return {
            "format": self.layout,
            "space": self.space.to_json(),
            "encoder": self.encoder,
            "count": self.count,
            "live": self.live,
            "generation": self.generation,
            "index": index,
            "root": self.root,
            "upgrades": [dict(upgrade) for upgrade in self.upgrades],
            "activations": [dict(activation) for activation in self.activations],
            "files": {name: asdict(info) for name, info in sorted(self.files.items())},
            "created": self.created,
            "updated": self.updated,
            **({"store": self.store} if self.store else {}),
        }

    @classmethod
    def from_json(cls, data: Any, *, path: Path) -> Manifest:
        """Parse what `to_json` made; fields that this version does not know are passed over.

        Args:
            path: where it was read, for messages.
        Raises:
            ManifestTooNew: a later version wrote it.
            StoreCorrupt: a field is missing or is not what it should be.
        """
        fields = _Fields(data, path=path)
        found = fields.get("format", _count)
        if found > FORMAT:
            raise ManifestTooNew(
                f"{path}: has format {found}, this version reads up to format {FORMAT}; "
                f"install a newer version: {pip_install(options='--upgrade')}"
            )
        if found < 1:
            raise _corrupt(path, f"format is {found}, expected 1 to {FORMAT}")
        manifest = cls(
            format=found,
            space=fields.get("space", Space.from_json),
            encoder=fields.get("encoder", _optional(_text)),
            count=fields.get("count", _count),
            live=fields.get("live", _count),
            generation=fields.get("generation", _count),
            index=fields.get("index", lambda value: _index(value, path=path)),
            root=fields.get("root", _optional(_text)),
            upgrades=fields.get("upgrades", _objects, default=()),
            activations=fields.get("activations", _objects, default=()),
            files=fields.get("files", _files),
            created=fields.get("created", _text),
            updated=fields.get("updated", _text),
            store=fields.get("store", _inside, default=""),
        )
        if not manifest.live <= manifest.count or not manifest.index.base_rows <= manifest.count:
            raise _corrupt(
                path,
                f"{manifest.live} live and {manifest.index.base_rows} indexed rows of {manifest.count} cannot be",
            )
        return manifest


class _Fields:
    """The fields of one JSON object, each parsed by a function that raises on what it does not expect."""

    def __init__(self, data: Any, *, path: Path, within: str = "") -> None:
        if not isinstance(data, dict):
            raise _corrupt(path, f"{within or 'the whole'} is {type(data).__name__}, expected an object")
        self._data, self._path, self._within = data, path, within

    def get(self, name: str, parse: Callable[[Any], T], *, default: T | None = None) -> T:
        where = f"{self._within}{name}"
        if name not in self._data:
            if default is not None:
                return default
            raise _corrupt(self._path, f"{where} is missing")
        try:
            return parse(self._data[name])
        except StoreCorrupt as error:
            raise _corrupt(self._path, f"{where}: {error}") from error
        except (TypeError, ValueError) as error:
            raise _corrupt(self._path, f"{where} is {self._data[name]!r}, expected {error}") from error

    def later(self, name: str, parse: Callable[[Any], T], *, missing: T) -> T:
        """Parse a field that earlier versions did not write."""
        return self.get(name, parse) if name in self._data else missing


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a whole number, not negative")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number")
    return float(value)


def _stages(value: Any) -> tuple[tuple[int, int, float | None], ...]:
    if not isinstance(value, list) or not all(isinstance(item, list) and len(item) == 3 for item in value):
        raise TypeError("a list of [width, shortlist, margin]")
    return tuple(
        (_count(dim), _count(shortlist), _optional(_number)(margin)) for dim, shortlist, margin in value
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a string")
    return value


def _inside(value: Any) -> str:
    if not isinstance(value, str) or value.startswith("/") or ".." in value.split("/"):
        raise TypeError("a path inside the collection's directory")
    return value


def _optional(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda value: None if value is None else parse(value)


def _objects(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TypeError("a list of objects")
    return tuple(value)


def _file(value: Any) -> FileInfo:
    if not isinstance(value, dict):
        raise TypeError("an object with bytes and sha256")
    return FileInfo(bytes=_count(value.get("bytes")), sha256=_text(value.get("sha256")))


def _files(value: Any) -> Mapping[str, FileInfo]:
    if not isinstance(value, dict) or any(os.path.basename(name) != name or not name for name in value):
        raise TypeError("an object of plain file names")
    return {name: _file(info) for name, info in value.items()}


def _index(value: Any, *, path: Path) -> IndexInfo:
    fields = _Fields(value, path=path, within="index.")
    return IndexInfo(
        kind=fields.get("kind", _text),
        factory=fields.get("factory", _optional(_text)),
        dim=fields.get("dim", _count),
        base_rows=fields.get("base_rows", _count),
        nprobe=fields.get("nprobe", _optional(_count)),
        shortlist=fields.get("shortlist", _optional(_count)),
        recall_target=fields.get("recall_target", _number),
        recall_at_10=fields.get("recall_at_10", _optional(_number)),
        recall_sample=fields.get("recall_sample", _count),
        recall_reason=fields.get("recall_reason", _optional(_text)),
        recall_at_10_text=fields.get("recall_at_10_text", _optional(_number)),
        bytes_per_vector=fields.get("bytes_per_vector", _number),
        trained_rows=fields.get("trained_rows", _count),
        transform=fields.later("transform", _optional(_text), missing=None),
        coarse=fields.later("coarse", _optional(_count), missing=None),
        stages=fields.later("stages", _stages, missing=()),
        file=None if fields.get("sha256", _optional(_text)) is None else _file(value),
    )


def _corrupt(path: Path, what: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path}: not a readable manifest ({what}); restore it from a backup, "
        f"or delete {path.parent} and run `retrieve build-index` on the folder"
    )


def read_manifest(directory: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of the collection in ``directory``.

    Raises:
        FileNotFoundError: there is none.
        ManifestTooNew: a later version wrote it; the message names both formats.
        StoreCorrupt: it is not JSON, or a field is missing or wrong.
    """
    path = Path(directory) / MANIFEST
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, f"not JSON: {error}") from error
    return Manifest.from_json(data, path=path)


def returnable(manifest: Manifest) -> list[Manifest]:
    """Return what was published before the changes of encoder that can be taken back."""
    earlier = [upgrade.get("previous") for upgrade in manifest.upgrades]
    return [Manifest.from_json(facts, path=Path(MANIFEST)) for facts in earlier if isinstance(facts, Mapping)]


def generation_path(directory: str | os.PathLike[str], number: int) -> Path:
    """Return where generation ``number`` of the collection in ``directory`` lies, published or not."""
    return Path(directory) / GENERATIONS / f"{number:04d}"


def store_path(directory: str | os.PathLike[str], manifest: Manifest | None) -> Path:
    """Return the directory that holds ``vectors.lmdb`` and ``rerank.f16``; the collection's own where none is published."""
    return Path(directory) / ("" if manifest is None else manifest.store)
