"""Rows of several files are mapped as one array."""

from __future__ import annotations

import gc
import mmap
from pathlib import Path

import numpy as np
import pytest

from indexes.store import map_together, row_maps
from indexes.store.mirror import write_rows
from tests.strategies import unit


@pytest.mark.parametrize("dim", [24, 64, 128, 4096])
def test_rows_stand_behind_each_other(tmp_path: Path, dim: int) -> None:
    files = [unit(count, dim, seed=count).astype(np.float16) for count in (5, 33, 1, 70)]
    paths = [tmp_path / f"{number}.f16" for number in range(len(files))]
    for path, rows in zip(paths, files, strict=True):
        write_rows(path, rows, first=0)
    counts = [5, 30, 1, 70]  # one file has more rows by now

    rows, starts = map_together(paths, counts, dim=dim)

    for start, count, own in zip(starts, counts, files, strict=True):
        np.testing.assert_array_equal(rows[start : start + count], own[:count])
        assert start * 2 * dim % mmap.PAGESIZE == 0
    assert not rows.flags.writeable
    row = rows[starts[1]]
    del rows
    gc.collect()
    np.testing.assert_array_equal(row, files[1][0])  # mapped as long as anybody looks


@pytest.mark.parametrize("dim", [96, 768])  # rows of which several pages hold a whole number
def test_every_place_can_be_read_and_the_array_ends_with_the_last_row(tmp_path: Path, dim: int) -> None:
    files = [unit(count, dim, seed=count).astype(np.float16) for count in (1001, 1002)]
    for number, own in enumerate(files):
        write_rows(tmp_path / f"{number}.f16", own, first=0)
    (tmp_path / "empty.f16").touch()
    paths = [tmp_path / f"{name}.f16" for name in (0, 1, "empty")]

    rows, starts = map_together(paths, [1001, 1002, 0], dim=dim)

    with (tmp_path / "all").open("wb", buffering=0) as file:
        assert file.write(rows) == rows.nbytes  # the system stops at a place that would end this process
    assert starts[1] > 1001
    np.testing.assert_array_equal(rows[1001 : starts[1]], 0)
    np.testing.assert_array_equal(rows[-1], files[1][-1])


def test_files_without_rows_take_no_place(tmp_path: Path) -> None:
    rows = unit(3, 64, seed=1).astype(np.float16)
    write_rows(tmp_path / "some", rows, first=0)

    found, starts = map_together([tmp_path / "none", tmp_path / "some", tmp_path / "none"], [0, 3, 0], dim=64)

    np.testing.assert_array_equal(found[starts[1] : starts[1] + 3], rows)
    assert map_together([tmp_path / "none"], [0], dim=64) is None


def test_a_file_that_is_too_short_is_not_mapped(tmp_path: Path) -> None:
    write_rows(tmp_path / "short", unit(3, 64, seed=1).astype(np.float16), first=0)

    assert map_together([tmp_path / "short"], [4], dim=64) is None
    with pytest.raises(FileNotFoundError):
        map_together([tmp_path / "missing"], [4], dim=64)


def test_a_system_that_cannot_maps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "some", unit(3, 64, seed=1).astype(np.float16), first=0)

    def refuse(*_: object, **__: object) -> int:
        raise OSError

    monkeypatch.setattr(row_maps, "_mapped", refuse)
    assert map_together([tmp_path / "some"], [3], dim=64) is None
