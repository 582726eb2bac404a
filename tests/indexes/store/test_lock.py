from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from indexes.errors import StoreLocked, StoreReadOnly
from indexes.store.lock import WriterLock

HOLD = """
import sys, time
from indexes.store.lock import WriterLock
with WriterLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_the_pid_of_the_first(tmp_path, holder):
    with pytest.raises(StoreLocked, match=f"process {holder.pid} is writing"):
        WriterLock(tmp_path).acquire()


def test_a_killed_holder_leaves_no_lock(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    with WriterLock(tmp_path) as lock:
        lock.check()
        assert f"{os.getpid()}\n" == (tmp_path / "lock").read_text()


def test_two_in_one_process_exclude_each_other_too(tmp_path):
    with WriterLock(tmp_path), pytest.raises(StoreLocked, match="this process"):
        WriterLock(tmp_path).acquire()
    with WriterLock(tmp_path) as again:
        assert again.held
    assert not again.held


@pytest.mark.parametrize("replaced", [False, True])
def test_a_lock_file_that_went_away_is_noticed(tmp_path, replaced):
    with WriterLock(tmp_path) as lock:
        lock.check()
        (tmp_path / "lock").unlink()
        if replaced:
            (tmp_path / "lock").touch()
        with pytest.raises(StoreLocked, match="removed or replaced"):
            lock.check()


def test_checking_a_lock_that_is_not_held_fails(tmp_path):
    with pytest.raises(StoreLocked, match="not held"):
        WriterLock(tmp_path).check()


def test_a_file_replaced_while_the_lock_is_taken_does_not_let_two_in(tmp_path, monkeypatch):
    """Between opening the file and locking it another process may remove it: then the new file counts."""
    import fcntl

    real = fcntl.flock
    calls = []

    def flock(file, how):
        if not calls:
            (tmp_path / "lock").unlink()
        calls.append(how)
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with WriterLock(tmp_path) as lock:
        lock.check()
        assert len(calls) == 2


def test_a_folder_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreReadOnly, match="`index=DIR`"):
        WriterLock(tmp_path).acquire()


def test_only_one_of_many_threads_gets_in(tmp_path):
    won, lost = [], []
    start = threading.Barrier(8)

    def contend():
        start.wait()
        lock = WriterLock(tmp_path)
        try:
            lock.acquire()
            won.append(lock)
        except StoreLocked as error:
            lost.append(error)

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(won), len(lost)) == (1, 7)
    won[0].release()


def test_a_lock_that_was_given_back_is_free_though_a_child_lives(tmp_path):
    """At 460ecca the child keeps the lock as long as it lives."""
    lock = WriterLock(tmp_path)
    lock.acquire()
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        lock.release()
        with WriterLock(tmp_path) as again:
            assert again.held
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_child_that_was_forked_from_c_keeps_no_lock_either(tmp_path):
    import ctypes

    lock = WriterLock(tmp_path)
    lock.acquire()
    child = ctypes.CDLL(None).fork()
    if child == 0:
        ctypes.CDLL(None).pause()
        os._exit(0)
    try:
        lock.release()
        with WriterLock(tmp_path) as again:
            assert again.held
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_child_does_not_hold_the_lock_and_its_end_does_not_free_it(tmp_path):
    with WriterLock(tmp_path) as lock:
        child = os.fork()
        if child == 0:
            try:
                lock.check()
            except StoreLocked:
                lock.release()
                os._exit(0 if not lock.held else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        lock.check()
        with pytest.raises(StoreLocked):
            WriterLock(tmp_path).acquire()
