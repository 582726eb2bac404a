from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from retrieval.sources.remote import read_ahead


def test_results_come_in_order_and_errors_in_their_place() -> None:
    def read(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        if number == 5:
            raise ValueError("five")
        return number * number

    results = list(read_ahead(range(100), read, readers=8))

    assert [item for item, _ in results] == list(range(100))
    assert [type(result).__name__ for _, result in results if not isinstance(result, int)] == ["ValueError"]
    assert [result for _, result in results if isinstance(result, int)] == [
        n * n for n in range(100) if n != 5
    ]


def test_no_more_is_held_than_asked_for() -> None:
    taken = 0
    now = peak = 0
    lock = threading.Lock()

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield number

    def read(number: int) -> int:
        nonlocal now, peak
        with lock:
            now += 1
            peak = max(peak, now)
        time.sleep(0.002)
        with lock:
            now -= 1
        return number

    for place, (item, _) in enumerate(
        read_ahead(items(), read, readers=4, size_of=lambda _: 10, most_bytes=60)
    ):
        assert item == place
        assert taken <= place + 6 + 1
    assert 1 < peak <= 4


def test_a_single_item_may_be_larger_than_all_that_is_held() -> None:
    results = list(read_ahead([1, 2, 3], lambda item: item, size_of=lambda _: 100, most_bytes=10))

    assert results == [(1, 1), (2, 2), (3, 3)]


def test_whoever_stops_early_leaves_no_threads() -> None:
    before = threading.active_count()
    reading = read_ahead(range(1000), lambda number: number, readers=8)
    next(reading)

    reading.close()  # type: ignore[attr-defined]

    assert threading.active_count() == before
