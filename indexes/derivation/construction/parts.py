"""Build a large inverted-file index in parts, so that a killed build resumes.

What a build holds in memory is the codes, one shard of them, one block of rows and the training sample. Each finished
shard lies in a file, so a build that is killed loses the shard that it was at and never the training.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexes.engine import block_lists, chain, faiss, gpu_index, ivf, segments
from indexes.errors import StoreCorrupt
from indexes.files import PARTIAL, remove_tree, sync_directory, sync_file, writing
from indexes.vectors import Halves, Ids, Vectors

BUILDING = "building"
"""The directory, beside the generations, of an index that is being built."""

SHARD_ROWS = 262_144
"""Rows in a shard, and from which an index is built in shards: a few seconds to a few minutes of work."""

_TRAINED = "trained.faiss"
_RECIPE = "recipe.json"
_WITNESSES = 256  # training rows whose bytes say that these are still the same rows

Blocks = Callable[[int, int], Iterator[tuple[Ids, Vectors]]]
"""Yields the ids and rows to add between two ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What makes shards belong together: the index that was trained, and rows that prove on what.

    Attributes:
        factory: the FAISS factory string.
        dim: width of the first stage.
        width: width of the rows.
        trained: rows that it was trained on.
        shard_rows: rows in a shard.
        witnesses: ids of some of the training rows.
        sha256: of their bytes.
    """

    factory: str
    dim: int
    width: int
    trained: int
    shard_rows: int
    witnesses: tuple[int, ...]
    sha256: str


def recipe(factory: str, rows: Halves, picked: Ids, *, dim: int, shard_rows: int) -> Recipe:
    """Describe an index that is to be trained on the rows ``picked`` ``(m,)``, ascending."""
    witnesses = picked[:: max(1, len(picked) // _WITNESSES)]
    return Recipe(
        factory=factory,
        dim=dim,
        width=rows.shape[1],
        trained=len(picked),
        shard_rows=shard_rows,
        witnesses=tuple(witnesses.tolist()),
        sha256=_digest(rows, witnesses),
    )


def _digest(rows: Halves, ids: Ids) -> str:
    return hashlib.sha256(rows[ids].tobytes()).hexdigest()


def started(directory: Path, rows: Halves, *, factory: str, dim: int) -> Recipe | None:
    """Return the recipe of the build that was interrupted in ``directory``, if it can go on with these rows.

    Args:
        directory: of the build.
        rows: ``(n, d)``; those of then are still the first ones.
        factory, dim: what is to be built now.
    """
    try:
        found = json.loads((directory / _RECIPE).read_bytes())
        held = Recipe(**found | {"witnesses": tuple(found["witnesses"])})
        witnesses = np.array(held.witnesses, dtype=np.int64)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    same = (held.factory, held.dim, held.width) == (factory, dim, rows.shape[1])
    if not same or not (directory / _TRAINED).exists() or not len(witnesses) or witnesses[-1] >= len(rows):
        return None
    return held if _digest(rows, witnesses) == held.sha256 else None


def keep_trained(directory: Path, index: Any, made: Recipe) -> None:
    """Keep a trained, empty index, in place of whatever build ``directory`` held.

    Raises:
        StoreFull: no space left.
        StoreReadOnly: it cannot be written.
    """
    with writing(directory):
        remove_tree(directory)
        directory.mkdir()
        _saved(index, directory / _TRAINED)
        partial = directory / f"{PARTIAL}{_RECIPE}"
        partial.write_text(json.dumps(asdict(made)), encoding="utf-8")
        sync_file(partial)
        os.replace(partial, directory / _RECIPE)  # last: with it the build counts as begun
        sync_directory(directory)


def load_trained(directory: Path) -> Any:
    """Read the trained, empty index.

    Raises:
        StoreCorrupt: it cannot be read.
    """
    return ivf.load(directory / _TRAINED)


def filled(
    index: Any,
    directory: Path,
    made: Recipe,
    blocks: Blocks,
    *,
    count: int,
    device: int | None = None,
    done: Callable[[int], None],
) -> Any:
    """Add rows 0 to ``count`` to a trained, empty index, shard by shard.

    Args:
        index: trained; its innermost index is an inverted file. Changed in place.
        directory: where finished shards lie and are put.
        made: the recipe that `keep_trained` kept.
        blocks: the rows between two ids.
        count: how many rows there are.
        device: the GPU that encodes, None for the CPU.
        done: called with how many rows are in the index.
    Returns:
        ``index``.
    Raises:
        StoreFull: no space left; finished shards stay.
    """
    whole = ivf.innermost(index)
    shard = faiss().clone_index(whole)
    for first in range(0, count, made.shard_rows):
        last = min(first + made.shard_rows, count)
        path = directory / f"{first}-{last}.faiss"
        if not _taken_in(whole, path):
            gpu_index.add(shard, _transformed(index, blocks(first, last)), device=device)
            with writing(directory), segments.without_centroids(shard):
                _saved(shard, path)
            block_lists.merge(whole, shard)
        done(last)
    block_lists.clear_behind(
        whole
    )  # or what the heap held there would be written, and differ from build to build
    index.ntotal = whole.ntotal
    return index


def remove(directory: Path) -> None:
    """Take away what a build left; it is published, or not wanted any more."""
    remove_tree(directory)


def _taken_in(whole: Any, path: Path) -> bool:
    """Merge a shard that was finished before; say whether there was a readable one."""
    if not path.exists():
        return False
    with suppress(StoreCorrupt):
        shard = ivf.load(path)
        shard.quantizer, shard.own_fields = whole.quantizer, False
        block_lists.merge(whole, shard)
        return True
    return False


def _transformed(index: Any, blocks: Iterator[tuple[Ids, Vectors]]) -> Iterator[tuple[Ids, Vectors]]:
    """Apply what stands before the inverted file: its shards are without it."""
    for ids, rows in blocks:
        yield ids, chain.apply(index, rows)


def _saved(index: Any, path: Path) -> None:
    partial = path.with_name(PARTIAL + path.name)
    ivf.save(index, partial)
    sync_file(partial)
    os.replace(partial, path)
    sync_directory(path.parent)
