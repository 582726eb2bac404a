"""What cannot be stored, found or opened is refused, and nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from indexes.errors import MissingRow, OptionError, ShapeError, StoreReadOnly, VectorError
from indexes.store.store import NewRow, VectorStore
from tests.indexes.store.rows import DIM, new_rows
from tests.strategies import unit


@pytest.mark.parametrize(
    ("rows", "records", "error"),
    [
        (unit(2, DIM, seed=0), new_rows(0, 1), ShapeError),
        (unit(1, DIM + 1, seed=0), new_rows(0, 1), ShapeError),
        (np.zeros((1, DIM), np.float32), new_rows(0, 1), VectorError),
        (np.full((1, DIM), np.nan, np.float32), new_rows(0, 1), VectorError),
        (unit(1, DIM, seed=0), [NewRow(key=b"")], OptionError),
        (unit(1, DIM, seed=0), [NewRow(key=b"k", content=b"short")], OptionError),
        (unit(1, DIM, seed=0), [NewRow(key=b"k", stamp=b"s" * 65)], OptionError),
        (unit(1, DIM, seed=0), [NewRow(key=b"k", source=256)], OptionError),
        (unit(1, DIM, seed=0), [NewRow(key=b"k", source=-1)], OptionError),
    ],
)
def test_what_cannot_be_stored_is_refused_whole(home, rows, records, error):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        with pytest.raises(error):
            store.append(rows, records)
        assert store.pending == 0


def test_rows_that_are_not_there_are_refused(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        for attempt in (
            lambda: store.remove([3, 10]),
            lambda: store.rename(10, b"x", b""),
            lambda: store.restamp(-1, b""),
            lambda: store.record(10),
            lambda: store.records([0, -1]),
            lambda: store.rows(5, 11),
            lambda: store.rows(5, 4),
        ):
            with pytest.raises(MissingRow):
                attempt()
        assert store.pending == 0


def test_a_store_opened_for_reading_is_not_written(home):
    with VectorStore.open(home, dim=DIM) as store:
        for attempt in (
            lambda: store.append(unit(1, DIM, seed=0), new_rows(0, 1)),
            lambda: store.remove([0]),
            lambda: store.rename(0, b"x", b""),
            lambda: store.restamp(0, b""),
            store.commit,
        ):
            with pytest.raises(StoreReadOnly, match="opened for reading"):
                attempt()


def test_another_width_is_refused_by_both_numbers(home):
    with pytest.raises(ShapeError, match="width 8, expected 16"):
        VectorStore.open(home, dim=16)
    VectorStore.open(home, dim=None).close()


def test_creating_twice_is_refused_and_a_width_must_be_positive(home, tmp_path):
    with pytest.raises(OptionError, match="there already"):
        VectorStore.create(home, dim=DIM)
    with pytest.raises(OptionError, match="width 0"):
        VectorStore.create(tmp_path / "new", dim=0)


def test_no_store_is_file_not_found(tmp_path):
    assert not VectorStore.exists(tmp_path)
    with pytest.raises(FileNotFoundError, match="`build_index`"):
        VectorStore.open(tmp_path, dim=DIM)
