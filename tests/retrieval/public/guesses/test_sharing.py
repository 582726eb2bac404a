"""A collection is shared by threads, tasks, processes, readers and writers."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

import retrieval
from retrieval.errors import RetrievalError
from tests.retrieval.public.guesses.photographs import (
    DIM,
    PLAIN,
    RGB,
)
from tests.retrieval.public.guesses.typed_lines import (
    says,
)


class Answers:
    """A data set whose items are what a collection answers."""

    def __init__(self, collection, queries):
        self.collection, self.queries = collection, queries

    def __len__(self):
        return len(self.queries)

    def __getitem__(self, number):
        return self.collection.search(self.queries[number], k=1)[0].path


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_collection_works_in_the_workers_of_a_data_loader(photos, torch, method):
    from torch.utils.data import DataLoader

    queries = ["red", "blue", "yellow", "green"]
    photos.search("red")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about the number of cores
        loader = DataLoader(
            Answers(photos, queries), batch_size=2, num_workers=1, multiprocessing_context=method
        )
        found = [path for batch in loader for path in batch]

    assert found == ["2019/red.png", "2020/blue.png", "2020/deep/yellow.png", "2019/green.png"]


def first(collection, query):
    return collection.search(query, k=1)[0].path


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_collection_is_an_argument_of_a_process_pool(photos, method):
    context = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads, in newer Pythons
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            found = list(pool.map(first, [photos, photos], ["red", "blue"]))

    assert found == ["2019/red.png", "2020/blue.png"]


def test_sixteen_threads_share_a_collection(photos):
    colours = list(RGB) * 16
    expected = {colour: path for path, colour in PLAIN.items()}
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda colour: first(photos, colour), colours))

    assert found == [expected[colour] for colour in colours]


def test_many_tasks_of_a_server_share_a_collection(photos):
    async def ask():
        return await asyncio.gather(*(asyncio.to_thread(first, photos, "red") for _ in range(20)))

    assert asyncio.run(ask()) == ["2019/red.png"] * 20


def test_searches_go_on_while_others_refresh_and_add(mine, more, vectors):
    stop = threading.Event()
    with retrieval.open(mine.directory) as reader:

        def search():
            count = 0
            while not stop.is_set() or not count:
                assert reader.search(vectors[2], k=1)[0].path == "c"
                count += 1
            return count

        with ThreadPoolExecutor(3) as pool:
            searches = [pool.submit(search) for _ in range(3)]
            for number in range(10):
                mine.add(more[0], keys=[f"new {number}"])
                reader.refresh()
            stop.set()
            counts = [task.result() for task in searches]
        assert min(counts) > 0
        assert len(reader) == 15
        assert reader.refresh() is False


def test_another_reader_sees_new_rows_after_it_refreshed(mine, more):
    with retrieval.open(mine.directory) as reader:
        mine.add(more)
        before = len(reader)
        changed = reader.refresh()

        assert (before, changed, len(reader)) == (5, True, 8)
        assert reader.search(more[0])[0].path == "5"


def test_the_writer_that_others_wait_for_is_named(mine, more):
    with mine.writer() as writer, retrieval.open(mine.directory) as other, ThreadPoolExecutor(1) as pool:
        writer.add(more)
        waiting = pool.submit(other.add, more, timeout=0.1)
        with pytest.raises(RetrievalError) as caught:
            waiting.result()

    says(caught.value, f"{os.getpid()}|this process")
    assert type(caught.value).__name__ == "CollectionLocked"
    assert len(mine) == 8


def test_a_writer_whose_block_fails_says_nothing_untrue(mine, more):
    def write():
        with mine.writer() as writer:
            writer.add(more)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()

    assert sorted(mine)[-5:] == list("abcde")
    for key in mine:
        assert mine.vectors(key).shape == (1, DIM)
