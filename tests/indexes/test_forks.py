"""What a forked child makes anew: locks, OpenMP's threads, LMDB environments."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from indexes import forks
from indexes.engine.backend import faiss, faiss_threads
from indexes.errors import StoreClosed, StoreLocked
from indexes.store.lmdb.gate import Gate, Lease
from indexes.store.lock import WriterLock
from indexes.store.store import NewRow, VectorStore

SECONDS = 30.0  # usual: 0.05


def in_child(work: Callable[[], object], *, seconds: float = SECONDS) -> int:
    """Fork, work, and return the child's exit status; it is killed after so many seconds, and gives -9."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the parent reports it
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def store(tmp_path):
    rows = np.eye(8, dtype=np.float32)
    store = VectorStore.create(tmp_path / "home", dim=8)
    store.append(rows, [NewRow(key=b"%d" % number) for number in range(8)])
    store.commit()
    yield store
    store.close()


def test_a_lock_that_another_thread_holds_is_free_in_a_child():
    lock = forks.Lock()
    inside, done = threading.Event(), threading.Event()

    def hold():
        with lock:
            inside.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()

    def child():
        with lock:
            pass

    assert in_child(child, seconds=5) == 0
    done.set()
    thread.join()


def test_a_child_may_fork_within_the_block():
    lock = forks.Lock()

    with lock:
        ended = in_child(lambda: lock.__exit__(None, None, None))

    assert ended == 0


def test_openmp_of_faiss_works_in_a_child_with_as_many_threads():
    """At 460ecca the child waits for ever for threads that stayed with its parent."""
    rows = np.random.default_rng(0).standard_normal((2000, 16)).astype(np.float32)
    index = faiss().IndexHNSWFlat(16, 8, faiss().METRIC_INNER_PRODUCT)
    with faiss_threads(2):
        index.add(rows)
        before = index.search(rows, 3)[1]

    def child():
        with faiss_threads(2):
            np.testing.assert_array_equal(index.search(rows, 3)[1], before)

    assert in_child(child) == 0
    with faiss_threads(2):
        np.testing.assert_array_equal(index.search(rows, 3)[1], before)  # and the parent goes on


def test_a_child_reads_through_the_store_of_its_parent(store):
    def child():
        assert store.find(b"3") == 3
        np.testing.assert_array_equal(store.rows(0, 8), np.eye(8, dtype=np.float16))

    assert in_child(child) == 0


def test_a_child_opens_what_its_parent_has_open(store):
    """At 460ecca: "Database handle belongs to another environment", and the advice to delete the collection."""

    def child():
        with VectorStore.open(store.directory, dim=8) as again:
            assert again.find(b"3") == 3
            assert store.find(b"4") == 4

    assert in_child(child) == 0
    assert store.find(b"5") == 5


def test_a_child_gives_up_no_place_of_its_parent_in_the_table_of_readers(store):
    """It passes at 460ecca too: there the next test shows it, since only a read under way loses its place."""
    store.close()
    with VectorStore.open(store.directory, dim=8) as reader:
        assert reader.find(b"1") == 1

        assert in_child(reader.close) == 0
        assert in_child(lambda: reader.find(b"1")) == 0
        assert reader.find(b"1") == 1


def test_forks_while_other_threads_read(store):
    """A fork waits for reads that are under way: a child that ended them would free their pages for the writer."""
    stop, faults = threading.Event(), []

    def read():
        while not stop.is_set():
            try:
                assert store.find(b"3") == 3
                assert store.rows(0, 8).shape == (8, 8)
            except Exception as error:  # noqa: BLE001 - reported below
                faults.append(error)
                return

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    ended = [in_child(lambda: store.find(b"2")) for _ in range(20)]
    stop.set()
    for thread in threads:
        thread.join()

    assert (ended, faults) == ([0] * 20, [])


def test_a_child_cannot_write_through_its_parents_store(store):
    def child():
        store.find(b"3")
        store.remove([3])
        with pytest.raises(StoreLocked, match="only the parent may write"):
            store.commit()

    assert in_child(child) == 0
    store.remove([4])
    store.commit()
    assert store.find(b"3") == 3
    assert store.find(b"4") is None


def test_a_child_opens_for_writing_what_its_parent_reads(tmp_path):
    VectorStore.create(tmp_path, dim=8).close()
    with VectorStore.open(tmp_path, dim=8) as reader:

        def child():
            with (
                WriterLock(tmp_path) as lock,
                VectorStore.open(tmp_path, dim=8, writable=True, lock=lock) as writer,
            ):
                writer.append(np.eye(8, dtype=np.float32), [NewRow(key=b"%d" % n) for n in range(8)])
                writer.commit()

        assert in_child(child) == 0
        assert reader.count == 0
        with VectorStore.open(tmp_path, dim=8) as again:
            assert again.count == 8


@pytest.mark.parametrize("depth", [1, 3])
def test_children_of_children(store, depth):
    def child(left: int) -> None:
        assert store.find(b"3") == 3
        if left:
            assert in_child(lambda: child(left - 1)) == 0
        assert store.find(b"4") == 4

    assert in_child(lambda: child(depth)) == 0


def test_an_interrupted_wait_leaves_the_gate_open(monkeypatch):
    """At 460ecca a Ctrl-C while one waits to be alone leaves everybody else waiting for ever."""
    gate = Gate()
    gate.enter()
    with monkeypatch.context() as patch:

        def first(check, *_seconds):
            patch.setattr(gate._changed, "wait_for", second)
            return check()

        def second(*_wait):
            raise KeyboardInterrupt

        patch.setattr(gate._changed, "wait_for", first)
        with pytest.raises(KeyboardInterrupt), gate.alone():
            pass
    gate.leave()
    assert gate.shut(seconds=0.1)


def is_closed(lease):
    try:
        lease.require_open()
    except StoreClosed:
        return True
    return False


def test_a_lease_waits_for_those_who_hold_it_and_refuses_others():
    lease = Lease("closed")
    inside, leave, order = threading.Event(), threading.Event(), []

    def use():
        with lease:
            inside.set()
            leave.wait()
            order.append("used")

    def close():
        assert lease.close()
        order.append("closed")

    user, closer = threading.Thread(target=use), threading.Thread(target=close)
    user.start()
    inside.wait()
    closer.start()
    while not is_closed(lease):
        time.sleep(0.001)
    with pytest.raises(StoreClosed, match="closed"), lease:
        pass
    leave.set()
    user.join()
    closer.join()

    assert order == ["used", "closed"]
    assert not lease.close()


def test_a_lease_held_by_another_thread_of_the_parent_does_not_stop_a_child_from_closing():
    lease = Lease("closed")
    inside, leave = threading.Event(), threading.Event()

    def use():
        with lease:
            inside.set()
            leave.wait()

    thread = threading.Thread(target=use)
    thread.start()
    inside.wait()
    assert in_child(lease.close, seconds=5) == 0
    leave.set()
    thread.join()
