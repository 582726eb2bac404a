"""Threads share a number of bytes in the order in which they ask, and nobody waits for ever."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from retrieval.errors import ImageError
from retrieval.sources.decoding import decoder
from retrieval.sources.decoding.budget import Budget
from retrieval.sources.decoding.decoder import decode
from tests.retrieval.pictures import png


def test_never_more_is_held_than_there_is_and_everybody_gets_through():
    budget = Budget(100)
    most, lock = 0, threading.Lock()

    def work(size):
        nonlocal most
        with budget.hold(size):
            with lock:
                most = max(most, budget.held)
            time.sleep(0.0005)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [10, 60, 100, 500, 1, 0, 99] * 20))  # 500: everything, alone

    assert 60 <= most <= 100
    assert budget.held == 0


def test_who_asks_first_gets_first_so_that_large_ones_are_not_passed_for_ever():
    budget, order = Budget(10), []
    first = budget.hold(5)
    first.__enter__()

    def ask(name, size):
        with budget.hold(size):
            order.append(name)

    threads = []
    for name, size in (("large", 10), ("small", 1), ("small too", 1)):
        threads.append(threading.Thread(target=ask, args=(name, size)))
        threads[-1].start()
        time.sleep(0.05)
    assert order == []
    first.__exit__(None, None, None)
    for thread in threads:
        thread.join(5)

    assert order[0] == "large"
    assert sorted(order) == ["large", "small", "small too"]


def test_a_thread_that_holds_a_part_does_not_wait_for_another():
    budget = Budget(10)
    with budget.hold(8), budget.hold(8):
        assert budget.held == 8
    assert budget.held == 0


def test_what_is_kept_is_given_back_when_the_outer_block_ends():
    budget = Budget(10)
    with budget.kept():
        with budget.hold(4):
            pass
        assert budget.held == 4
    assert budget.held == 0
    with pytest.raises(ZeroDivisionError), budget.kept(), budget.hold(4):
        raise ZeroDivisionError
    assert budget.held == 0


def test_a_forked_child_finds_it_free():
    budget = Budget(10)
    with budget.hold(10):
        child = os.fork()
        if child == 0:
            with budget.hold(10):
                os._exit(budget.held)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10
    assert budget.held == 0


def test_a_broken_image_gives_its_part_back(monkeypatch):
    budget = Budget(1 << 20)
    monkeypatch.setattr(decoder, "DECODED_BYTES", budget)
    for data in (png(), png()[:200]):
        with suppress(ImageError):
            decode(data)
        assert budget.held == 0
