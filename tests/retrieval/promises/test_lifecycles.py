"""Collections in programs as people write them: pools, servers, threads, event loops; and what is left when they end.

`test_forks` has the start of processes by each method, data loaders, copies and pickles.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.errors import CollectionNotFound, ImageError, RetrievalError, StoreClosed
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture

ROOT = Path(__file__).parents[3]
ROWS, DIM = 500, 16
SECONDS = 120.0
VECTORS = np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)


@pytest.fixture(autouse=True, scope="module")
def _only_new_objects_are_collected() -> Iterator[None]:
    """Leave what earlier tests keep alone: to visit millions of objects takes a full collection many seconds."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    retrieval.sync_vectors(tmp_path / "home", VECTORS, [str(n) for n in range(ROWS)], space="made")
    return tmp_path / "home"


def best(collection: retrieval.Collection, number: int) -> str:
    return collection.search(VECTORS[number], k=1)[0].path


def held(folder: Path) -> list[str]:
    """Return the files of a folder that this process goes on holding open or mapped.

    `gc.collect` does nothing while another thread collects: what it finds is looked at again for a while.
    """
    end = time.monotonic() + 5
    while True:
        gc.collect()
        found = _held_now(folder)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.05)


def _held_now(folder: Path) -> list[str]:
    opened = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in opened if os.path.lexists(link)]
    lines = Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines()
    mapped = [line.split(maxsplit=5)[5] for line in lines if "/" in line]
    return sorted({path for path in (*targets, *mapped) if path.startswith(str(folder))})


class TestElsewhere:
    @pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
    def test_a_pool_of_processes_takes_a_collection_and_gives_answers(self, home: Path, start: str) -> None:
        with (
            retrieval.open(home) as collection,
            ProcessPoolExecutor(2, mp_context=get_context(start)) as pool,
        ):
            found = list(pool.map(best, [collection] * 8, range(8)))
            hits = pool.submit(collection.search, VECTORS[3], k=4).result(SECONDS)

            assert found == [str(number) for number in range(8)]
            assert hits == collection.search(VECTORS[3], k=4)
            assert type(hits) is retrieval.Hits

    def test_an_error_comes_back_from_a_pool(self, home: Path) -> None:
        with (
            retrieval.open(home) as collection,
            ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool,
        ):
            hit = collection.search(VECTORS[0], k=1)[0]
            with pytest.raises(ImageError, match="0") as caught:
                pool.submit(hit.open).result(SECONDS)
            assert caught.value.reason == "vanished"
            assert pool.submit(best, collection, 1).result(SECONDS) == "1"

    def test_the_children_of_a_server_search_refresh_and_close_on_their_own(self, home: Path) -> None:
        """As gunicorn preloads: opened and searched before the fork, then each child lives by itself."""
        with retrieval.open(home) as collection:
            assert best(collection, 0) == "0"
            begin, answers = [], []
            for _ in range(3):
                (here, go), (answer, there) = os.pipe(), os.pipe()
                child = os.fork()
                if child == 0:
                    status = 1
                    try:
                        os.read(here, 1)
                        collection.refresh()
                        os.write(there, json.dumps([best(collection, 5), len(collection)]).encode())
                        collection.close()
                        status = 0
                    finally:
                        os._exit(status)
                begin.append((go, child))
                answers.append(answer)
                os.close(here)
                os.close(there)
            retrieval.sync_vectors(home, VECTORS[:400], [str(n) for n in range(400)], prune=True)
            for go, child in begin:
                os.write(go, b"x")
                os.close(go)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            told = [json.loads(os.read(answer, 1000)) for answer in answers]
            for answer in answers:
                os.close(answer)

            assert told == [["5", 400]] * 3
            assert (best(collection, 450), len(collection)) == ("450", 500)
            assert collection.refresh()
            assert len(collection) == 400

    def test_an_event_loop_searches_in_threads(self, home: Path) -> None:
        async def ask(collection: retrieval.Collection) -> list[str]:
            return await asyncio.gather(
                *(asyncio.to_thread(best, collection, number) for number in range(50))
            )

        with retrieval.open(home) as collection:
            assert asyncio.run(ask(collection)) == [str(number) for number in range(50)]

    def test_sixteen_threads_search_one_collection(self, home: Path) -> None:
        with retrieval.open(home) as collection, ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda number: best(collection, number), list(range(ROWS)) * 2))

        assert found == [str(number) for number in range(ROWS)] * 2


class TestRefresh:
    def test_while_others_search_each_answer_is_of_one_generation(self, tmp_path: Path) -> None:
        """Generation n holds the row ``n`` alone beside 50 that stay: an answer names one n, and later ones never an earlier."""
        first, steps = VECTORS[:50], 12

        def publish(step: int) -> None:
            rows = np.vstack((first, VECTORS[100:101]))
            keys = [*map(str, range(50)), f"generation {step}"]
            retrieval.sync_vectors(tmp_path, rows, keys, space="made", prune=True)

        publish(0)
        stop = threading.Event()
        with retrieval.open(tmp_path) as collection, ThreadPoolExecutor(4) as pool:

            def ask() -> list[str]:
                seen = []
                while not stop.is_set():
                    hits = collection.search(VECTORS[100], k=51)
                    assert len(hits) == hits.searched == 51
                    seen.append(hits[0].path)
                return seen

            asking = [pool.submit(ask) for _ in range(4)]
            for step in range(1, steps):
                publish(step)
                assert collection.refresh()
                assert collection.search(VECTORS[100], k=1)[0].path == f"generation {step}"
            stop.set()
            answers = [future.result(SECONDS) for future in asking]

        for seen in answers:
            numbers = [int(path.rpartition(" ")[2]) for path in seen]
            assert numbers == sorted(numbers)
        assert sum(map(len, answers)) > steps
        assert held(tmp_path) == []

    def test_a_search_that_began_before_ends_on_the_old_generation(self, home: Path, monkeypatch) -> None:
        with retrieval.open(home) as collection:
            inside, go = threading.Event(), threading.Event()
            search = type(collection._opened).search

            def slow(self, *args, **options):
                inside.set()
                assert go.wait(SECONDS)
                return search(self, *args, **options)

            monkeypatch.setattr(type(collection._opened), "search", slow)
            with ThreadPoolExecutor(2) as pool:
                old = pool.submit(collection.search, VECTORS[450], k=1)
                assert inside.wait(SECONDS)
                retrieval.sync_vectors(home, VECTORS[:400], [str(n) for n in range(400)], prune=True)
                refreshing = pool.submit(collection.refresh)
                time.sleep(0.1)
                go.set()

                assert old.result(SECONDS)[0].path == "450"
                assert refreshing.result(SECONDS)
            assert len(collection) == 400

    def test_many_threads_refresh_at_once(self, home: Path) -> None:
        with retrieval.open(home) as collection, ThreadPoolExecutor(8) as pool:
            retrieval.sync_vectors(home, VECTORS[:400], [str(n) for n in range(400)], prune=True)
            moved = list(pool.map(lambda _: collection.refresh(), range(8)))

            assert sum(moved) == 1
            assert len(collection) == 400
        assert held(home) == []

    def test_a_closed_collection_stays_closed(self, home: Path) -> None:
        collection = retrieval.open(home)
        collection.close()
        retrieval.sync_vectors(home, VECTORS[:400], [str(n) for n in range(400)], prune=True)

        with pytest.raises(StoreClosed, match="the collection is closed; open it again"):
            collection.refresh()
        assert held(home) == []

    def test_closing_while_another_thread_refreshes_leaves_nothing_open(self, home: Path) -> None:
        for step in range(6):
            collection = retrieval.open(home)
            retrieval.sync_vectors(
                home, VECTORS[: 400 + step], [str(n) for n in range(400 + step)], prune=True
            )
            with ThreadPoolExecutor(2) as pool:
                refreshing = pool.submit(collection.refresh)
                closing = pool.submit(collection.close)
                closing.result(SECONDS)
                assert refreshing.exception(SECONDS) is None or isinstance(
                    refreshing.exception(), StoreClosed
                )
            with pytest.raises(StoreClosed):
                best(collection, 0)
            assert held(home) == []


class TestEnds:
    @pytest.mark.parametrize("search", [False, True], ids=["opened", "searched"])
    def test_a_block_and_garbage_leave_no_file_open(self, home: Path, search: bool) -> None:
        def use(collection: retrieval.Collection) -> None:
            if search:
                best(collection, 0)
                collection.mask(under="x")

        with retrieval.open(home) as collection:
            use(collection)
            assert _held_now(home) != []
        assert held(home) == []

        use(retrieval.open(home))
        assert held(home) == []

        cyclic = retrieval.open(home)
        cyclic.__dict__["itself"] = cyclic
        use(cyclic)
        del cyclic
        assert held(home) == []

    def test_two_that_are_open_on_one_collection_do_not_disturb_each_other(self, home: Path) -> None:
        first, second = retrieval.open(home), retrieval.open(home)
        first.close()
        first.close()

        assert best(second, 7) == "7"
        del first
        gc.collect()
        assert best(second, 8) == "8"
        second.close()
        assert held(home) == []

    def test_a_closed_one_says_so_and_shows_what_it_was(self, home: Path) -> None:
        with retrieval.open(home) as collection:
            hits = collection.search(VECTORS[0], k=2)
        for use in (
            lambda: best(collection, 0),
            lambda: collection.search_vectors(VECTORS[:2]),
            lambda: collection.vectors([0]),
            collection.export,
        ):
            with pytest.raises(StoreClosed, match="the collection is closed; open it again"):
                use()

        assert repr(collection) == f"<Collection {str(home / '.retrieve')!r}: 500 rows, {collection.space}>"
        assert len(collection) == 500
        assert hits[0].path == "0"

    def test_a_collection_that_was_deleted_answers_until_it_is_opened_again(self, home: Path) -> None:
        with retrieval.open(home) as collection:
            shutil.rmtree(home)

            assert best(collection, 3) == "3"
            for use in (collection.refresh, lambda: retrieval.open(home)):
                with pytest.raises(CollectionNotFound) as caught:
                    use()
                assert str(home) in str(caught.value)

    def test_a_picture_that_was_deleted_is_named(self, tmp_path: Path) -> None:
        retrieval.build_index(fill(tmp_path, ["a.png", "b.png"]), encoder=FakeEncoder())
        with retrieval.open(tmp_path, encoder=FakeEncoder()) as collection:
            hit = collection.search(picture(0), k=1)[0]
            hit.file.unlink()
            with pytest.raises(RetrievalError, match=r"a\.png"):
                hit.open()


PROGRAM = """
import gc, sys, threading, time
import numpy as np
import retrieval

vector = np.ones(16, np.float32)
"""
ENDINGS = {
    "a block": "with retrieval.open(sys.argv[1]) as c: c.search(vector)",
    "a global": "c = retrieval.open(sys.argv[1]); c.search(vector)",
    "a global that was not searched": "c = retrieval.open(sys.argv[1])",
    "an answer": "c = retrieval.open(sys.argv[1]); hits = c.search(vector); rows = c.rows; live = c.live",
    "a cycle": "c = retrieval.open(sys.argv[1]); c.search(vector); c.__dict__['me'] = c; del c",
    "an exception": "c = retrieval.open(sys.argv[1]); c.search(vector); sys.exit(0)",
    "a daemon thread": """
def ask():
    c = retrieval.open(sys.argv[1])
    while True:
        c.search(vector)
        asked.set()
asked = threading.Event()
threading.Thread(target=ask, daemon=True).start()
asked.wait()
""",
    "daemon threads that share one": """
c = retrieval.open(sys.argv[1])
asked = threading.Event()
def ask():
    while True:
        c.search(vector)
        asked.set()
for _ in range(4): threading.Thread(target=ask, daemon=True).start()
asked.wait()
""",
    "garbage in other threads": """
def use():
    for _ in range(20): retrieval.open(sys.argv[1]).search(vector)
threads = [threading.Thread(target=use) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_ends_without_a_word_and_leaves_nothing(home: Path, ending: str) -> None:
    before = files(home)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM + ENDINGS[ending], home],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert files(home) == before


def files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_what_is_open_can_be_replaced_and_collected_in_any_order(home: Path) -> None:
    """Stores that are collected as garbage while others open, close and search: the last use closes the files, not before."""
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        draw = np.random.default_rng(seed)
        kept: list[retrieval.Collection] = []
        try:
            for _ in range(40):
                kept.append(retrieval.open(home))
                number = int(draw.integers(ROWS))
                assert best(kept[-1], number) == str(number)
                if draw.random() < 0.7:
                    gone = kept.pop(int(draw.integers(len(kept))))
                    if draw.random() < 0.5:
                        gone.close()
                    del gone
                if draw.random() < 0.2:
                    gc.collect()
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    run_together([lambda seed=seed: work(seed) for seed in range(4)])

    assert failures == []
    assert held(home) == []


def run_together(tasks: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
