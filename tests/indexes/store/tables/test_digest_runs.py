"""Runs of digests find what a dict of them would, and write little for what is added."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import lmdb
import numpy as np
import pytest

from indexes.errors import StoreCorrupt
from indexes.store import NewRow, VectorStore
from indexes.store.tables import digest_runs
from indexes.store.tables.digest_runs import CONTENT, KEY, RUNS
from tests.strategies import unit

DIM = 8


def digest(number: int) -> bytes:
    return hashlib.blake2b(b"%d" % number, digest_size=16).digest()


@pytest.fixture
def environment(tmp_path):
    """Return an environment with a database of runs."""
    with lmdb.open(str(tmp_path), max_dbs=1, map_size=1 << 26) as found:
        yield found, found.open_db(RUNS)


def test_what_was_put_is_found(environment):
    found, database = environment
    known: dict[bytes, list[int]] = defaultdict(list)
    draw = np.random.default_rng(0)
    number = 0
    for size in (1, 700, 30, 1, 1, 2_000, 5, 170):
        names = [digest(int(draw.integers(3_000))) for _ in range(size)]
        with found.begin(write=True) as txn:
            digest_runs.put(txn, database, KEY, names, range(number, number + size))
        for name in names:
            known[name].append(number)
            number += 1
        with found.begin() as txn:
            asked = [digest(one) for one in range(3_000)]
            there = digest_runs.find(txn, database, KEY, asked)
            assert {name: sorted(ids) for name, ids in there.items()} == known
            assert digest_runs.find(txn, database, CONTENT, asked) == {}


def test_more_equal_digests_than_fit_on_a_page_are_found(environment):
    found, database = environment
    same, digests = digest(0), [digest(number) for number in range(1, 400)]
    heads = [same[:8] + bytes([number]) * 8 for number in range(5)]  # as if hashes had the same beginning
    with found.begin(write=True) as txn:
        digest_runs.put(txn, database, CONTENT, [*digests, *[same] * 500, *heads], range(399 + 500 + 5))
    with found.begin() as txn:
        there = digest_runs.find(txn, database, CONTENT, [same, heads[3]])
    assert sorted(there[same]) == list(range(399, 899))
    assert there[heads[3]] == [902]


def test_few_runs_and_little_written_for_many_commits(environment, monkeypatch):
    found, database = environment
    pages: list[int] = []
    write = digest_runs._write_pages

    def counted(txn, database, prefix, place, entries):
        pages.append(len(entries))
        return write(txn, database, prefix, place, entries)

    monkeypatch.setattr(digest_runs, "_write_pages", counted)
    for start in range(0, 100_000, 1_000):
        with found.begin(write=True) as txn:
            names = [digest(number) for number in range(start, start + 1_000)]
            digest_runs.put(txn, database, KEY, names, range(start, start + 1_000))
    with found.begin() as txn:
        runs = digest_runs._runs(txn, database, KEY)
    assert sum(size for _, size in runs) == 100_000
    assert len(runs) <= 12  # up to four of each size; 4 as it is
    assert (
        sum(pages) <= 3 * 100_000
    )  # each entry is written again when there are five times as many; 2.6 as it is


def test_a_run_of_the_largest_size_is_left_alone(environment, monkeypatch):
    monkeypatch.setattr(digest_runs, "MOST", 100)
    found, database = environment
    for start in range(0, 400, 40):
        with found.begin(write=True) as txn:
            names = [digest(number) for number in range(start, start + 40)]
            digest_runs.put(txn, database, KEY, names, range(start, start + 40))
    with found.begin() as txn:
        assert [size for _, size in digest_runs._runs(txn, database, KEY)] == [80] * 5
        there = digest_runs.find(txn, database, KEY, [digest(number) for number in range(400)])
    assert there == {digest(number): [number] for number in range(400)}


def test_a_changed_page_is_found(environment):
    found, database = environment
    with found.begin(write=True) as txn:
        digest_runs.put(txn, database, KEY, [digest(0)], [7])
        cursor = txn.cursor(database)
        cursor.last()
        data = bytearray(cursor.value())
        data[20] ^= 1
        cursor.put(cursor.key(), bytes(data))
    with found.begin() as txn, pytest.raises(StoreCorrupt, match="a page of digests"):
        digest_runs.find(txn, database, KEY, [digest(0)])


def test_a_large_store_goes_over_to_runs(tmp_path, monkeypatch):
    """Rows of its trees are found, deleted, renamed and replaced as before; a reader that was open goes on."""
    monkeypatch.setattr(digest_runs, "FROM_ROWS", 10)

    def new(numbers):
        return [NewRow(key=b"%d" % number, content=b"%016d" % (number % 3)) for number in numbers]

    with VectorStore.create(tmp_path, dim=DIM) as store:
        store.append(unit(8, DIM, seed=0), new(range(8)))
        store.commit()
        reader = VectorStore.open(tmp_path, dim=DIM)
        store.append(unit(8, DIM, seed=1), new(range(6, 14)))  # 6 and 7 anew
        store.remove([0])
        store.rename(1, b"other", b"")
        store.commit()

        assert [store.find(key) for key in (b"0", b"1", b"other", b"2", b"6", b"7", b"13")] == [
            None,
            None,
            1,
            2,
            8,
            9,
            15,
        ]
        assert store.find_content(b"%016d" % 0).tolist() == [3, 8, 11, 14]
        assert list(store.not_found_by_key()) == list(store.not_found_by_content()) == []
        assert [reader.find(key) for key in (b"0", b"other", b"6")] == [None, 1, None]
        assert reader.behind
        store.append(unit(1, DIM, seed=2), new([0]))
        store.commit()
        assert store.find(b"0") == 16
        reader.close()


def test_verify_finds_a_row_that_no_run_leads_to(tmp_path, monkeypatch):
    monkeypatch.setattr(digest_runs, "FROM_ROWS", 0)
    with VectorStore.create(tmp_path, dim=DIM) as store:
        store.append(
            unit(3, DIM, seed=0),
            [NewRow(key=b"%d" % number, content=b"%016d" % number) for number in range(3)],
        )
        store.commit()
        store._environment.write(lambda txn, db: digest_runs._delete(txn, db[RUNS], KEY, 0), room=1 << 16)
        assert list(store.not_found_by_key()) == [0, 1, 2]
        assert list(store.not_found_by_content()) == []


def test_most_digests_that_a_large_run_has_not_are_left_out_by_its_filter(environment, monkeypatch):
    found, database = environment
    count = 20_000
    with found.begin(write=True) as txn:
        digest_runs.put(txn, database, KEY, [digest(number) for number in range(count)], range(count))
    asked = []
    look = digest_runs._in_run
    monkeypatch.setattr(
        digest_runs,
        "_in_run",
        lambda cursor, prefix, one, checked: asked.append(one) or look(cursor, prefix, one, checked),
    )
    with found.begin() as txn:
        there = digest_runs.find(txn, database, KEY, [digest(number) for number in range(count)])
        assert there == {digest(number): [number] for number in range(count)}
        asked.clear()
        assert digest_runs.find(txn, database, KEY, [digest(-number) for number in range(1, 5_001)]) == {}
    assert len(asked) < 250  # 9 to 17 bits an entry; about 40 as it is
    with found.begin(write=True) as txn:
        name = digest_runs._filter_name(KEY, 0)
        data = bytearray(txn.get(name, db=database))
        data[9] ^= 2
        txn.put(name, bytes(data), db=database)
    with found.begin() as txn, pytest.raises(StoreCorrupt, match="the filter of a run"):
        digest_runs.find(txn, database, KEY, [digest(number) for number in range(100)])


def test_a_run_that_was_merged_leaves_no_filter(environment, monkeypatch):
    monkeypatch.setattr(digest_runs, "_FILTERED", 10)
    found, database = environment
    for start in range(0, 300, 30):
        with found.begin(write=True) as txn:
            names = [digest(number) for number in range(start, start + 30)]
            digest_runs.put(txn, database, KEY, names, range(start, start + 30))
    with found.begin() as txn:
        filters = [name for name, _ in txn.cursor(database) if name.startswith(b"K")]
        runs = [digest_runs._filter_name(KEY, number) for number, _ in digest_runs._runs(txn, database, KEY)]
        there = digest_runs.find(txn, database, KEY, [digest(number) for number in range(400)])
    assert filters == runs
    assert there == {digest(number): [number] for number in range(300)}
