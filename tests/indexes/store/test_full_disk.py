"""A disk that takes no more leaves the last commit."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexes.errors import StoreFull, StoreReadOnly
from indexes.store.lock import WriterLock
from indexes.store.store import NewRow, VectorStore
from tests.indexes.store.rows import DIM, new_rows
from tests.small_disk import small_disk
from tests.strategies import unit


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
from indexes.store.store import NewRow, VectorStore
from tests.small_disk import small_disk
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
def disk(tmp_path):
    with small_disk(tmp_path, "4m") as disk:
        yield disk


def test_a_full_disk_leaves_the_last_commit(disk, home):
    there = disk / "copied"
    shutil.copytree(home, there)
    count = filled(there)

    assert count > 10
    with VectorStore.open(there, dim=DIM) as store:
        assert (store.count, store.find(b"%d" % (count - 1))) == (count, count - 1)
        assert len(store.rows(0, count)) == count


def test_a_read_only_disk_can_be_searched_and_not_written(disk, home):
    there = disk / "copied"
    shutil.copytree(home, there)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with VectorStore.open(there, dim=DIM) as store:
        assert store.find(b"7") == 7
    with pytest.raises(StoreReadOnly, match="`index=DIR`"):
        VectorStore.open(there, dim=DIM, writable=True)
    with pytest.raises(StoreReadOnly, match="`index=DIR`"):
        WriterLock(there).acquire()
