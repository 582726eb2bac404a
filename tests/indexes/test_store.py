from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from indexes import environment
from indexes.errors import (
    ManifestTooNew,
    MissingRow,
    OptionError,
    ShapeError,
    StoreCorrupt,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    VectorError,
)
from indexes.lock import WriterLock
from indexes.store import NewRow, Record, VectorStore, rebuild_rerank
from indexes.tables import rows_per_block
from tests.strategies import contents, keys, stamps, unit, unit_vectors

DIM = 8


def new_rows(start: int, stop: int) -> list[NewRow]:
    return [
        NewRow(key=b"%d" % number, content=b"%016d" % (number % 5), stamp=b"s%d" % number)
        for number in range(start, stop)
    ]


@pytest.fixture
def home(tmp_path):
    """Return a collection directory with ten committed rows."""
    home = tmp_path / "collection"
    with VectorStore.create(home, dim=DIM) as store:
        store.append(unit(10, DIM, seed=0), new_rows(0, 10))
        store.commit()
    return home


class StoreIsADict(RuleBasedStateMachine):
    """The store is a dict from keys to rows; ids are positions for ever."""

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.store = VectorStore.create(self.home, dim=DIM)
        self.rows: list[np.ndarray] = []  # everything ever appended, by id
        self.records: list[Record] = []
        self.live: dict[bytes, int] = {}
        self.remember()

    def remember(self):
        self.committed = (list(self.rows), list(self.records), dict(self.live))

    def kill(self, key):
        self.live.pop(key, None)

    @rule(data=st.data(), rows=unit_vectors(DIM))
    def append(self, data, rows):
        drawn = data.draw(st.lists(st.tuples(keys, contents, stamps), min_size=len(rows), max_size=len(rows)))
        new = [NewRow(key=key, content=content, stamp=stamp) for key, content, stamp in drawn]
        ids = self.store.append(rows, new)

        assert ids.tolist() == list(range(len(self.rows), len(self.rows) + len(rows)))
        for number, row, record in zip(ids.tolist(), rows, new, strict=True):
            self.rows.append(row)
            self.records.append(Record(id=number, key=record.key, content=record.content, stamp=record.stamp))
            self.live[record.key] = number

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def remove(self, data):
        ids = data.draw(st.lists(st.integers(0, len(self.rows) - 1), max_size=3))
        self.store.remove(ids)
        self.live = {key: number for key, number in self.live.items() if number not in ids}

    @precondition(lambda self: self.live)
    @rule(data=st.data(), key=keys, stamp=stamps)
    def rename(self, data, key, stamp):
        number = data.draw(st.sampled_from(sorted(self.live.values())))
        self.store.rename(number, key, stamp)
        old = self.records[number]
        del self.live[old.key]
        self.live[key] = number
        self.records[number] = Record(id=number, key=key, content=old.content, stamp=stamp)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), stamp=stamps)
    def restamp(self, data, stamp):
        number = data.draw(st.sampled_from(sorted(self.live.values())))
        self.store.restamp(number, stamp)
        old = self.records[number]
        self.records[number] = Record(id=number, key=old.key, content=old.content, stamp=stamp)

    @precondition(lambda self: len(self.live) < len(self.rows))
    @rule(data=st.data())
    def a_dead_row_is_not_renamed(self, data):
        dead = sorted(set(range(len(self.rows))) - set(self.live.values()))
        with pytest.raises(MissingRow):
            self.store.rename(data.draw(st.sampled_from(dead)), b"new", b"")

    @rule()
    def commit(self):
        self.store.commit()
        self.remember()

        assert self.store.pending == 0

    @rule(how=st.sampled_from(["close", "crash", "torn rerank", "no rerank"]))
    def reopen(self, how):
        """What was not committed is gone, however the process ended and whatever became of the rerank file."""
        if how == "crash":  # after the rerank file was written, before LMDB was
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    environment.Environment,
                    "write",
                    lambda *_a, **_k: (_ for _ in ()).throw(KeyboardInterrupt),
                )
                if self.store.pending:
                    with pytest.raises(KeyboardInterrupt):
                        self.store.commit()
        self.store.close()
        rerank = self.home / "rerank.f16"
        if how == "torn rerank":
            os.truncate(rerank, rerank.stat().st_size * 2 // 3)
        if how == "no rerank":
            rerank.unlink()
        self.store = VectorStore.open(self.home, dim=DIM, writable=True)
        rows, records, live = self.committed
        self.rows, self.records, self.live = list(rows), list(records), dict(live)

    @invariant()
    def shows_what_was_committed(self):
        rows, records, live = self.committed
        store = self.store
        assert (store.count, store.live) == (len(rows), len(live))
        assert list(store.scan()) == [records[number] for number in sorted(live.values())]
        assert store.records(range(len(rows))) == records
        assert np.flatnonzero(~store.tombstones()).tolist() == sorted(live.values())
        for key in {record.key for record in records} | {b"never"}:
            assert store.find(key) == live.get(key)
        for content in {record.content for record in records}:
            same = [
                number for number in sorted(live.values()) if content and records[number].content == content
            ]
            assert store.find_content(content).tolist() == same
        stored = store.rows(0, len(rows))
        assert np.abs(stored.astype(np.float32) - np.array(rows).reshape(-1, DIM)).max(initial=0) < 5e-4

    @invariant()
    def the_rerank_file_holds_the_same_rows(self):
        mapped = np.fromfile(self.home / "rerank.f16", np.float16).reshape(-1, DIM)
        np.testing.assert_array_equal(mapped[: self.store.count], self.store.rows(0, self.store.count))

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.home)


TestStoreIsADict = StoreIsADict.TestCase
TestStoreIsADict.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)


@pytest.mark.parametrize("dim", [1, 3, 64, 100, 512, 768, 1024, 3000])
def test_blocks_fill_whole_pages_with_about_a_thousand_rows(dim):
    rows = rows_per_block(dim)
    pages = -(-(rows * 2 * dim + 16) // 4096)

    assert 900 < rows < 2200
    assert (pages * 4096 - 16) - rows * 2 * dim < 2 * dim  # not one row more fits


@pytest.mark.parametrize("sizes", [[2500], [1, 1023, 1, 999], [400] * 7, [1023, 1023], [2046, 1]])
def test_rows_come_back_however_they_were_committed(tmp_path, sizes):
    """Blocks are cut alike, wherever the commits fell."""
    rows = unit(sum(sizes), 512, seed=3)
    records = new_rows(0, len(rows))
    with VectorStore.create(tmp_path, dim=512) as store:
        done = 0
        for size in sizes:
            store.append(rows[done : done + size], records[done : done + size])
            store.commit()
            done += size
    with VectorStore.open(tmp_path, dim=512) as store:
        half = rows.astype(np.float16)
        np.testing.assert_array_equal(store.rows(0, len(rows)), half)
        np.testing.assert_array_equal(store.rows(700, min(1500, len(rows))), half[700:1500])
        np.testing.assert_array_equal(np.concatenate([part for _, part in store.blocks(rows=333)]), half)
        assert [first for first, _ in store.blocks(rows=333)] == list(range(0, len(rows), 333))
        cosines = np.einsum("nd,nd->n", store.rows(0, len(rows)).astype(np.float32), rows)
        assert np.abs(cosines - 1).max() < 1e-3
    assert np.array_equal(np.fromfile(tmp_path / "rerank.f16", np.float16).reshape(-1, 512), half)


def test_the_files_are_within_one_percent_of_the_rows(tmp_path):
    count, dim = 40_000, 512
    with VectorStore.create(tmp_path, dim=dim) as store:
        for start in range(0, count, 10_000):
            store.append(
                unit(10_000, dim, seed=start), [NewRow(key=b"%d" % i) for i in range(start, start + 10_000)]
            )
            store.commit()
        used = store._environment.stat(b"blocks")
        pages = used["overflow_pages"] + used["leaf_pages"] + used["branch_pages"]
    payload = count * dim * 2

    assert payload < pages * used["psize"] <= 1.01 * payload  # usually 1.001
    assert payload == (tmp_path / "rerank.f16").stat().st_size
    # Records, maps and pages of the last commit that wait for reuse: usually 1.09.
    assert (tmp_path / "vectors.lmdb" / "data.mdb").stat().st_size <= 1.2 * payload


def test_an_array_handed_in_is_left_alone_and_may_change_afterwards(home):
    rows = unit(2, DIM, seed=5)
    kept = rows.copy()
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.append(rows, new_rows(20, 22))
        assert np.array_equal(kept, rows)
        rows[:] = 0
        store.commit()
        np.testing.assert_array_equal(store.rows(10, 12), kept.astype(np.float16))


def test_nothing_is_seen_before_the_commit(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.append(unit(1, DIM, seed=1), [NewRow(key=b"3")])
        store.remove([4])
        store.rename(5, b"five", b"")
        store.restamp(6, b"later")

        assert store.pending == 4
        assert (store.count, store.live, store.find(b"3"), store.find(b"4"), store.find(b"five")) == (
            10,
            10,
            3,
            4,
            None,
        )
        assert store.record(6).stamp == b"s6"
    with VectorStore.open(home, dim=DIM) as store:
        assert (store.count, store.live) == (10, 10)


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


WRITE = """
import sys
from indexes.store import NewRow, VectorStore
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
        monkeypatch.setattr("indexes.changes.Changes.size", lambda *_a, **_k: 0)  # underestimated
        before = store._environment._lmdb.info()["map_size"]
        rows = unit(30_000, DIM, seed=1)
        store.append(rows, [NewRow(key=b"%d" % i) for i in range(10, 30_010)])
        store.commit()
        assert store._environment._lmdb.info()["map_size"] > before
        np.testing.assert_array_equal(store.rows(10, 30_010), rows.astype(np.float16))
        assert store.find(b"29999") == 29_999


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


def test_a_forked_child_reads_on_its_own(home):
    with VectorStore.open(home, dim=DIM) as store:
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if store.find(b"7") == 7 and len(store.rows(0, 10)) == 10 else 1)
            finally:
                os._exit(2)
        assert os.waitpid(pid, 0)[1] == 0
        assert store.find(b"7") == 7


def test_a_forked_child_cannot_write_with_its_parents_store(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.remove([1])
        pid = os.fork()
        if pid == 0:
            try:
                store.commit()
            except StoreLocked:
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
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


@pytest.mark.parametrize(
    ("rows", "records", "error"),
    [
        (unit(2, DIM, seed=0), new_rows(0, 1), ShapeError),
        (unit(1, DIM + 1, seed=0), new_rows(0, 1), ShapeError),
        (np.zeros((1, DIM), np.float32), new_rows(0, 1), VectorError),
        (np.full((1, DIM), np.nan, np.float32), new_rows(0, 1), VectorError),
        (unit(1, DIM, seed=0), [NewRow(key=b"")], OptionError),
        (unit(1, DIM, seed=0), [NewRow(key=b"k", content=b"short")], OptionError),
        (unit(1, DIM, seed=0), [NewRow(key=b"k", stamp=b"s" * 65)], OptionError),
    ],
)
def test_what_cannot_be_stored_is_refused_whole(home, rows, records, error):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        with pytest.raises(error):
            store.append(rows, records)
        assert store.pending == 0


def test_rows_that_are_not_there_are_refused(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        for attempt in (
            lambda: store.remove([3, 10]),
            lambda: store.rename(10, b"x", b""),
            lambda: store.restamp(-1, b""),
            lambda: store.record(10),
            lambda: store.records([0, -1]),
            lambda: store.rows(5, 11),
            lambda: store.rows(5, 4),
        ):
            with pytest.raises(MissingRow):
                attempt()
        assert store.pending == 0


def test_a_store_opened_for_reading_is_not_written(home):
    with VectorStore.open(home, dim=DIM) as store:
        for attempt in (
            lambda: store.append(unit(1, DIM, seed=0), new_rows(0, 1)),
            lambda: store.remove([0]),
            lambda: store.rename(0, b"x", b""),
            lambda: store.restamp(0, b""),
            store.commit,
        ):
            with pytest.raises(StoreReadOnly, match="opened for reading"):
                attempt()


def test_another_width_is_refused_by_both_numbers(home):
    with pytest.raises(ShapeError, match="width 8, expected 16"):
        VectorStore.open(home, dim=16)
    VectorStore.open(home, dim=None).close()


def test_creating_twice_is_refused_and_a_width_must_be_positive(home, tmp_path):
    with pytest.raises(OptionError, match="there already"):
        VectorStore.create(home, dim=DIM)
    with pytest.raises(OptionError, match="width 0"):
        VectorStore.create(tmp_path / "new", dim=0)


def test_no_store_is_file_not_found(tmp_path):
    assert not VectorStore.exists(tmp_path)
    with pytest.raises(FileNotFoundError, match="build-index"):
        VectorStore.open(tmp_path, dim=DIM)


@pytest.mark.parametrize("length", [0, 100, 4096, 8192, 0.5, 0.99])
def test_a_half_copied_store_is_refused_and_named(home, length):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.append(unit(3000, DIM, seed=1), new_rows(10, 3010))
        store.commit()
    path = home / "vectors.lmdb" / "data.mdb"
    os.truncate(path, int(length * path.stat().st_size) if length < 1 else length)
    with pytest.raises(StoreCorrupt, match=r"vectors\.lmdb.*(restore|delete)"):
        VectorStore.open(home, dim=DIM)


def test_a_file_of_something_else_is_refused(home):
    (home / "vectors.lmdb" / "data.mdb").write_bytes(b"something else " * 1000)
    with pytest.raises(StoreCorrupt):
        VectorStore.open(home, dim=DIM)


def test_a_newer_format_is_refused(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        meta = store._environment.databases[b"meta"]
        store._environment.write(lambda txn: txn.put(b"format", (2).to_bytes(8, "big"), db=meta), room=0)
    with pytest.raises(ManifestTooNew, match="format 2, this version reads up to format 1"):
        VectorStore.open(home, dim=DIM)


def test_a_longer_rerank_file_is_cut_and_a_shorter_one_refilled(home):
    path = home / "rerank.f16"
    whole = path.read_bytes()
    for spoiled in (whole + b"tail of a killed commit", whole[:-17], b""):
        path.write_bytes(spoiled)
        VectorStore.open(home, dim=DIM, writable=True).close()
        assert whole == path.read_bytes()


def test_the_rerank_file_is_rebuilt_from_the_store(home):
    path = home / "rerank.f16"
    whole = path.read_bytes()
    path.write_bytes(b"\0" * len(whole))
    rebuild_rerank(home, dim=DIM)

    assert whole == path.read_bytes()
    assert sorted(entry.name for entry in home.iterdir()) == ["rerank.f16", "vectors.lmdb"]


def test_a_refused_write_keeps_the_changes_and_the_last_commit(home, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with VectorStore.open(home, dim=DIM, writable=True) as store:
        rows = unit(5, DIM, seed=9)
        store.append(rows, new_rows(10, 15))
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(StoreFull, match=r"rerank\.f16: cannot be written, no space left on device"):
                store.commit()
        assert (store.count, store.pending) == (10, 5)
        store.commit()  # there is space again
        assert store.count == 15
        np.testing.assert_array_equal(store.rows(10, 15), rows.astype(np.float16))


FILL = """
import os, resource, sys
from indexes.errors import StoreFull
from indexes.store import NewRow, VectorStore
from tests.strategies import unit
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
store = VectorStore.open(sys.argv[1], dim=8, writable=True)
try:
    for start in range(10, 10**6, 5000):
        store.append(unit(5000, 8, seed=start), [NewRow(key=b"%d" % i) for i in range(start, start + 5000)])
        store.commit()
except StoreFull as error:
    print(store.count, error)
    os._exit(7)
"""


def filled(home: Path, *limit: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", FILL, home, *limit], capture_output=True, text=True, check=False
    )
    assert run.returncode == 7, run.stderr
    assert str(home) in run.stdout
    return int(run.stdout.split()[0])


@pytest.mark.parametrize("limit", ["300000", "1500000", "3000000"])
def test_a_file_that_may_not_grow_leaves_the_last_commit(home, limit):
    count = filled(home, limit)

    with VectorStore.open(home, dim=DIM, writable=True) as store:
        assert store.count == count
        assert store.find(b"%d" % (count - 1)) == count - 1
        store.append(unit(1, DIM, seed=0), [NewRow(key=b"after")])
        store.commit()
        assert store.find(b"after") == count


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_leaves_the_last_commit(small_disk, home):
    there = small_disk / "copied"
    shutil.copytree(home, there)
    count = filled(there)

    assert count > 10
    with VectorStore.open(there, dim=DIM) as store:
        assert (store.count, store.find(b"%d" % (count - 1))) == (count, count - 1)
        assert len(store.rows(0, count)) == count


def test_a_read_only_disk_can_be_searched_and_not_written(small_disk, home):
    there = small_disk / "copied"
    shutil.copytree(home, there)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with VectorStore.open(there, dim=DIM) as store:
        assert store.find(b"7") == 7
    with pytest.raises(StoreReadOnly, match="--index DIR"):
        VectorStore.open(there, dim=DIM, writable=True)
    with pytest.raises(StoreReadOnly, match="--index DIR"):
        WriterLock(there).acquire()


def test_closing_twice_is_harmless_and_a_closed_store_refuses(home):
    before = dict(environment._open)
    store = VectorStore.open(home, dim=DIM, writable=True)
    other = VectorStore.open(home, dim=DIM)
    store.close()
    store.close()
    with pytest.raises(StoreReadOnly, match="closed"):
        store.commit()
    assert other.find(b"1") == 1  # the environment lives while one user is left
    other.close()
    assert environment._open == before


def test_an_interrupt_within_append_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.eye(4, dtype=np.float32)
    with VectorStore.create(tmp_path, dim=4) as store:
        store.append(rows[:1], [NewRow(key=b"a")])
        store.commit()

        class Interrupting(list):  # type: ignore[type-arg]
            def append(self, item: object) -> None:
                raise KeyboardInterrupt

        store._writer._changes.rows = Interrupting()
        with pytest.raises(KeyboardInterrupt):
            store.append(rows[1:], [NewRow(key=key) for key in (b"b", b"c", b"d")])
        store.commit()

        assert store.count == 1
        store.append(rows[1:], [NewRow(key=key) for key in (b"b", b"c", b"d")])
        store.commit()
        assert store.count == 4
    with VectorStore.open(tmp_path, dim=4) as store:
        np.testing.assert_array_equal(store.rows(0, 4), rows)
