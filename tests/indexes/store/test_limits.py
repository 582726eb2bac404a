"""What the system refuses to give is no damage: the message says which limit to raise."""

from __future__ import annotations

import contextlib
import resource
import threading

import numpy as np
import pytest

from indexes.engine import ivf
from indexes.errors import StoreClosed, SystemLimit
from indexes.files import writing
from indexes.generation.row_files.tombstones import TOMBSTONES, read_live, write_live
from indexes.store.lmdb import environment
from indexes.store.store import VectorStore
from tests.indexes.store.rows import DIM
from tests.strategies import unit


@contextlib.contextmanager
def no_more_files():
    """Let this process open no further file."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


NO_FILE = "too many open files.*ulimit -n"


@pytest.mark.parametrize("writable", [False, True])
def test_a_store_that_no_file_is_left_for_is_not_damaged(home, writable):
    with pytest.raises(SystemLimit, match=rf"vectors\.lmdb: {NO_FILE}") as caught, no_more_files():
        VectorStore.open(home, dim=DIM, writable=writable)

    assert "delete" not in str(caught.value)


def test_a_store_that_no_memory_is_left_for_is_not_damaged(home, monkeypatch):
    monkeypatch.setattr(environment, "_ROOM", 1 << 48)  # more than there are addresses
    with pytest.raises(SystemLimit, match=r"vectors\.lmdb: cannot allocate memory.*free some memory"):
        VectorStore.open(home, dim=DIM)


def test_files_of_a_generation_that_no_file_is_left_for_are_not_damaged(tmp_path):
    index, flags = tmp_path / "index.faiss", tmp_path / TOMBSTONES
    flat = ivf.make("Flat", dim=DIM)
    ivf.add(flat, [(np.arange(3), unit(3, DIM, seed=0))])
    ivf.save(flat, index)
    write_live(flags, np.array([True, False]))
    for use in (lambda: ivf.open_mapped(index), lambda: read_live(flags, 2)):
        with pytest.raises(SystemLimit, match=NO_FILE), no_more_files():
            use()


def test_a_write_that_no_file_is_left_for_is_not_a_fault_of_the_device(tmp_path):
    with pytest.raises(SystemLimit, match=NO_FILE), no_more_files(), writing(tmp_path / "x"):
        (tmp_path / "x").write_bytes(b"")


def test_a_store_closed_by_another_thread_is_closed_and_not_damaged(home):
    with VectorStore.open(home, dim=DIM) as store:
        thread = threading.Thread(target=store._environment.close)
        thread.start()
        thread.join()
        with pytest.raises(StoreClosed, match="is closed; open it again"):
            store.find(b"1")
