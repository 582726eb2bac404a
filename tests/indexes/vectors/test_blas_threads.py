"""Numpy's BLAS uses one thread within a block, and as many as before after it."""

from __future__ import annotations

import pytest

from indexes.vectors import blas_threads, one_blas_thread


def test_one_thread_within_the_block_and_as_many_as_before_after_it():
    found = blas_threads._thread_count()
    if found is None:
        pytest.skip("numpy brings no OpenBLAS here")
    get, put = found
    before = get()
    try:
        put(2)
        wanted = get()  # 1 where there is one core
        with one_blas_thread():
            assert get() == 1
        assert get() == wanted
    finally:
        put(before)


def test_blocks_of_two_threads_may_overlap(monkeypatch):
    count = [4]
    monkeypatch.setattr(
        blas_threads, "_thread_count", lambda: (lambda: count[0], lambda wanted: count.__setitem__(0, wanted))
    )
    first, second = one_blas_thread(), one_blas_thread()
    with first:
        second.__enter__()
    assert count == [1]  # the second is still open
    second.__exit__(None, None, None)
    assert count == [4]


def test_another_blas_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas_threads, "_thread_count", lambda: None)
    with one_blas_thread():
        pass
