"""Check every file of a sharded collection: each shard's, the training that they share, and `shards.json`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from indexes.derivation import SharedTraining
from indexes.errors import StoreCorrupt
from indexes.generation import SHARDS, FileCheck, generation_path, read_shards, verify

if TYPE_CHECKING:
    from pathlib import Path


def verify_shards(directory: Path) -> list[FileCheck]:
    """Return a check of each file, those of the whole first."""
    try:
        shards = read_shards(directory)
    except StoreCorrupt as error:
        return [FileCheck(path=SHARDS, ok=False, cure=str(error))]
    checks = [FileCheck(path=SHARDS, ok=True)]
    if shards.training is not None:
        training = SharedTraining.of(directory, shards.training)
        name = training.path.relative_to(directory).as_posix()
        try:
            training.check()
            checks.append(FileCheck(path=name, ok=True))
        except StoreCorrupt as error:
            checks.append(FileCheck(path=name, ok=False, cure=str(error)))
    for shard in shards.shards:
        place = directory / shard.name
        generation = generation_path(place, shard.manifest.generation)
        if not generation.is_dir():
            name = generation.relative_to(directory).as_posix()
            cure = f"{SHARDS} names it, and it is missing; restore the shard from a backup, or move it away and build again"
            checks.append(FileCheck(path=name, ok=False, cure=cure))
        if place.is_dir():
            checks += [replace(check, path=f"{shard.name}/{check.path}") for check in verify(place)]
    return checks
