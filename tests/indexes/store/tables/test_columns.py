"""Columns lie beside the records: in the row's transaction, with a checksum, and only where a row has some."""

from __future__ import annotations

import os
import threading

import pytest

from indexes.errors import MissingRow, OptionError, StoreCorrupt
from indexes.store.store import NewRow, VectorStore
from indexes.store.tables.records import COLUMNS_BYTES, pack_id
from tests.indexes.store.rows import DIM, new_rows
from tests.indexes.store.test_damage import format_of
from tests.strategies import unit


def add(store, *columns, seed=1):
    first = store.count
    store.append(
        unit(len(columns), DIM, seed=seed),
        [NewRow(key=b"new %d" % (first + at), columns=data) for at, data in enumerate(columns)],
    )
    store.commit()


def test_a_store_without_columns_keeps_its_format_and_has_none(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.append(unit(2, DIM, seed=1), new_rows(10, 12))
        store.commit()

        assert format_of(store) == 1
        assert store.columns(range(12)) == [b""] * 12
        assert list(store.scan_columns()) == []
        assert store.column_changes == 0


def test_the_first_columns_raise_the_format_and_are_found_again(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        add(store, b"one", b"", b"three" * 2000)
        assert format_of(store) == 3
    with VectorStore.open(home, dim=DIM) as store:
        assert store.columns([12, 10, 11, 0]) == [b"three" * 2000, b"one", b"", b""]
        assert list(store.scan_columns(11)) == [(12, b"three" * 2000)]
        assert store.column_changes == 0


def test_changed_columns_are_counted_once_a_commit(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.set_columns(3, b"x")
        store.set_columns(4, b"y")
        store.commit()
        store.set_columns(3, b"")
        store.commit()

        assert store.columns([3, 4]) == [b"", b"y"]
        assert store.column_changes == 2
        assert store.count == 10


def test_a_source_does_not_lower_the_format_again(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        add(store, b"one")
        store.append(unit(1, DIM, seed=2), [NewRow(key=b"k", source=1)])
        store.commit()

        assert format_of(store) == 3


def test_an_open_reader_finds_columns_that_come_later(home):
    """It was opened when there was no database of columns, in another process or in this one."""
    with VectorStore.open(home, dim=DIM) as reader:
        assert reader.columns([1]) == [b""]
        child = os.fork()
        if child == 0:
            with VectorStore.open(home, dim=DIM, writable=True) as store:
                store.set_columns(1, b"by a child")
                store.commit()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert reader.columns([1]) == [b"by a child"]
        with VectorStore.open(home, dim=DIM, writable=True) as store:
            store.set_columns(1, b"here")
            store.commit()
        assert reader.columns([1]) == [b"here"]


def test_threads_read_while_the_first_columns_are_written(home):
    wrong = []
    with VectorStore.open(home, dim=DIM) as reader:

        def read():
            for _ in range(300):
                found = reader.columns([0])[0]
                if found not in (b"", b"first", b"second"):
                    wrong.append(found)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        with VectorStore.open(home, dim=DIM, writable=True) as store:
            for data in (b"first", b"second"):
                store.set_columns(0, data)
                store.commit()
        for thread in threads:
            thread.join()
        assert reader.columns([0]) == [b"second"]
    assert wrong == []


def test_too_long_columns_and_rows_that_are_not_there_are_refused(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        with pytest.raises(OptionError, match="expected at most"):
            add(store, bytes(COLUMNS_BYTES + 1))
        with pytest.raises(MissingRow):
            store.set_columns(99, b"x")
        with pytest.raises(MissingRow):
            store.columns([99])


@pytest.mark.parametrize("damage", ["a bit", "another row's", "cut", "of no row"])
def test_damage_is_found_when_it_is_read_and_by_verify(home, damage):
    def spoil(txn, databases):
        database = databases[b"columns"]
        whole = txn.get(pack_id(10), db=database)
        if damage == "a bit":
            txn.put(pack_id(10), whole[:-1] + bytes([whole[-1] ^ 1]), db=database)
        elif damage == "another row's":
            txn.put(pack_id(10), txn.get(pack_id(11), db=database), db=database)
        elif damage == "cut":
            txn.put(pack_id(10), whole[:3], db=database)
        else:
            txn.put(pack_id(99), whole, db=database)

    with VectorStore.open(home, dim=DIM, writable=True) as store:
        add(store, b"one", b"two")
        store._environment.write(spoil, room=0)

        assert list(store.wrong_columns()) == [99 if damage == "of no row" else 10]
        if damage != "of no row":
            with pytest.raises(StoreCorrupt, match="columns of row 10 are not what was written"):
                store.columns([10])
            with pytest.raises(StoreCorrupt):
                list(store.scan_columns())
