"""Describe a sharded collection: `shards.json` names the collections that are asked as one, and the generation of each.

A row's id in the whole is its shard's number times 2**32, plus its id in the shard.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from indexes.distribution import pip_install
from indexes.errors import ManifestTooNew, StoreCorrupt
from indexes.fields import Fields, corrupt, count, mapping, number, objects, optional, text
from indexes.files import replace_file, writing
from indexes.generation.description.description import Manifest, Request, read_manifest
from indexes.generation.description.index_kinds import IndexInfo, index_from_json, index_to_json
from indexes.generation.description.sealed_json import check_seal, parsed_json, read_whole, sealed
from indexes.generation.description.sources import Source
from indexes.layout import SHARDS

SHIFT: Final = 32
"""Bits of a row's id that are its id within its shard."""

SHARDS_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The training that all shards share.

    Attributes:
        factory: the FAISS factory string.
        sha256: of the file, in hexadecimal.
        rows: that it was trained on.
        residuals: of each shard by its number, the mean squared distance of its rows to the centroids of their lists, just after; 0 without rows. Empty
            where an earlier version trained.
    """

    factory: str
    sha256: str
    rows: int
    residuals: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what the file says of it."""
        residuals = {"residuals": list(self.residuals)} if self.residuals else {}
        return {"factory": self.factory, "sha256": self.sha256, "rows": self.rows} | residuals

    def residual_of(self, shard: int) -> float | None:
        """Return that of a shard; of one that was begun later the mean of the others. None where nothing was measured."""
        known = [one for one in self.residuals if one]
        own = self.residuals[shard] if shard < len(self.residuals) else 0.0
        return own or (sum(known) / len(known) if known else None)

    @classmethod
    def from_json(cls, value: Any, *, path: Path) -> Training:
        """Parse what `to_json` made; ``path`` is named in messages."""
        found = Fields(value, path=path, within="training.")
        return cls(
            factory=found.get("factory", text),
            sha256=found.get("sha256", text),
            rows=found.get("rows", count),
            residuals=found.later("residuals", _numbers, missing=()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard.

    Attributes:
        name: of its directory, in that of the whole.
        units: what it holds: names of units of the source, each with the key from which on it is this shard's; empty for all.
        manifest: of the generation that readers open; the shard itself may have published another one since.
    """

    name: str
    units: tuple[tuple[str, str], ...]
    manifest: Manifest

    @property
    def number(self) -> int:
        """Its number, which the ids of its rows begin with."""
        return int(self.name.rpartition("-")[2])

    def to_json(self) -> dict[str, Any]:
        """Return what the file says of it."""
        return {
            "name": self.name,
            "units": [list(unit) for unit in self.units],
            "rows": self.manifest.live,
            "generation": self.manifest.generation,
            "space": self.manifest.space.name,
            "manifest": self.manifest.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, path: Path) -> Shard:
        """Parse what `to_json` made; ``path`` is named in messages."""
        found = Fields(value, path=path, within="shards.")
        return cls(
            name=found.get("name", _name),
            units=found.get("units", _units),
            manifest=found.get("manifest", lambda data: Manifest.from_json(data, path=path)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shards:
    """What a sharded collection is, as of its newest publish.

    Attributes:
        generation: counted from 1.
        source: where all rows come from; a path is relative to the directory of the whole.
        request: what builds are asked for.
        shard_rows: rows from which on another shard is begun.
        shards: in the order of their numbers.
        index: how the whole is searched, and what that was measured to do.
        training: that all shards share; None where every row is compared.
        options: what builds are asked for besides, as JSON values.
        activations: runs of active indexing, as `Manifest.activations`.
        upgrade: what is recorded of the last change of the encoder, as an entry of `Manifest.upgrades`; None where there was none.
    """

    generation: int
    source: Source
    request: Request
    shard_rows: int
    shards: tuple[Shard, ...]
    index: IndexInfo
    training: Training | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    upgrade: Mapping[str, Any] | None = None
    activations: tuple[Mapping[str, Any], ...] = ()

    @property
    def manifest(self) -> Manifest:
        """What the manifest of the whole would say, were it one collection; its rows are counted, not numbered."""
        shards = [shard.manifest for shard in self.shards]
        first = shards[0]
        columns = next((one.columns for one in shards if one.columns is not None), None)
        return replace(
            first,
            count=sum(one.count for one in shards),
            live=sum(one.live for one in shards),
            generation=self.generation,
            index=self.index,
            encoder=next((one.encoder for one in shards if one.encoder is not None), None),
            sources=(self.source,),
            request=self.request,
            columns=columns,
            files={},
            recent=None,
            upgrades=() if self.upgrade is None else (self.upgrade,),
            activations=self.activations,
        )

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds besides its checksum."""
        first = self.shards[0].manifest
        return {
            "format": SHARDS_FORMAT,
            "space": first.space.to_json(),
            "generation": self.generation,
            "source": self.source.to_json(numbered=True),
            "request": self.request.to_json(),
            "options": dict(self.options),
            "shard_rows": self.shard_rows,
            "upgrade": None if self.upgrade is None else dict(self.upgrade),
            "training": None if self.training is None else self.training.to_json(),
            "shards": [shard.to_json() for shard in self.shards],
            "index": index_to_json(self.index),
        } | ({"activations": [dict(run) for run in self.activations]} if self.activations else {})

    @classmethod
    def from_json(cls, data: Any, *, path: Path) -> Shards:
        """Parse what `to_json` made.

        Raises:
            ManifestTooNew: a later version wrote it.
            StoreCorrupt: a field is missing or is not what it should be.
        """
        fields = Fields(data, path=path)
        found = fields.get("format", count)
        if found > SHARDS_FORMAT:
            raise ManifestTooNew(
                f"{path}: has format {found}, this version reads up to format {SHARDS_FORMAT}; "
                f"install a newer version: {pip_install(options='--upgrade')}"
            )
        shards = tuple(Shard.from_json(value, path=path) for value in fields.get("shards", objects))
        if not shards or [shard.number for shard in shards] != list(range(len(shards))):
            raise corrupt(path, "its shards are not numbered from 0 on")
        return cls(
            generation=fields.get("generation", count),
            source=fields.get("source", lambda value: Source.from_json(value, path=path)),
            request=fields.get("request", lambda value: Request.from_json(value, path=path)),
            options=fields.get("options", dict),
            shard_rows=fields.get("shard_rows", count),
            upgrade=fields.later("upgrade", optional(mapping), missing=None),
            training=fields.get("training", optional(lambda value: Training.from_json(value, path=path))),
            shards=shards,
            index=fields.get("index", lambda value: index_from_json(value, path=path)),
            activations=tuple(fields.later("activations", objects, missing=())),
        )


def shard_name(number: int) -> str:
    """Return the name of a shard's directory."""
    return f"shard-{number:05d}"


def read_shards(directory: str | os.PathLike[str]) -> Shards:
    """Read what the sharded collection in ``directory`` is.

    Raises:
        FileNotFoundError: there is none.
        ManifestTooNew: a later version wrote it.
        StoreCorrupt: it is not JSON, was changed since it was written, or a field is missing or wrong.
    """
    path = Path(directory) / SHARDS
    whole = read_whole(path)
    data = parsed_json(whole, path=path)
    if isinstance(data, dict) and data.get("format") == SHARDS_FORMAT:  # of others the format is said first
        check_seal(whole, path=path)
    return Shards.from_json(data, path=path)


def write_shards(directory: str | os.PathLike[str], shards: Shards) -> None:
    """Replace `shards.json` in one step; a reader sees the old one or the new one.

    Raises:
        StoreFull: no space left; the old one stays.
        StoreReadOnly: the directory cannot be written.
    """
    path = Path(directory) / SHARDS
    with writing(path):
        replace_file(path, sealed(shards.to_json()))


def shards_around(directory: str | os.PathLike[str]) -> Path | None:
    """Return the directory of the sharded collection of which the collection in ``directory`` is a shard; None for any other."""
    home = Path(directory)
    if not home.name.startswith("shard-") or not (home.parent / SHARDS).is_file():
        return None
    return home.parent


def kept_for_readers(directory: str | os.PathLike[str]) -> set[int]:
    """Return the generations of a shard that its `shards.json` names: readers open them until that is replaced."""
    return {manifest.generation for manifest in _read_by_others(directory)}


def stores_for_readers(directory: str | os.PathLike[str]) -> set[str]:
    """Return the stores of a shard, as `Manifest.store` names them, in which these generations lie."""
    return {manifest.store for manifest in _read_by_others(directory)}


def _read_by_others(directory: str | os.PathLike[str]) -> list[Manifest]:
    """Return what `shards.json` says of a shard; nothing of any other collection."""
    whole = shards_around(directory)
    if whole is None:
        return []
    try:
        found = read_shards(whole)
    except (FileNotFoundError, StoreCorrupt):
        return []
    name = Path(directory).name
    return [shard.manifest for shard in found.shards if shard.name == name]


def read_whole_manifest(directory: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of a collection, or what that of a sharded one would say; raises as `read_manifest` does."""
    if (Path(directory) / SHARDS).is_file():
        return read_shards(directory).manifest
    return read_manifest(directory)


def _numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise TypeError("a list of numbers")
    return tuple(map(number, value))


def _name(value: Any) -> str:
    name = text(value)
    if not name.startswith("shard-") or not name[6:].isdigit():
        raise ValueError("the name of a shard, such as shard-00000")
    return name


def _units(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not all(isinstance(item, list) and len(item) == 2 for item in value):
        raise TypeError("a list of [unit, key]")
    return tuple((text(name), text(first)) for name, first in value)
