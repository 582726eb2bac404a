"""Every damaged or missing part of a collection is found, with its cure."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from indexes.errors import StoreCorrupt
from indexes.generation import generation_path, read_manifest, verify, write_manifest
from indexes.generation.verification import walk_rows
from indexes.store.mirror import RerankRows
from indexes.store.store import NewRow, VectorStore
from indexes.store.tables.records import key_digest, pack_id
from tests.indexes.generation.generations import DIM, published
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
    flip(collection / "vectors.lmdb" / "data.mdb", at)  # the least of a half's bits: it stays a unit vector

    found = bad(collection)
    assert "block 0 is not what was written; the stored vectors are damaged" in found["vectors.lmdb"]
    assert "rerank.f16" not in found


def test_a_damaged_page_does_not_end_the_process_that_verifies(collection):
    path = collection / "vectors.lmdb" / "data.mdb"
    data = path.read_bytes()
    path.write_bytes(data[: 2 * 4096] + b"\xa5" * (len(data) - 2 * 4096))

    assert (
        "damaged" in bad(collection)["vectors.lmdb"]
        or "move the collection" in bad(collection)["vectors.lmdb"]
    )


def unlink_key(home: Path, key: bytes) -> None:
    """Take a key out of the store behind its back."""
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store._environment.write(lambda txn, db: txn.delete(key_digest(key), db=db[b"keys"]), room=1 << 20)


def test_a_key_that_does_not_lead_to_its_row_is_found(collection):
    unlink_key(collection, b"b")

    assert "the key of record 1 does not lead to it; the stored vectors" in bad(collection)["vectors.lmdb"]


def walked(home: Path) -> list[str]:
    return [cure for _, cure in walk_rows(home, dim=DIM, count=3)]


def test_what_a_build_commits_meanwhile_is_no_damage(collection, monkeypatch):
    blocks = VectorStore.blocks

    def build_meanwhile(store):
        yield from blocks(store)
        with VectorStore.open(collection, dim=DIM, writable=True) as writer:
            writer.append(unit(1, DIM, seed=1), [NewRow(key=b"a")])  # supersedes row 0
            writer.rename(1, b"moved", b"")
            writer.remove([2])
            writer.commit()

    monkeypatch.setattr(VectorStore, "blocks", build_meanwhile)

    assert walked(collection) == ["", ""]


def test_damage_is_found_while_a_build_commits(collection, monkeypatch):
    unlink_key(collection, b"b")
    blocks = VectorStore.blocks

    def build_meanwhile(store):
        yield from blocks(store)
        with VectorStore.open(collection, dim=DIM, writable=True) as writer:
            writer.append(unit(1, DIM, seed=1), [NewRow(key=b"a")])
            writer.commit()

    monkeypatch.setattr(VectorStore, "blocks", build_meanwhile)

    assert "the key of record 1 does not lead to it" in walked(collection)[0]


def test_rows_renamed_at_any_moment_are_no_damage(tmp_path):
    names = [b"%d" % number for number in range(3000)]
    with VectorStore.create(tmp_path, dim=DIM) as store:
        store.append(unit(len(names), DIM, seed=0), [NewRow(key=name) for name in names])
        store.commit()
    done = threading.Event()

    def rename() -> None:
        with VectorStore.open(tmp_path, dim=DIM, writable=True) as writer:
            for turn in range(10_000):
                if done.is_set():
                    return
                for number in range(0, len(names), 10):
                    writer.rename(number, b"%d at turn %d" % (number, turn), b"")
                writer.commit()

    build = threading.Thread(target=rename)
    build.start()
    try:
        found = [walked(tmp_path) for _ in range(5)]
    finally:
        done.set()
        build.join()

    assert found == [["", ""]] * 5


def test_a_generation_that_is_replaced_meanwhile_is_not_missed(collection, monkeypatch):
    """A newer one is published while the files are hashed: the one that is read stays until that is done."""
    from indexes.generation import verification as room

    hashed = []

    def publish_meanwhile(path: Path) -> str:
        if not hashed:
            published(collection, 2)
        hashed.append(path)
        return sha256(path)

    sha256 = room.sha256
    monkeypatch.setattr(room, "sha256", publish_meanwhile)

    assert bad(collection) == {}
    assert [path.parent.name for path in hashed] == ["0001", "0001"]
    published(collection, 3)
    assert not generation_path(collection, 1).exists()  # let go


def test_rows_that_are_given_up_meanwhile_are_not_missed(collection, monkeypatch):
    """A change of the encoder ends, and the rows that it was made with are removed, while others are read."""
    from indexes.generation import verification as room

    staging = collection / "upgrade" / "f"
    with VectorStore.create(staging, dim=DIM) as store:
        store.append(unit(1, DIM, seed=2), [NewRow(key=b"a")])
        store.commit()
    upgrade = {"state": "migrating", "staging": "upgrade/f", "new_space": {"dim": DIM}}
    before = read_manifest(collection)
    write_manifest(collection, replace(before, upgrades=(upgrade,)))
    assert "upgrade/f/rerank.f16" in {check.path for check in verify(collection)}
    walk = room._rows

    def end_meanwhile(folder: Path, known: list[str]) -> object:
        if staging.exists() and folder == collection:
            shutil.rmtree(staging)
            write_manifest(collection, before)
        return walk(folder, known)

    monkeypatch.setattr(room, "_rows", end_meanwhile)

    assert bad(collection) == {}


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


@pytest.mark.parametrize(
    "name", ["tab\tin", "line\nbreak", "both\t\n\t", "quote\"'", "\x1b[31m", "ünï\u2028"]
)
@pytest.mark.parametrize("damage", ["cut", "gone", "other"])
def test_damage_is_told_whatever_the_path_holds(tmp_path, name, damage):
    home = tmp_path / name
    with VectorStore.create(home, dim=DIM) as store:
        store.append(unit(3, DIM, seed=0), [NewRow(key=key) for key in (b"a", b"b\n\t", b"c")])
        store.commit()
    published(home)
    assert bad(home) == {}
    data = home / "vectors.lmdb" / "data.mdb"
    if damage == "cut":
        data.write_bytes(data.read_bytes()[:5000])
    elif damage == "gone":
        shutil.rmtree(data.parent)
    else:
        data.write_bytes(b"x" * 40_000)

    assert "vectors.lmdb" in bad(home)


def test_changed_columns_are_found(collection):
    with VectorStore.open(collection, dim=DIM, writable=True) as store:
        store.set_columns(1, b"a caption")
        store.commit()
        assert bad(collection) == {}
        store._environment.write(
            lambda txn, db: txn.put(pack_id(1), b"another caption", db=db[b"columns"]), room=0
        )

    assert "the columns of row 1 are not what was written" in bad(collection)["vectors.lmdb"]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("manifest.json", lambda path: read_manifest(path.parent)),
        ("rerank.f16", lambda path: RerankRows.open(path, dim=DIM, count=3)),
    ],
)
def test_a_file_that_is_a_loop_of_links_is_named(collection, name, read):
    path = collection / name
    path.unlink()
    path.symlink_to(path.name)

    with pytest.raises(StoreCorrupt, match=rf"{name}: cannot be read \(.*symbolic links\)"):
        read(path)
    assert name in bad(collection)
