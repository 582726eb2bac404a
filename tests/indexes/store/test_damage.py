"""Damaged files are refused and named, or mended from the store."""

from __future__ import annotations

import os

import pytest

from indexes.errors import ManifestTooNew, StoreCorrupt
from indexes.store.store import NewRow, VectorStore
from indexes.store.tables.records import unpack_id
from tests.indexes.store.rows import DIM, new_rows
from tests.strategies import unit


@pytest.mark.parametrize("length", [0, 100, 4096, 8192, 0.5, 0.99])
def test_a_half_copied_store_is_refused_and_named(home, length):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.append(unit(3000, DIM, seed=1), new_rows(10, 3010))
        store.commit()
    path = home / "vectors.lmdb" / "data.mdb"
    os.truncate(path, int(length * path.stat().st_size) if length < 1 else length)
    with pytest.raises(StoreCorrupt, match=r"vectors\.lmdb.*(restore|delete)"):
        VectorStore.open(home, dim=DIM)


def test_a_manifest_of_other_software_above_is_no_collection_to_move_away(tmp_path):
    site = tmp_path / "site"
    home = site / "photos" / ".retrieve"
    home.mkdir(parents=True)
    (site / "manifest.json").write_text('{"name": "somebody\'s web page"}')
    with VectorStore.create(home, dim=DIM) as store:
        store.append(unit(10, DIM, seed=1), new_rows(0, 10))
        store.commit()
    os.truncate(home / "vectors.lmdb" / "data.mdb", 5000)

    with pytest.raises(StoreCorrupt, match="move the collection's directory away"):
        VectorStore.open(home, dim=DIM)

    (home / "manifest.json").write_text("{}")
    with pytest.raises(StoreCorrupt, match=f"move {home} away"):
        VectorStore.open(home, dim=DIM)


def test_a_file_of_something_else_is_refused(home):
    (home / "vectors.lmdb" / "data.mdb").write_bytes(b"something else " * 1000)
    with pytest.raises(StoreCorrupt):
        VectorStore.open(home, dim=DIM)


def test_a_newer_format_is_refused(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        newer = (5).to_bytes(8, "big")
        store._environment.write(lambda txn, db: txn.put(b"format", newer, db=db[b"meta"]), room=0)
    with pytest.raises(ManifestTooNew, match="format 5, this version reads up to format 4"):
        VectorStore.open(home, dim=DIM)


def test_the_format_is_raised_by_the_first_row_with_a_source(home):
    """An earlier version would take such a record for damaged."""
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        assert format_of(store) == 1
        store.append(unit(1, DIM, seed=1), [NewRow(key=b"k", source=1)])
        store.commit()
        assert format_of(store) == 2
    with VectorStore.open(home, dim=DIM) as store:
        assert store.record(10).source == 1


def format_of(store):
    return store._environment.read(lambda txn, db: unpack_id(txn.get(b"format", db=db[b"meta"])))


def test_a_longer_rerank_file_is_cut_and_a_shorter_one_refilled(home):
    path = home / "rerank.f16"
    whole = path.read_bytes()
    for spoiled in (whole + b"tail of a killed commit", whole[:-17], b""):
        path.write_bytes(spoiled)
        VectorStore.open(home, dim=DIM, writable=True).close()
        assert whole == path.read_bytes()
