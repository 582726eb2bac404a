"""Records, blocks, bitmaps and facts in LMDB are checked when they are read; older stores are sealed by their next commit."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from indexes.errors import StoreCorrupt
from indexes.store.store import NewRow, VectorStore
from indexes.store.tables.records import (
    Record,
    key_and_stamp,
    keys_and_stamps,
    pack_id,
    pack_record,
    sealed_record,
    source_of,
    unpack_record,
)
from tests.strategies import contents, keys, stamps, unit

GOLDEN = Path(__file__).parents[3] / "golden"


@given(
    key=keys,
    content=contents,
    stamp=stamps,
    source=st.integers(0, 255),
    number=st.integers(0, 2**40),
    data=st.data(),
)
def test_a_record_is_read_back_and_a_changed_bit_of_it_is_found(key, content, stamp, source, number, data):
    record = Record(id=number, key=key, content=content, stamp=stamp, source=source)
    packed = pack_record(record)
    assert unpack_record(number, packed) == record

    bit = data.draw(st.integers(0, 8 * len(packed) - 1))
    damaged = bytearray(packed)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(StoreCorrupt, match=f"record of row {number}"):
        unpack_record(number, bytes(damaged))
    with pytest.raises(StoreCorrupt):
        unpack_record(number + 1, packed)  # another row's


@given(key=keys, content=contents, stamp=stamps)
def test_a_record_of_an_older_version_is_read_and_sealed(key, content, stamp):
    old = bytes((len(content), len(stamp))) + content + stamp + key
    record = Record(id=7, key=key, content=content, stamp=stamp)

    assert unpack_record(7, old) == record
    assert sealed_record(7, old) == pack_record(record)
    assert sealed_record(7, pack_record(record)) == pack_record(record)


def test_a_changed_bit_of_a_block_is_found_and_not_built_upon(tmp_path):
    with VectorStore.create(tmp_path, dim=16) as store:
        store.append(unit(50, 16, seed=0), [NewRow(key=b"%d" % number) for number in range(50)])
        store.commit()
        block = store.rows(0, 50).tobytes()
    data = tmp_path / "vectors.lmdb" / "data.mdb"
    whole = bytearray(data.read_bytes())
    whole[whole.rindex(block) + 100] ^= 1
    data.write_bytes(whole)

    with VectorStore.open(tmp_path, dim=16, writable=True) as store:
        with pytest.raises(StoreCorrupt, match="block 0 is not what was written"):
            store.rows(40, 50)
        store.append(unit(1, 16, seed=1), [NewRow(key=b"new")])
        with pytest.raises(StoreCorrupt, match="block 0 is not what was written"):
            store.commit()


@pytest.mark.parametrize("name", [b"count", b"dim", b"renames"])
def test_a_changed_fact_is_found_when_the_store_is_opened(tmp_path, name):
    with VectorStore.create(tmp_path, dim=16) as store:
        store.append(unit(3, 16, seed=0), [NewRow(key=b"%d" % number) for number in range(3)])
        store.commit()
        store.rename(0, b"x", b"")
        store.commit()
        store._environment.write(lambda txn, db: txn.put(name, pack_id(2), db=db[b"meta"]), room=4096)
    with pytest.raises(StoreCorrupt, match="its format, width and count are not what was written"):
        VectorStore.open(tmp_path, dim=None)


def test_changed_tombstones_are_found_when_the_store_is_opened(tmp_path):
    with VectorStore.create(tmp_path, dim=16) as store:
        store.append(unit(3, 16, seed=0), [NewRow(key=b"%d" % number) for number in range(3)])
        store.remove([1])
        store.commit()
        store._environment.write(
            lambda txn, db: txn.put(pack_id(0), b"\x20", db=db[b"tombstones"]), room=4096
        )
    with pytest.raises(StoreCorrupt, match="tombstones are not what was written"):
        VectorStore.open(tmp_path, dim=None)


def test_a_key_that_leads_to_another_row_is_found(tmp_path):
    with VectorStore.create(tmp_path, dim=16) as store:
        store.append(unit(3, 16, seed=0), [NewRow(key=b"%d" % number) for number in range(3)])
        store.commit()
        store._environment.write(lambda txn, db: _swap(txn, db[b"keys"]), room=4096)
        with pytest.raises(StoreCorrupt, match="a key leads to row"):
            store.find(b"0")


def _swap(txn, db):
    (one, first), (two, second) = list(txn.cursor(db))[:2]
    for key, value in ((one, second), (two, first)):
        txn.put(key, value, db=db)


def test_the_next_commit_seals_a_store_of_an_older_version(tmp_path):
    shutil.copytree(GOLDEN / "format-1" / "collection", tmp_path / "c")
    with VectorStore.open(tmp_path / "c", dim=None, writable=True) as store:
        before = [store.record(number) for number in range(store.count)]
        assert store.block_sum(0) is None
        raw = _records(store)
        assert {data[0] for data in raw} <= {0, 16}
        store.append(unit(1, store.dim, seed=1), [NewRow(key=b"new")])
        store.commit()

        assert [store.record(number) for number in range(store.count - 1)] == before
        assert {data[0] for data in _records(store)} <= {0x8E, 0xE3}
        assert store.block_sum(0) is not None
        assert len(store.rows(0, store.count)) == len(before) + 1
        assert np.isclose(np.linalg.norm(store.rows(0, 1).astype(np.float32)), 1, atol=1e-2)


def _records(store):
    return store._environment.read(lambda txn, db: [data for _, data in txn.cursor(db[b"records"])])


def test_the_checksum_is_a_crc_32_seeded_with_the_row_and_the_length_of_the_stamp():
    packed = pack_record(Record(id=3, key=b"k", content=b"", stamp=b"ss"))

    assert packed == b"\x8e\x02" + zlib.crc32(b"ssk", (3 << 7) + 2).to_bytes(4, "little") + b"ssk"


@given(key=keys, content=contents, stamp=stamps)
def test_key_and_stamp_are_those_of_the_whole_record_whatever_version_wrote_it(key, content, stamp):
    old = bytes((len(content), len(stamp))) + content + stamp + key

    assert key_and_stamp(old) == (key, stamp)
    assert key_and_stamp(sealed_record(9, old)) == (key, stamp)
    assert source_of(old) == source_of(sealed_record(9, old)) == 0


@given(key=keys, content=contents, stamp=stamps, source=st.integers(0, 255))
def test_key_stamp_and_source_are_told_without_the_checksum(key, content, stamp, source):
    packed = pack_record(Record(id=9, key=key, content=content, stamp=stamp, source=source))

    assert key_and_stamp(packed) == (key, stamp)
    assert source_of(packed) == source


@given(st.lists(st.tuples(keys, contents, stamps, st.integers(0, 2)), max_size=4))
def test_keys_and_stamps_of_many_records_are_those_of_each(rows):
    packed = [
        pack_record(Record(id=number, key=key, content=content, stamp=stamp, source=source))
        for number, (key, content, stamp, source) in enumerate(rows)
    ]

    assert keys_and_stamps(packed) == ([row[0] for row in rows], [row[2] for row in rows])
    assert keys_and_stamps(packed[:1] * 3) == (
        [row[0] for row in rows[:1]] * 3,
        [row[2] for row in rows[:1]] * 3,
    )


@given(key=keys, content=contents, stamp=stamps)
def test_a_record_of_the_first_source_is_what_versions_without_sources_wrote(key, content, stamp):
    packed = pack_record(Record(id=3, key=key, content=content, stamp=stamp, source=0))

    sealed = zlib.crc32(content + stamp + key, (3 << 7) + len(stamp)).to_bytes(4, "little")
    mark = b"\xe3" if content else b"\x8e"
    assert packed == mark + bytes((len(stamp),)) + sealed + content + stamp + key


def test_no_three_changed_bits_make_one_mark_of_another():
    marks = [
        pack_record(Record(id=0, key=b"k", content=content, stamp=b"", source=source))[0]
        for content in (b"", bytes(16))
        for source in (0, 1)
    ]
    pairs = [(mark, other) for mark in marks for other in (*marks, 0, 16) if mark != other]

    assert len(set(marks)) == 4
    assert min((mark ^ other).bit_count() for mark, other in pairs) == 4
