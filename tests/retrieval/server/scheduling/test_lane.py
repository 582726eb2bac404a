"""A lane starts lone work at once, gathers what waits, and keeps its bounds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from indexes.errors import SystemLimit
from retrieval.server.scheduling import Busy, Late, Metrics
from retrieval.server.scheduling.lane import Lane

LONG = 30.0


class Gate:
    """Work whose batches wait until the gate is opened, and are recorded."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        self.batches.append(list(items))
        self.entered.release()
        assert self.open.wait(LONG)
        return [item * 10 for item in items]


def lane_of(answer: Callable[[Sequence[Any]], Sequence[Any]], **options: Any) -> Lane[Any, Any]:
    usual = {
        "threads": 1,
        "together": 8,
        "queue": 16,
        "longest_wait": LONG,
        "metrics": Metrics().lane("test"),
    }
    return Lane("test", answer, **{**usual, **options})


async def entered(gate: Gate, count: int = 1) -> None:
    """Wait until so many batches run."""
    for _ in range(count):
        assert await asyncio.to_thread(gate.entered.acquire, timeout=LONG)


def asks(lane: Lane[Any, Any], *items: Any, key: Any = None, within: float = LONG) -> list[asyncio.Task[Any]]:
    return [asyncio.ensure_future(lane.run(item, key=key, within=within)) for item in items]


async def settled(*tasks: Awaitable[Any]) -> list[Any]:
    return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), LONG)


def test_lone_work_waits_for_nothing() -> None:
    async def run() -> float:
        lane = lane_of(lambda items: items, longest_wait=LONG)
        began = time.perf_counter()
        for number in range(5):
            assert await lane.run(number, key=None, within=LONG) == number
        await lane.close()
        return time.perf_counter() - began

    assert asyncio.run(run()) < LONG / 2


def test_what_arrives_in_one_turn_runs_together() -> None:
    gate = Gate()
    gate.open.set()

    async def run() -> list[Any]:
        lane = lane_of(gate)
        found = await settled(*asks(lane, 1, 2, 3))
        await lane.close()
        return found

    assert asyncio.run(run()) == [10, 20, 30]
    assert gate.batches == [[1, 2, 3]]


def test_what_arrives_while_a_batch_runs_is_the_next_batch() -> None:
    gate = Gate()

    async def run() -> list[Any]:
        lane = lane_of(gate, together=3)
        first = asks(lane, 0)
        await entered(gate)
        rest = asks(lane, 1, 2, 3, 4)
        await asyncio.sleep(0.02)
        assert lane.waiting == 4
        gate.open.set()
        found = await settled(*first, *rest)
        await lane.close()
        return found

    assert asyncio.run(run()) == [0, 10, 20, 30, 40]
    assert gate.batches == [[0], [1, 2, 3], [4]]


def test_only_equal_keys_share_a_batch_and_the_oldest_goes_first() -> None:
    gate = Gate()

    async def run() -> list[Any]:
        lane = lane_of(gate)
        tasks = asks(lane, 0)
        await entered(gate)
        for number in range(1, 7):
            tasks += asks(lane, number, key="odd" if number % 2 else "even")
        await asyncio.sleep(0.02)
        gate.open.set()
        found = await settled(*tasks)
        await lane.close()
        return found

    assert asyncio.run(run()) == [0, 10, 20, 30, 40, 50, 60]
    assert gate.batches == [[0], [1, 3, 5], [2, 4, 6]]


def test_another_thread_starts_when_a_batch_takes_too_long() -> None:
    gate = Gate()

    async def run() -> float:
        lane = lane_of(gate, threads=2, longest_wait=0.05)
        tasks = asks(lane, 0)
        await entered(gate)
        began = time.perf_counter()
        tasks += asks(lane, 1, 2)
        await entered(gate)
        waited = time.perf_counter() - began
        tasks += asks(lane, 3)
        await asyncio.sleep(0.15)
        assert lane.waiting == 1  # both threads are busy
        gate.open.set()
        await settled(*tasks)
        await lane.close()
        return waited

    assert asyncio.run(run()) >= 0.04
    assert gate.batches == [[0], [1, 2], [3]]


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    gate = Gate()
    metrics = Metrics()

    async def run() -> list[Any]:
        lane = lane_of(gate, queue=2, metrics=metrics.lane("test"))
        tasks = asks(lane, 0)
        await entered(gate)
        tasks += asks(lane, 1, 2, 3)
        await asyncio.sleep(0.02)
        gate.open.set()
        found = await settled(*tasks)
        assert await lane.run(4, key=None, within=LONG) == 40  # there is room again
        await lane.close()
        return found

    *answered, refused = asyncio.run(run())
    assert answered == [0, 10, 20]
    assert isinstance(refused, Busy)
    assert 1 <= refused.retry_after <= 60
    assert b'retrieval_not_answered_total{lane="test",reason="busy"} 1.0' in metrics.exposition()[0]


def test_what_is_cancelled_leaves_the_queue() -> None:
    gate = Gate()

    async def run() -> list[Any]:
        lane = lane_of(gate)
        tasks = asks(lane, 0)
        await entered(gate)
        tasks += asks(lane, 1, 2)
        await asyncio.sleep(0.02)
        tasks[1].cancel()
        await asyncio.sleep(0.02)
        assert lane.waiting == 1
        gate.open.set()
        found = await settled(*tasks)
        await lane.close()
        return found

    first, cancelled, other = asyncio.run(run())
    assert (first, other) == (0, 20)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert gate.batches == [[0], [2]]


def test_what_was_cancelled_before_its_thread_began_is_not_worked_on() -> None:
    gate = Gate()

    async def run() -> None:
        lane = lane_of(gate)
        blocked = threading.Event()
        lane._pool.submit(blocked.wait, LONG)  # its only thread has something else to do
        (task,) = asks(lane, 1)
        await asyncio.sleep(0.02)
        task.cancel()
        await settled(task)
        blocked.set()
        gate.open.set()
        await asyncio.wait_for(lane.close(), LONG)

    asyncio.run(run())
    assert gate.batches == []


def test_late_work_is_given_up_whether_it_waits_or_runs() -> None:
    gate = Gate()
    metrics = Metrics()

    async def run() -> list[Any]:
        lane = lane_of(gate, metrics=metrics.lane("test"))
        tasks = asks(lane, 0, within=0.1)
        await entered(gate)
        tasks += asks(lane, 1, within=0.05)
        found = await settled(*tasks)
        assert lane.waiting == 0
        gate.open.set()
        assert await lane.run(2, key=None, within=LONG) == 20
        await lane.close()
        return found

    for late in asyncio.run(run()):
        assert isinstance(late, Late)
        assert isinstance(late, TimeoutError)
    assert gate.batches == [[0], [2]]
    assert b'retrieval_not_answered_total{lane="test",reason="late"} 2.0' in metrics.exposition()[0]


def test_closing_lets_work_end_and_refuses_more() -> None:
    gate = Gate()

    async def run() -> list[Any]:
        lane = lane_of(gate)
        tasks = asks(lane, 0)
        await entered(gate)
        tasks += asks(lane, 1, 2)
        await asyncio.sleep(0.02)
        closing = asyncio.ensure_future(lane.close())
        await asyncio.sleep(0.02)
        assert not closing.done()
        tasks += asks(lane, 3)
        await asyncio.sleep(0.02)
        gate.open.set()
        found = await settled(*tasks)
        await asyncio.wait_for(closing, LONG)
        return found

    *answered, refused = asyncio.run(run())
    assert answered == [0, 10, 20]
    assert isinstance(refused, Busy)


@pytest.mark.parametrize("wrong", [ValueError("no"), StopIteration(), SystemExit(3)])
def test_an_error_of_a_batch_is_raised_where_it_is_waited_for(wrong: BaseException) -> None:
    def fail(_items: Sequence[Any]) -> Sequence[Any]:
        raise wrong

    async def run() -> list[Any]:
        lane = lane_of(fail)
        found = await settled(*asks(lane, 1, 2))
        await lane.close()
        return found

    for error in asyncio.run(run()):
        assert error is wrong or (isinstance(error, RuntimeError) and error.__cause__ is wrong)


def test_each_item_has_its_own_error() -> None:
    async def run() -> list[Any]:
        lane = lane_of(lambda items: [ValueError(item) if item % 2 else item for item in items])
        found = await settled(*asks(lane, 0, 1, 2))
        await lane.close()
        return found

    zero, error, two = asyncio.run(run())
    assert (zero, two) == (0, 2)
    assert (type(error), error.args) == (ValueError, (1,))


def test_a_thousand_come_and_go_and_each_has_its_own_answer() -> None:
    async def run() -> list[Any]:
        lane = lane_of(lambda items: [item * 10 for item in items], threads=3, queue=1000, longest_wait=0.001)

        async def one(number: int) -> Any:
            await asyncio.sleep(number % 17 / 1000)
            task = asyncio.ensure_future(lane.run(number, key=number % 3, within=LONG))
            if number % 10 == 0:
                await asyncio.sleep(0)
                task.cancel()
            return await task

        found = await settled(*(one(number) for number in range(1000)))
        await lane.close()
        return found

    for number, answer in enumerate(asyncio.run(run())):
        assert answer == number * 10 or (number % 10 == 0 and isinstance(answer, asyncio.CancelledError))


@pytest.mark.usefixtures("no_threads")
def test_items_are_refused_at_once_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[list[Any], Any]:
        lane = lane_of(lambda items: [item * 10 for item in items], together=1)
        refused = await settled(*asks(lane, 1, 2, 3))
        monkeypatch.undo()  # others have ended meanwhile
        found = await settled(*asks(lane, 4))
        await lane.close()
        return refused, found

    refused, found = asyncio.run(run())

    assert [type(error) for error in refused] == [SystemLimit] * 3
    assert found == [40]
