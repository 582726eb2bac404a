"""LMDB never steps outside of its file: damage to its pages is an error before it reads them."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time

import numpy as np
import pytest

from indexes import checksums
from indexes.errors import StoreCorrupt
from indexes.layout import VECTORS
from indexes.store.lmdb import pages as lmdb_pages
from indexes.store.store import NewRow, VectorStore
from indexes.store.tables.tables import FLAGS
from tests.strategies import unit

DIM, PAGE = 8, 4096


def fill(store, draws, steps):
    """Add, supersede and remove rows: long keys, and contents that thousands of rows have, and that one has."""
    for step in range(steps):
        size = int(draws.integers(1, 300))
        store.append(
            unit(size, DIM, seed=step),
            [
                NewRow(
                    key=b"k%d" % draws.integers(0, 5000) + b"x" * int(draws.integers(0, 300)),
                    content=b"%016d" % draws.integers(0, (3, 5000)[step % 2]),
                    stamp=b"s" * int(draws.integers(0, 64)),
                )
                for _ in range(size)
            ],
        )
        store.commit()
        live = np.flatnonzero(~store.tombstones())
        store.remove(draws.choice(live, len(live) // 5, replace=False))
        store.commit()


@pytest.mark.parametrize("late", range(1, 5))
def test_pages_that_are_written_again_between_two_reads_are_no_damage(tmp_path, monkeypatch, late):
    """Two commits later the pages of a snapshot are another's: the check reads some of them twice."""
    data, reads, pages = tmp_path / VECTORS / "data.mdb", [], lmdb_pages._pages
    with VectorStore.create(tmp_path, dim=DIM) as store:
        draws = np.random.default_rng(late)
        fill(store, draws, 3)

        def read_late(book, numbers):
            reads.append(numbers)
            if len(reads) != late:
                return pages(book, numbers)
            fill(store, draws, 3)
            return draws.integers(0, 256, pages(book, numbers).shape, np.uint8)

        monkeypatch.setattr(lmdb_pages, "_pages", read_late)
        lmdb_pages.check(data, flags=FLAGS)
    assert len(reads) > late


def test_a_whole_file_is_whole_after_every_commit_and_during_them(tmp_path):
    data, done, wrong = tmp_path / VECTORS / "data.mdb", threading.Event(), []

    def check():
        while not done.is_set():
            try:
                lmdb_pages.check(data, flags=FLAGS)
            except StoreCorrupt as error:
                wrong.append(str(error))

    with VectorStore.create(tmp_path, dim=DIM) as store:
        reader = threading.Thread(target=check)
        reader.start()
        try:
            draws = np.random.default_rng(0)
            for _ in range(20):
                fill(store, draws, 1)
                lmdb_pages.check(data, flags=FLAGS)
        finally:
            done.set()
            reader.join()
    assert wrong == []


def read_all(home) -> int:
    """Open a store in a child of this process and read everything; return the signal that ended it, 0 for none."""
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            with VectorStore.open(home, dim=DIM) as store:
                list(store.scan())
                store.rows(0, store.count)
                list(store.not_found_by_key())
                list(store.not_found_by_content())
        except Exception:  # noqa: BLE001 - an error is what damage should be; a signal is what it must not
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def tree_pages(data):
    """Return the pages that hold nodes: branches and leaves."""
    kinds = np.frombuffer(data, "<u2").reshape(-1, PAGE // 2)[:, 5]
    return [number for number, kind in enumerate(kinds.tolist()) if kind in (1, 2, 0x22)]


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_to_a_page_ends_the_process(tmp_path, seed):
    with VectorStore.create(tmp_path, dim=DIM) as store:
        fill(store, np.random.default_rng(seed), 4)
    path = tmp_path / VECTORS / "data.mdb"
    whole = path.read_bytes()
    draws = np.random.default_rng(seed)
    pages = [0, 1, *tree_pages(whole)]
    found = 0
    for _ in range(60):
        damaged = bytearray(whole)
        page = PAGE * int(draws.choice(pages))
        kind = draws.integers(4)
        if kind == 0:  # headers and places of nodes
            damaged[page + int(draws.integers(160))] ^= 1 << int(draws.integers(8))
        elif kind == 1:  # anywhere in a page
            damaged[page + int(draws.integers(PAGE))] = int(draws.integers(256))
        elif kind == 2:
            damaged[page : page + PAGE] = bytes(PAGE)
        else:
            other = PAGE * int(draws.choice(pages))
            damaged[page : page + PAGE] = whole[other : other + PAGE]
        path.write_bytes(damaged)
        status = read_all(tmp_path)
        assert status in (0, 1), f"page {page // PAGE}, {kind}: ended by {status}"
        found += status
    path.write_bytes(whole)
    assert read_all(tmp_path) == 0
    assert found > 10


@pytest.mark.parametrize("cut", [0, 1, 100, 4096, 8192, 20000])
def test_a_cut_file_is_an_error(tmp_path, cut):
    with VectorStore.create(tmp_path, dim=DIM) as store:
        fill(store, np.random.default_rng(0), 2)
    path = tmp_path / VECTORS / "data.mdb"
    os.truncate(path, cut)
    with pytest.raises(StoreCorrupt, match=r"data\.mdb: damaged|data\.mdb: empty"):
        VectorStore.open(tmp_path, dim=DIM)


def test_a_page_that_leads_back_to_itself_is_no_endless_walk(tmp_path):
    with VectorStore.create(tmp_path, dim=DIM) as store:
        fill(store, np.random.default_rng(0), 6)
    path = tmp_path / VECTORS / "data.mdb"
    whole = bytearray(path.read_bytes())
    kinds = np.frombuffer(bytes(whole), "<u2").reshape(-1, PAGE // 2)[:, 5].tolist()
    for page in [number for number, kind in enumerate(kinds) if kind == 1]:
        place = PAGE * page + int.from_bytes(whole[PAGE * page + 16 : PAGE * page + 18], "little")
        whole[place : place + 4] = page.to_bytes(4, "little")
    path.write_bytes(whole)
    with pytest.raises(StoreCorrupt, match="page"):
        VectorStore.open(tmp_path, dim=DIM)


def test_a_file_that_was_whole_is_looked_at_again_when_it_has_changed(tmp_path, monkeypatch):
    with VectorStore.create(tmp_path, dim=DIM) as store:
        fill(store, np.random.default_rng(0), 2)
    path = tmp_path / VECTORS / "data.mdb"
    walks = []
    walk = lmdb_pages._walk
    monkeypatch.setattr(lmdb_pages, "_walk", lambda *given: (walks.append(1), walk(*given))[1])
    monkeypatch.setattr(lmdb_pages, "_sound", checksums.Sound())

    lmdb_pages.check(path, flags=FLAGS)
    lmdb_pages.check(path, flags=FLAGS)
    assert len(walks) == 2  # it has just been written: its times may not show another change

    monkeypatch.setattr(checksums, "_SETTLED", -(10**12))
    lmdb_pages.check(path, flags=FLAGS)
    lmdb_pages.check(path, flags=FLAGS)
    assert len(walks) == 3

    damaged = bytearray(path.read_bytes())
    for page in tree_pages(bytes(damaged)):
        damaged[PAGE * page : PAGE * page + 8] = b"\xff" * 8
    time.sleep(0.05)  # the system's clock of files ticks every few milliseconds
    before = path.stat()
    path.write_bytes(damaged)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(StoreCorrupt, match="damaged"):
        lmdb_pages.check(path, flags=FLAGS)


def test_a_file_that_is_cut_while_it_is_checked_is_damaged_and_ends_no_process(tmp_path, monkeypatch):
    with VectorStore.create(tmp_path, dim=DIM) as store:
        fill(store, np.random.default_rng(0), 3)
    data, named = tmp_path / VECTORS / "data.mdb", lmdb_pages._named

    def cut(*args):
        yield from list(named(*args))
        os.truncate(data, 8192)

    monkeypatch.setattr(lmdb_pages, "_named", cut)
    with pytest.raises(StoreCorrupt, match=r"data\.mdb: damaged"):
        lmdb_pages.check(data, flags=FLAGS)


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    with VectorStore.create(tmp_path, dim=DIM) as store:
        fill(store, np.random.default_rng(0), 3)

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(lmdb_pages.os, "preadv", fail)
    with pytest.raises(StoreCorrupt, match=r"data\.mdb: cannot be read \(Input/output error\)"):
        lmdb_pages.check(tmp_path / VECTORS / "data.mdb", flags=FLAGS)
