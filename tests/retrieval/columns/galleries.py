"""A collection of vectors with columns of many kinds, for tests of conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from indexes.derivation import derive
from indexes.store import NewRow, VectorStore, WriterLock
from indexes.vectors import Space, unit_rows
from retrieval.collection.rows import derived_files
from retrieval.columns import pack, summary

DIM = 8


def store_rows(directory: Path, rows: list[dict[str, Any]], *, seed: int = 0, publish: bool = True) -> None:
    """Add a row for each dictionary of columns to the collection in a directory, making it if need be."""
    vectors = unit_rows(np.random.default_rng(seed).standard_normal((len(rows), DIM)).astype(np.float32))
    directory.mkdir(parents=True, exist_ok=True)
    with WriterLock(directory) as lock:
        if not VectorStore.exists(directory):
            VectorStore.create(directory, dim=DIM, lock=lock).close()
        with VectorStore.open(directory, dim=DIM, writable=True, lock=lock) as store:
            first = store.count
            store.append(
                vectors,
                [
                    NewRow(key=b"%d" % (first + number), columns=pack({}, row))
                    for number, row in enumerate(rows)
                ],
            )
            store.commit()
            if publish:
                publish_store(directory, store)


def publish_store(directory: Path, store: VectorStore) -> None:
    """Publish a generation of all rows."""
    space = Space(name="columns", dim=DIM, fingerprint="0" * 64)
    derive(
        directory,
        store,
        space=space,
        encoder=None,
        columns=summary(store, None, headers=0),
        derived=derived_files(),
    )
