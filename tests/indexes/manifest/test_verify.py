"""Every damaged or missing part of a collection is found, with its cure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from indexes.manifest import generation_path, read_manifest, verify, write_manifest
from indexes.store import NewRow, VectorStore
from tests.indexes.manifest.generations import DIM, published
from tests.strategies import unit


@pytest.fixture
def collection(tmp_path):
    """Yield a collection of three rows, published once."""
    with VectorStore.create(tmp_path, dim=DIM) as store:
        store.append(unit(3, DIM, seed=0), [NewRow(key=key) for key in (b"a", b"b", b"c")])
        store.commit()
    published(tmp_path)
    return tmp_path


def bad(home: Path) -> dict[str, str]:
    return {check.path: check.cure for check in verify(home) if not check.ok}


def test_a_whole_collection_verifies(collection):
    checks = verify(collection)

    assert all(check.ok and not check.cure for check in checks)
    assert [check.path for check in checks] == [
        "manifest.json",
        "generations/0001/pin",
        "generations/0001/report",
        "vectors.lmdb",
        "rerank.f16",
    ]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


def test_a_flipped_byte_of_the_generation_is_found(collection):
    flip(generation_path(collection, 1) / "report", 0)

    assert list(bad(collection)) == ["generations/0001/report"]
    assert "SHA-256 differs" in bad(collection)["generations/0001/report"]


def test_a_flipped_byte_of_the_rerank_file_is_found_and_the_cure_helps(collection):
    whole = (collection / "rerank.f16").read_bytes()
    flip(collection / "rerank.f16", 2 * DIM + 1)
    found = bad(collection)
    assert list(found) == ["rerank.f16"]
    assert found["rerank.f16"].startswith("row 1 is not the stored one; delete rerank.f16 and run")

    (collection / "rerank.f16").unlink()
    assert list(bad(collection)) == ["rerank.f16"]
    VectorStore.open(collection, dim=DIM, writable=True).close()
    assert whole == (collection / "rerank.f16").read_bytes()
    assert bad(collection) == {}


def test_a_damaged_row_of_the_store_is_found(collection):
    data = (collection / "vectors.lmdb" / "data.mdb").read_bytes()
    at = data.index((collection / "rerank.f16").read_bytes())
    flip(collection / "vectors.lmdb" / "data.mdb", at + 1)

    assert "row 0 is not a unit vector; the stored vectors are damaged" in bad(collection)["vectors.lmdb"]


def test_a_damaged_page_does_not_end_the_process_that_verifies(collection):
    path = collection / "vectors.lmdb" / "data.mdb"
    data = path.read_bytes()
    path.write_bytes(data[: 2 * 4096] + b"\xa5" * (len(data) - 2 * 4096))

    assert (
        "damaged" in bad(collection)["vectors.lmdb"]
        or "delete the collection" in bad(collection)["vectors.lmdb"]
    )


def test_fewer_rows_than_the_manifest_names_are_found(collection):
    write_manifest(collection, replace(read_manifest(collection), count=4))

    assert "holds 3 rows, manifest.json names 4" in bad(collection)["vectors.lmdb"]


@pytest.mark.parametrize(
    "name", ["manifest.json", "generations/0001", "generations/0001/report", "vectors.lmdb"]
)
def test_a_missing_part_is_found(collection, name):
    (collection / name).rename(collection / "elsewhere")

    assert name in bad(collection)
    assert "missing" in bad(collection)[name] or "No such file" in bad(collection)[name]


def test_nothing_to_verify(tmp_path):
    with pytest.raises(FileNotFoundError, match="no collection here"):
        verify(tmp_path)
