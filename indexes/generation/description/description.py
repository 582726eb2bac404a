"""Define what manifest.json says; parse and write it field by field.

Long because every fact of a collection stands here once: its meaning, how it is written and how it is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.distribution import pip_install
from indexes.errors import ManifestTooNew
from indexes.fields import (
    Fields,
    corrupt,
    count,
    inside,
    number,
    objects,
    objects_by_name,
    optional,
    plain_names,
    text,
)
from indexes.generation.description.index_kinds import (
    FileInfo,
    IndexInfo,
    index_from_json,
    index_from_old_json,
    index_to_json,
)
from indexes.generation.description.sealed_json import check_seal, parsed_json, read_whole, sealed
from indexes.generation.description.sources import FOLDER, Source, parse_sources
from indexes.layout import GENERATIONS, MANIFEST
from indexes.vectors import Space

if TYPE_CHECKING:
    from indexes.generation.description.columns import Columns
    from indexes.generation.description.recent import Recent


FORMAT = 6
"""The newest layout that this version reads.

1: the store lies beside the manifest. 2: the store lies where the manifest says, or a change of the encoder is under
way. 3: the manifest has a checksum, says what the build was asked for and how each source is opened, and tags its index
with a type. 4: sources have numbers, which records name, and rows may be published beside a generation (`recent`). 5: rows
have columns. 6: parts of images have vectors of their own (`views`). Written is the lowest one that says all: `PLAIN` where
one folder is the only source, nothing is recent, no row has columns and no image has views; then `NUMBERED`, `COLUMNED`, this.
Later versions add optional fields; what an older reader must not pass over raises the number.
"""

PLAIN = 3
"""The layout of a collection whose only source is a folder; earlier versions read it, too."""

NUMBERED = 4
"""The layout of a collection without columns that has other sources than a folder."""

COLUMNED = 5
"""The layout of a collection with columns and without views."""

MIGRATING = "migrating"
"""State of an upgrade whose new encoder answers queries already."""

REENCODING = "reencoding"
"""State of an upgrade whose old encoder answers until every image is encoded again."""

_UNSEALED = (1, 2)
"""Formats without a checksum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a build was asked for, with the collection's own choices filled in.

    Attributes:
        kind: ``auto``, ``flat``, ``ivfpq``, ``ivfrabitq`` or a FAISS factory string.
        dim: a width, ``auto``, or None for the full width.
        recall: recall@10 to reach.
        device: where faiss may use a GPU.
        chosen_for: live rows when ``auto`` last chose a width for this very request.
    """

    kind: str
    dim: int | str | None
    recall: float
    device: str = "cpu"
    chosen_for: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest keeps of it for the next build."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any, *, path: Path) -> Request:
        """Parse what `to_json` made; ``path`` is named in messages."""
        found = Fields(value, path=path, within="request.")
        return cls(
            kind=found.get("kind", text),
            dim=found.get("dim", _width),
            recall=found.get("recall", number),
            device=found.later("device", text, missing="cpu"),
            chosen_for=found.later("chosen_for", optional(count), missing=None),
        )


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
        sources: where the rows come from.
        request: what the build was asked for; None where an older version wrote the manifest, and in `report.json`.
        upgrades: JSON objects, oldest first, that tell of changes of the encoder; while the last one's ``state`` is
            ``migrating``, queries are encoded by another encoder than the stored rows.
        activations: JSON objects, oldest first, that tell of active indexing.
        files: the generation's files by name.
        created: when the collection was first published, UTC, ISO 8601.
        updated: when this generation was published, UTC, ISO 8601.
        recent: what was published beside the generation after it; None for nothing.
        store: the directory of the rows, relative to the collection's, ``/`` between parts; empty for that itself.
        columns: what rows have besides their records; None where no row has anything.
        views: how many parts of each image have a vector of their own, in the folder `indexes.layout.VIEWS`; 0 for none.
        probes: JSON objects by a space's fingerprint: what its encoder gave for known inputs, so that another one that has the
            fingerprint is found out.
        format: version of the layout on disk, as it was read.
    """

    space: Space
    count: int
    live: int
    generation: int
    index: IndexInfo
    encoder: str | None = None
    sources: tuple[Source, ...] = (Source(),)
    request: Request | None = None
    upgrades: tuple[Mapping[str, Any], ...] = ()
    activations: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, FileInfo] = field(default_factory=dict)
    created: str = field(default_factory=_now)
    updated: str = field(default_factory=_now)
    recent: Recent | None = None
    store: str = ""
    columns: Columns | None = None
    views: int = 0
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    format: int = PLAIN

    @property
    def folder(self) -> Source | None:
        """The source that is a folder; None where every row was added by hand."""
        return next((source for source in self.sources if source.type == FOLDER), None)

    @property
    def root(self) -> str | None:
        """The folder that keys are relative to, as `Source.path` says it; None where there is no folder."""
        return None if self.folder is None else self.folder.path

    @property
    def layout(self) -> int:
        """The format that it is written in."""
        if self.views:
            return FORMAT
        if self.columns is not None:
            return COLUMNED
        (first, *others) = self.sources
        plain = not others and (first.type, first.number) == (FOLDER, 0) and self.recent is None
        return PLAIN if plain else NUMBERED

    @property
    def version(self) -> tuple[int, int]:
        """What differs between any two publishes: the generation, and how many came beside it since."""
        return self.generation, 0 if self.recent is None else self.recent.publishes

    @property
    def migrating(self) -> bool:
        """Say whether a change of the encoder is under way in which the new encoder answers queries."""
        return bool(self.upgrades) and self.upgrades[-1].get("state") == MIGRATING

    @property
    def reencoding(self) -> bool:
        """Say whether images are encoded again beside the collection, which answers by its old encoder until all are."""
        return bool(self.upgrades) and self.upgrades[-1].get("state") == REENCODING

    def to_json(self) -> dict[str, Any]:
        """Return the object that `manifest.json` holds besides its checksum; the format comes first."""
        return {
            "format": self.layout,
            "space": self.space.to_json(),
            "encoder": self.encoder,
            "count": self.count,
            "live": self.live,
            "generation": self.generation,
            "sources": [source.to_json(numbered=self.layout > PLAIN) for source in self.sources],
            "request": None if self.request is None else self.request.to_json(),
            "index": index_to_json(self.index),
            "upgrades": [dict(upgrade) for upgrade in self.upgrades],
            "activations": [dict(activation) for activation in self.activations],
            "files": {name: info.to_json() for name, info in sorted(self.files.items())},
            "created": self.created,
            "updated": self.updated,
            **({} if self.recent is None else {"recent": self.recent.to_json()}),
            "store": self.store,
            **({} if self.columns is None else {"columns": self.columns.to_json()}),
            **({"views": self.views} if self.views else {}),
        } | ({"probes": dict(self.probes)} if self.probes else {})

    def to_bytes(self) -> bytes:
        """Return what lies in `manifest.json`: the object, ending in a checksum of all that comes before it."""
        return sealed(self.to_json())

    @classmethod
    def from_json(cls, data: Any, *, path: Path) -> Manifest:
        """Parse what `to_json` made; fields that this version does not know are passed over.

        Args:
            path: where it was read, for messages.
        Raises:
            ManifestTooNew: a later version wrote it.
            StoreCorrupt: a field is missing or is not what it should be.
        """
        fields = Fields(data, path=path)
        found = fields.get("format", count)
        if found > FORMAT:
            raise ManifestTooNew(
                f"{path}: has format {found}, this version reads up to format {FORMAT}; "
                f"install a newer version: {pip_install(options='--upgrade')}"
            )
        if found < 1:
            raise corrupt(path, f"format is {found}, expected 1 to {FORMAT}")
        manifest = cls(
            format=found,
            space=fields.get("space", Space.from_json),
            encoder=fields.get("encoder", optional(text)),
            count=fields.get("count", count),
            live=fields.get("live", count),
            generation=fields.get("generation", count),
            upgrades=fields.later("upgrades", objects, missing=()),
            activations=fields.later("activations", objects, missing=()),
            files=fields.get("files", _files),
            created=fields.get("created", text),
            updated=fields.get("updated", text),
            recent=fields.later("recent", lambda value: _recent(value, fields, path), missing=None),
            store=fields.later("store", inside, missing=""),
            columns=fields.later("columns", lambda value: _columns(value, path), missing=None),
            views=fields.later("views", count, missing=0),
            probes=fields.later("probes", objects_by_name, missing={}),
            **(_tagged(fields, path) if found >= 3 else _untagged(fields, path)),
        )
        if not manifest.live <= manifest.count or not manifest.index.base_rows <= manifest.count:
            raise corrupt(
                path,
                f"{manifest.live} live and {manifest.index.base_rows} indexed rows of {manifest.count} cannot be",
            )
        return manifest


def _tagged(fields: Fields, path: Path) -> dict[str, Any]:
    """Parse what format 3 says otherwise than those before."""
    return {
        "sources": fields.get("sources", lambda value: parse_sources(value, path=path)),
        "request": fields.get("request", optional(lambda value: Request.from_json(value, path=path))),
        "index": fields.get("index", lambda value: index_from_json(value, path=path)),
    }


def _untagged(fields: Fields, path: Path) -> dict[str, Any]:
    """Parse the same of formats 1 and 2."""
    return {
        "sources": (Source(path=fields.get("root", optional(text))),),
        "index": fields.get("index", lambda value: index_from_old_json(value, path=path)),
    }


def _columns(value: Any, path: Path) -> Columns:
    from indexes.generation.description.columns import Columns

    return Columns.from_json(value, path=path)


def _recent(value: Any, fields: Fields, path: Path) -> Recent | None:
    from indexes.generation.description.recent import Recent

    return Recent.from_json(value, path=path, rows=fields.get("count", count))


def _width(value: Any) -> int | str | None:
    return value if value in (None, "auto") else count(value)


def _files(value: Any) -> Mapping[str, FileInfo]:
    return {name: FileInfo.from_json(info) for name, info in plain_names(value).items()}


def read_manifest(directory: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of the collection in ``directory``.

    Raises:
        FileNotFoundError: there is none.
        ManifestTooNew: a later version wrote it; the message names both formats.
        StoreCorrupt: it is not JSON, or a field is missing or wrong.
    """
    path = Path(directory) / MANIFEST
    whole = read_whole(path)
    data = parsed_json(whole, path=path)
    if isinstance(data, dict) and data.get("format") in (
        *_UNSEALED,
        PLAIN,
        NUMBERED,
        COLUMNED,
        FORMAT,
    ):  # of others the format is said first
        _check_seal(whole, data, path)
    return Manifest.from_json(data, path=path)


def _check_seal(whole: bytes, data: Mapping[str, Any], path: Path) -> None:
    """Refuse a manifest that was changed since it was written; those of formats 1 and 2 had no checksum."""
    if data["format"] in _UNSEALED and "checksum" not in data:
        return
    check_seal(whole, path=path)


def returnable(manifest: Manifest) -> list[Manifest]:
    """Return what was published before the changes of encoder that can be taken back."""
    earlier = [upgrade.get("previous") for upgrade in manifest.upgrades]
    return [Manifest.from_json(facts, path=Path(MANIFEST)) for facts in earlier if isinstance(facts, Mapping)]


def kept_files(manifest: Manifest) -> dict[str, FileInfo]:
    """Return what each file is held to that changes of encoder have kept for later ones, by its path in the directory.

    A file that was written again is held to what the newest change says of it.
    """
    kept = (upgrade.get("kept") for upgrade in manifest.upgrades)
    return {str(facts["path"]): FileInfo.from_json(facts) for facts in kept if isinstance(facts, dict)}


def generation_path(directory: str | os.PathLike[str], number: int) -> Path:
    """Return where generation ``number`` of the collection in ``directory`` lies, published or not."""
    return Path(directory) / GENERATIONS / f"{number:04d}"


def store_path(directory: str | os.PathLike[str], manifest: Manifest | None) -> Path:
    """Return the directory that holds ``vectors.lmdb`` and ``rerank.f16``; the collection's own where none is published."""
    return Path(directory) / ("" if manifest is None else manifest.store)
