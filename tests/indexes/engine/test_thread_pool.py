"""A pool goes on with the threads that it has, and says which limit is reached where it has none."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from indexes.engine import ThreadPool
from indexes.errors import SystemLimit


@pytest.mark.usefixtures("no_threads")
def test_a_pool_without_a_thread_says_so_and_forgets_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    with ThreadPool(2) as pool:
        with pytest.raises(SystemLimit, match=r"no thread can be started: .*nothing is damaged"):
            pool.submit(ran.append, 1)
        monkeypatch.undo()  # others have ended meanwhile
        pool.submit(ran.append, 2).result()

    assert ran == [2]


def test_a_pool_goes_on_with_the_threads_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    start, left = threading._start_new_thread, [1]  # type: ignore[attr-defined]

    def rarely(*arguments: object) -> int:
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        return start(*arguments)

    monkeypatch.setattr("threading._start_new_thread", rarely)
    with ThreadPool(4) as pool:
        found: list[Future[str]] = [pool.submit(lambda: threading.current_thread().name) for _ in range(40)]
        names = {one.result() for one in found}

    assert len(names) == 1
