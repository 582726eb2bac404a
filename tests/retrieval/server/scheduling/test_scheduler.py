"""Searches that run together answer as each does alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval
from retrieval.errors import ImageError, MissingRow, OptionError, QueryError
from retrieval.server import Batching
from retrieval.server.scheduling import Busy, Late, Scheduler
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture
from tests.retrieval.pictures import png

ENCODER = FakeEncoder()
NAMES = [f"{folder}/{number}.png" for folder in "ab" for number in range(12)]
LONG = 30.0


def small(**sizes: Any) -> Batching:
    """Return settings whose bounds can be met."""
    usual = {"batch": 8, "batch_wait": 0.01, "queue": 64, "threads": 2, "timeout": LONG}
    return Batching(**{**usual, **sizes})


@dataclass
class Served:
    """A collection under a name."""

    collection: Any
    name: str = "photos"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fill(tmp_path_factory.mktemp("c") / "photos", NAMES)
    retrieval.build_index(folder, encoder=ENCODER)
    return folder


@pytest.fixture
def collection(photos: Path) -> Iterator[retrieval.Collection]:
    with retrieval.open(photos, encoder=ENCODER) as opened:
        yield opened


def already() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


class Watched:
    """A collection that records how many queries each of its searches has, and may be slow, or wait."""

    def __init__(
        self, collection: retrieval.Collection, *, seconds: float = 0.0, until: threading.Event | None = None
    ) -> None:
        self.collection, self.seconds = collection, seconds
        self.begun, self.until = threading.Event(), until or already()
        self.sizes: list[int] = []

    def search(self, query: Any, **options: Any) -> Any:
        self.sizes.append(len(query) if isinstance(query, list) else 1)
        self.begun.set()
        time.sleep(self.seconds)
        self.until.wait(LONG)
        return self.collection.search(query, **options)


def ask(settings: Batching, *searches: tuple[Any, Any, dict[str, Any]]) -> list[Any]:
    """Ask all at once, and return the answers and errors in order."""

    async def run() -> list[Any]:
        scheduler = Scheduler(settings)
        asked = [scheduler.search(served, query, **options) for served, query, options in searches]
        found = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), LONG)
        await scheduler.close()
        return found

    return asyncio.run(run())


def same(found: retrieval.Hits, expected: retrieval.Hits) -> bool:
    """Compare two answers; an encoder's last bit may depend on what it encodes together."""
    scores = [[hit.score for hit in hits] for hits in (found, expected)]
    return [hit.id for hit in found] == [hit.id for hit in expected] and bool(np.allclose(*scores, atol=1e-5))


def test_queries_of_every_kind_answer_as_they_do_alone(collection: retrieval.Collection) -> None:
    vector = collection.vectors([3])[0]
    queries = [
        "a red bus",
        png(picture(7)),
        retrieval.row(4),
        vector,
        vector.tolist(),
        retrieval.image(png(picture(40))) + 0.5 * retrieval.text("at night") - retrieval.row(2),
    ]
    options = [
        {},
        {"k": 3},
        {"under": "b"},
        {"glob": "a/*"},
        {"min_score": 0.2},
        {"ids": [1, 2, 3]},
        {"exact": True},
    ]
    asked = [(Served(collection), query, one) for one in options for query in queries for _ in range(2)]
    expected = [collection.search(query, **one) for _, query, one in asked]

    found = ask(small(queue=200), *asked)

    assert [same(one, other) for one, other in zip(found, expected, strict=True)] == [True] * len(asked)
    assert [one.query for one in found] == [one.query for one in expected]


def test_equal_options_share_a_search(collection: retrieval.Collection) -> None:
    watched = Watched(collection)
    served = Served(watched)

    ask(small(), *((served, retrieval.row(number), {"k": 3, "ids": [1, 2, 3]}) for number in range(6)))

    assert watched.sizes == [6]


def test_what_is_subtracted_does_not_keep_searches_apart(collection: retrieval.Collection) -> None:
    watched = Watched(collection)
    away = [retrieval.row(9), [retrieval.row(8), "rain"], ()]
    expected = [collection.search(retrieval.row(1), minus=minus) for minus in away]

    found = ask(small(), *((Served(watched), retrieval.row(1), {"minus": minus}) for minus in away))

    assert all(map(same, found, expected))
    assert watched.sizes == [3]


def test_one_that_cannot_be_answered_does_not_fail_the_others(collection: retrieval.Collection) -> None:
    served = Served(collection)
    expected = collection.search(retrieval.row(1))

    good, missing, also_good = ask(
        small(), *((served, retrieval.row(number), {}) for number in (1, 999_999, 1))
    )
    picture_found, broken = ask(
        small(), (served, png(picture(3)), {}), (served, b"\xff\xd8\xff no picture", {})
    )

    assert same(good, expected)
    assert same(also_good, expected)
    assert isinstance(missing, MissingRow)
    assert len(picture_found) == 10
    assert isinstance(broken, ImageError)


def test_options_that_are_wrong_are_told_to_each(collection: retrieval.Collection) -> None:
    served = Served(collection)

    *wrong, right = ask(
        small(),
        *((served, retrieval.row(number), {"under": "../outside"}) for number in range(3)),
        (served, retrieval.row(1), {}),
    )

    assert [type(error) for error in wrong] == [OptionError] * 3
    assert len(right) == 10


def test_an_encoder_that_fails_one_picture_fails_that_one(photos: Path) -> None:
    class Choosy(FakeEncoder):
        def encode_pixels(self, batch: np.ndarray) -> np.ndarray:
            if (batch.reshape(len(batch), -1).min(axis=1) > 0.4).any():
                raise RuntimeError("white is beyond me")
            return super().encode_pixels(batch)

    white = png(picture(0).point(lambda _value: 255))
    with retrieval.open(photos, encoder=Choosy()) as collection:
        found, failed = ask(
            small(), (Served(collection), png(picture(3)), {}), (Served(collection), white, {})
        )

    assert len(found) == 10
    assert isinstance(failed, RuntimeError)


def test_an_empty_query_is_refused_at_once(collection: retrieval.Collection) -> None:
    watched = Watched(collection)

    (error,) = ask(small(), (Served(watched), "  ", {}))

    assert isinstance(error, QueryError)
    assert watched.sizes == []


def test_words_that_look_like_a_file_are_words(collection: retrieval.Collection) -> None:
    (found,) = ask(small(), (Served(collection), "holiday.jpg", {}))

    assert found.query == "holiday.jpg"


def test_pictures_do_not_hold_up_words(collection: retrieval.Collection) -> None:
    held = Watched(collection, until=threading.Event())

    async def run() -> bool:
        scheduler = Scheduler(small(threads=1))
        images = [asyncio.ensure_future(scheduler.search(Served(held), png(picture(1)))) for _ in range(3)]
        await asyncio.to_thread(held.begun.wait, LONG)
        await asyncio.wait_for(scheduler.search(Served(collection), "a cat"), LONG)
        early = not any(image.done() for image in images)
        held.until.set()
        await asyncio.gather(*images)
        await scheduler.close()
        return early

    assert asyncio.run(run())


def test_too_many_are_refused_and_the_others_answered(collection: retrieval.Collection) -> None:
    slow = Served(Watched(collection, seconds=0.1))

    found = ask(small(queue=4, threads=1), *((slow, retrieval.row(number), {}) for number in range(10)))

    assert [type(one).__name__ for one in found].count("Busy") == 6
    assert all(len(one) == 10 for one in found if not isinstance(one, Busy))


def test_a_search_that_takes_too_long_is_given_up(collection: retrieval.Collection) -> None:
    slow = Served(Watched(collection, seconds=0.3))

    (late,) = ask(small(timeout=0.05), (slow, "a cat", {}))

    assert isinstance(late, Late)


def test_hits_queues_and_batches_are_counted(collection: retrieval.Collection) -> None:
    async def run() -> str:
        scheduler = Scheduler(small())
        await asyncio.gather(*(scheduler.search(Served(collection), retrieval.row(1), k=3) for _ in range(4)))
        await scheduler.close()
        return scheduler.metrics.exposition()[0].decode()

    told = asyncio.run(run())

    assert 'retrieval_hits_total{collection="photos"} 12.0' in told
    assert 'retrieval_batch_size_bucket{lane="search",le="2.0"} 0.0' in told
    assert 'retrieval_batch_size_sum{lane="search"} 4.0' in told
    assert 'retrieval_queue_length{lane="search"} 0.0' in told


def test_other_work_runs_in_a_few_threads() -> None:
    together, most = 0, 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.02)
        with lock:
            together -= 1
        return number * 10

    def fail() -> None:
        raise ValueError("no")

    async def run() -> list[Any]:
        scheduler = Scheduler(small(threads=2))
        found = await asyncio.gather(
            *(scheduler.run(work, number) for number in range(6)), scheduler.run(fail), return_exceptions=True
        )
        await scheduler.close()
        return found

    *found, error = asyncio.run(run())
    assert found == [0, 10, 20, 30, 40, 50]
    assert isinstance(error, ValueError)
    assert most == 2


def test_a_late_piece_of_work_is_given_up() -> None:
    async def run() -> None:
        scheduler = Scheduler(small(threads=1))
        with pytest.raises(Late):
            await scheduler.run(time.sleep, 0.2, within=0.02)
        await scheduler.close()

    asyncio.run(run())
