from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from indexes.errors import MissingRow, StoreCorrupt, StoreFull
from indexes.store.mirror import RerankRows, cut_rows, write_rows
from tests.strategies import unit

DIM = 24


@pytest.fixture
def rows():
    return unit(50, DIM, seed=1).astype(np.float16)


@pytest.fixture
def path(tmp_path, rows):
    path = tmp_path / "rerank.f16"
    write_rows(path, rows, first=0)
    return path


def test_position_is_the_id(path, rows):
    mapped = RerankRows.open(path, dim=DIM, count=40)

    assert mapped.count == 40
    np.testing.assert_array_equal(mapped.rows, rows[:40])
    picked = mapped.gather(np.array([39, 0, 7, 7]))
    assert picked.dtype == np.float32
    np.testing.assert_array_equal(picked, rows[[39, 0, 7, 7]].astype(np.float32))
    assert mapped.gather(np.empty(0, np.int64)).shape == (0, DIM)


def test_the_map_cannot_be_written(path):
    with pytest.raises(ValueError, match="read-only"):
        RerankRows.open(path, dim=DIM, count=40).rows[0] = 0


@pytest.mark.parametrize("bad", [-1, 40])
def test_rows_beyond_the_count_are_refused_though_the_file_holds_them(path, bad):
    with pytest.raises(MissingRow, match=f"row {bad} "):
        RerankRows.open(path, dim=DIM, count=40).gather(np.array([3, bad]))


def test_a_short_or_missing_file_is_named_with_its_cure(path):
    with pytest.raises(StoreCorrupt, match="2,400 bytes, expected at least 2,448 bytes; run `build_index`"):
        RerankRows.open(path, dim=DIM, count=51)
    path.unlink()
    with pytest.raises(StoreCorrupt, match="no such file"):
        RerankRows.open(path, dim=DIM, count=1)


def test_nothing_to_map(path):
    assert RerankRows.open(path, dim=DIM, count=0).gather(np.empty(0, np.int64)).shape == (0, DIM)


def test_writing_cuts_off_what_lay_behind(path, rows):
    write_rows(path, rows[:5], first=10)

    np.testing.assert_array_equal(
        np.fromfile(path, np.float16).reshape(-1, DIM), np.concatenate([rows[:10], rows[:5]])
    )


@pytest.mark.parametrize(
    ("size", "count", "kept"), [(2400, 50, 50), (2400, 30, 30), (2399, 50, 49), (0, 9, 0)]
)
def test_cutting_leaves_whole_rows_that_count(path, size, count, kept):
    os.truncate(path, size)

    assert cut_rows(path, count=count, dim=DIM) == kept
    assert path.stat().st_size == kept * DIM * 2


def test_short_writes_are_completed(path, rows, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:100], at))
    write_rows(path, rows, first=50)

    np.testing.assert_array_equal(RerankRows.open(path, dim=DIM, count=100).rows[50:], rows)


def test_no_space_leaves_the_rows_before(path, rows, monkeypatch):
    real = os.pwrite
    calls = []

    def full(file, data, at):
        calls.append(at)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:100], at)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StoreFull, match="no space left on device"):
        write_rows(path, rows, first=50)

    assert path.stat().st_size == 50 * DIM * 2
