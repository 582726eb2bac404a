"""Readers, writers, threads, processes and forks at one store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

from indexes.errors import MissingRow, StoreClosed, StoreCorrupt, StoreLocked
from indexes.store.lmdb import environment, pages, sharing
from indexes.store.lock import WriterLock
from indexes.store.store import NewRow, VectorStore
from tests.indexes.store.rows import DIM, new_rows
from tests.strategies import unit


def test_a_reader_keeps_its_rows_while_another_commits(home):
    reader = VectorStore.open(home, dim=DIM)
    before = reader.rows(0, 10)
    with VectorStore.open(home, dim=DIM, writable=True) as writer:  # one environment in one process
        writer.append(unit(2000, DIM, seed=2), new_rows(10, 2010))
        writer.remove([0])
        writer.rename(1, b"one", b"")
        writer.commit()
        assert (reader.count, reader.live) == (10, 10)
    np.testing.assert_array_equal(reader.rows(0, 10), before)
    assert [record.id for record in reader.scan()] == list(range(10))
    assert reader.find(b"1500") is None
    assert reader.record(1).key == b"one"
    with pytest.raises(MissingRow):
        reader.rows(0, 11)
    with pytest.raises(MissingRow):
        reader.record(10)
    reader.close()


def test_a_reader_may_be_held_to_the_rows_of_a_manifest(home):
    with VectorStore.open(home, dim=DIM, count=6) as store:
        assert (store.count, store.find(b"5"), store.find(b"6")) == (6, 5, None)
        assert store.find_content(b"%016d" % 1).tolist() == [1]
    with pytest.raises(StoreCorrupt, match="holds 10 rows, expected at least 11"):
        VectorStore.open(home, dim=DIM, count=11)


READS = {
    "opening": lambda store: VectorStore.open(store.directory, dim=DIM).close(),
    "commits": lambda store: store.behind,
    "find": lambda store: store.find(b"3"),
    "find records": lambda store: store.find_records([b"3", b"4"]),
    "contents": lambda store: store.find_contents([b"%016d" % 3]),
    "records": lambda store: store.records([3]),
    "scan": lambda store: list(store.scan()),
    "rows": lambda store: store.rows(0, 10),
    "renames": lambda store: store.renames,
    "block sum": lambda store: store.block_sum(0),
    "by key": lambda store: list(store.not_found_by_key()),
    "by content": lambda store: list(store.not_found_by_content()),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_that_a_first_writer_comes_before_uses_the_handles_of_then(home, monkeypatch, read):
    """The environment is opened anew for the first writer of a process: older handles lead nowhere."""
    with VectorStore.open(home, dim=DIM) as store:
        shared, enter = store._environment, store._environment._gate.enter

        def enter_late():
            monkeypatch.setattr(shared._gate, "enter", enter)
            shared.make_writable()
            enter()

        monkeypatch.setattr(shared._gate, "enter", enter_late)
        read(store)
        assert shared.writable


WRITE = """
import sys
from indexes.store.store import NewRow, VectorStore
from tests.strategies import unit
with VectorStore.open(sys.argv[1], dim=8, writable=True) as store:
    for start in range(10, 60010, 20000):
        store.append(unit(20000, 8, seed=start), [NewRow(key=b"%d" % i) for i in range(start, start + 20000)])
        store.commit()
"""


def test_a_reader_follows_a_map_that_another_process_grew(home, monkeypatch):
    monkeypatch.setattr(environment, "_ROOM", 1 << 20)
    with VectorStore.open(home, dim=DIM) as reader:
        mapped = reader._environment._lmdb.info()["map_size"]
        subprocess.run([sys.executable, "-c", WRITE, home], check=True)
        assert (home / "vectors.lmdb" / "data.mdb").stat().st_size > mapped
        assert reader.find(b"7") == 7
        with VectorStore.open(home, dim=DIM) as second:
            assert (second.count, second.find(b"50000")) == (60_010, 50_000)


def test_a_full_map_grows_and_the_transaction_is_run_again(home, monkeypatch):
    monkeypatch.setattr(environment, "_ROOM", 1 << 20)
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        monkeypatch.setattr(
            "indexes.store.tables.pending.Changes.size", lambda *_a, **_k: 0
        )  # underestimated
        before = store._environment._lmdb.info()["map_size"]
        rows = unit(30_000, DIM, seed=1)
        store.append(rows, [NewRow(key=b"%d" % i) for i in range(10, 30_010)])
        store.commit()
        assert store._environment._lmdb.info()["map_size"] > before
        np.testing.assert_array_equal(store.rows(10, 30_010), rows.astype(np.float16))
        assert store.find(b"29999") == 29_999


def test_pages_are_checked_by_the_first_who_opens_them(home, monkeypatch):
    checked = []
    monkeypatch.setattr(pages, "check", lambda path, flags: checked.append(path))
    with VectorStore.open(home, dim=DIM, writable=True) as writer:
        writer.append(unit(1, DIM, seed=2), new_rows(10, 11))
        writer.commit()
        VectorStore.open(home, dim=DIM).close()
    VectorStore.open(home, dim=DIM).close()

    assert len(checked) == 2


def test_many_threads_read_while_one_writes(home, monkeypatch):
    monkeypatch.setattr(environment, "_ROOM", 1 << 20)  # grows often
    reader = VectorStore.open(home, dim=DIM)
    before = reader.rows(0, 10)
    stop = threading.Event()
    wrong: list[object] = []
    reads = [0] * 4

    def read(thread):
        while not stop.is_set():
            try:
                if reader.find(b"3") != 3 or not np.array_equal(reader.rows(0, 10), before):
                    wrong.append("another answer")
                if [record.id for record in reader.scan()] != list(range(10)):
                    wrong.append("another scan")
                reads[thread] += 1
                stop.wait(0.001)
            except Exception as error:  # noqa: BLE001 - told below
                wrong.append(error)
                return

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    with VectorStore.open(home, dim=DIM, writable=True) as writer:
        for start in range(10, 6010, 1000):
            writer.append(unit(1000, DIM, seed=start), new_rows(start, start + 1000))
            writer.commit()
    while min(reads) == 0 and not wrong:
        stop.wait(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    reader.close()

    assert wrong == []


def holds_in_a_forked_child(claim: Callable[[], bool]) -> bool:
    """Say whether ``claim`` is true in a forked child; one that raises is not."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if claim() else 1)
        finally:
            os._exit(2)
    return os.waitpid(pid, 0)[1] == 0


def test_a_forked_child_reads_on_its_own(home):
    with VectorStore.open(home, dim=DIM) as store:
        assert holds_in_a_forked_child(lambda: store.find(b"7") == 7 and len(store.rows(0, 10)) == 10)
        assert store.find(b"7") == 7


def test_a_forked_child_cannot_write_with_its_parents_store(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.remove([1])

        def is_refused() -> bool:
            try:
                store.commit()
            except StoreLocked:
                return True
            return False

        assert holds_in_a_forked_child(is_refused)
        assert store.find(b"1") == 1


def test_two_writers_that_go_around_the_lock_do_not_mix(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.append(unit(1, DIM, seed=0), [NewRow(key=b"mine")])
        subprocess.run([sys.executable, "-c", WRITE, home], check=True)
        with pytest.raises(StoreLocked, match="another process has written"):
            store.commit()


def test_a_lost_lock_stops_the_commit(home):
    with WriterLock(home) as lock, VectorStore.open(home, dim=DIM, writable=True, lock=lock) as store:
        store.remove([0])
        (home / "lock").unlink()
        with pytest.raises(StoreLocked, match="removed or replaced"):
            store.commit()
    with VectorStore.open(home, dim=DIM) as store:
        assert store.live == 10


def test_closing_twice_is_harmless_and_a_closed_store_refuses(home):
    before = dict(sharing._open)
    store = VectorStore.open(home, dim=DIM, writable=True)
    other = VectorStore.open(home, dim=DIM)
    store.close()
    store.close()
    for use in (store.commit, store.scan().__next__, lambda: store.find(b"1"), lambda: store.rows(0, 1)):
        with pytest.raises(StoreClosed, match="is closed; open it again"):
            use()
    assert other.find(b"1") == 1  # the environment lives while one user is left
    other.close()
    assert sharing._open == before


KILLED = """
import os, signal, sys
from indexes.store.store import VectorStore
with VectorStore.open(sys.argv[1], dim=8, writable=True) as store:
    store.remove([3])
    store.commit()
    store._environment._lmdb.begin(write=True)  # a killed writer leaves LMDB's mutex locked
    with open(sys.argv[1] + "/vectors.lmdb/lock.mdb", "r+b", buffering=0) as table:
        number = int.from_bytes(os.pread(table.fileno(), 8, 48), "little")
        assert number == store._environment.commits
        os.pwrite(table.fileno(), (number - 1).to_bytes(8, "little"), 48)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_committed_without_telling_readers_is_there_for_the_next_writer(home):
    """LMDB writes the header of a commit first and tells readers its number then; a writer may be killed in between."""
    with VectorStore.open(home, dim=DIM) as reader:  # keeps LMDB's table of readers as it is
        killed = subprocess.run([sys.executable, "-c", KILLED, home], check=False)
        assert killed.returncode == -signal.SIGKILL
        with VectorStore.open(home, dim=DIM) as blind:
            assert blind.find(b"3") == 3
            assert blind.behind
            with VectorStore.open(home, dim=DIM, writable=True) as writer:
                writer.remove([5])
                writer.commit()
            assert blind.find(b"3") is None
            assert blind.behind
        assert reader.behind
    with VectorStore.open(home, dim=DIM) as store:
        assert np.flatnonzero(store.tombstones()).tolist() == [3, 5]
        assert list(store.not_found_by_key()) == []
        assert (store.find(b"3"), store.find(b"5"), store.find(b"4")) == (None, None, 4)
