"""A collection that is closed or refreshed while other threads search it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import retrieval
from indexes.derivation import publish_rows
from indexes.engine import flat
from indexes.generation import HAND, source_of_type
from indexes.store import NewRow, VectorStore
from retrieval.errors import StoreClosed

ROWS, DIM = 400, 16


@pytest.fixture
def home(tmp_path):
    rows = np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)
    retrieval.sync_vectors(tmp_path, rows, [str(n) for n in range(ROWS)], space="made")
    return tmp_path


def searching(collection, ask, faults, *, ends):
    """Search until the collection is closed; collect what is wrong."""

    def run():
        while True:
            try:
                ids = ask(collection)
            except StoreClosed:
                return
            except BaseException as error:  # noqa: BLE001 - reported by the test
                faults.append(repr(error))
                return
            if len(ids) != 5 or min(ids) < 0:
                faults.append(ids)
                return
            if ends.is_set():
                return

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    return threads


def by_vectors(collection):
    queries = np.random.default_rng(1).standard_normal((64, DIM)).astype(np.float32)
    found = collection.search_vectors(queries, k=5).ids
    return found[int(np.argmin(found.min(axis=1)))].tolist()


def by_id(collection):
    return [hit.id for hit in collection.search(7, k=5)]


@pytest.mark.parametrize("ask", [by_vectors, by_id])
def test_closing_waits_for_searches_in_other_threads(home, ask):
    """At 460ecca some searches answer with ids of -1."""
    faults = []
    for _ in range(25):
        collection = retrieval.open(home)
        threads = searching(collection, ask, faults, ends=threading.Event())
        for _ in range(3):
            ask(collection)
        collection.close()
        for thread in threads:
            thread.join()
        with pytest.raises(StoreClosed):
            ask(collection)

    assert faults == []


def test_closing_waits_for_the_very_search(home, monkeypatch):
    """At 460ecca it does not wait, and the search finds -1."""
    collection = retrieval.open(home)
    inside, goes_on, found = threading.Event(), threading.Event(), []
    exact = flat.exact

    def slow(*args, **options):
        inside.set()
        goes_on.wait()
        return exact(*args, **options)

    monkeypatch.setattr(flat, "exact", slow)
    searcher = threading.Thread(target=lambda: found.append(by_vectors(collection)))
    closer = threading.Thread(target=collection.close)
    searcher.start()
    inside.wait()
    closer.start()
    closer.join(0.2)
    assert closer.is_alive()
    goes_on.set()
    searcher.join()
    closer.join()

    assert min(found[0]) >= 0


def test_recent_rows_are_seen_after_a_refresh_and_found_by_their_keys(home):
    directory = home / ".retrieve"
    new = np.eye(DIM, dtype=np.float32)[:2]
    with retrieval.open(home) as collection:
        with VectorStore.open(directory, dim=DIM, writable=True) as store:
            own = source_of_type(collection.manifest.sources, HAND)
            store.append(new, [NewRow(key=key, source=own.number) for key in (b"new/a.jpg", b"new/b.jpg")])
            store.remove([7])
            store.commit()
            assert publish_rows(directory, store) is not None
        assert collection.search_vectors(new, k=1).ids.max() < ROWS

        assert collection.refresh()
        assert not collection.refresh()
        assert collection.search_vectors(new, k=1).ids[:, 0].tolist() == [ROWS, ROWS + 1]
        assert [hit.path for hit in collection.search(ROWS, under="new", include_self=True)] == [
            "new/a.jpg",
            "new/b.jpg",
        ]
        assert collection.search(ROWS, glob="7") == []
        assert len(collection) == ROWS + 1


def test_refreshing_while_other_threads_search(home):
    faults, ends = [], threading.Event()
    with retrieval.open(home) as collection:
        threads = searching(collection, by_vectors, faults, ends=ends)
        for number in range(5):
            rows = np.random.default_rng(number).standard_normal((ROWS, DIM)).astype(np.float32)
            retrieval.sync_vectors(home, rows, [str(n) for n in range(ROWS)], space="made", prune=True)
            collection.refresh()
        ends.set()
        for thread in threads:
            thread.join()

    assert faults == []
