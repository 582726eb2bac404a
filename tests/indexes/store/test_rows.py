"""Rows come back as they were appended, in files hardly larger than they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexes.store.store import NewRow, VectorStore
from indexes.store.tables.tables import rows_per_block
from tests.indexes.store.rows import DIM, new_rows
from tests.strategies import unit


@pytest.mark.parametrize("dim", [1, 3, 64, 100, 512, 768, 1024, 3000])
def test_blocks_fill_whole_pages_with_about_a_thousand_rows(dim):
    rows = rows_per_block(dim)
    pages = -(-(rows * 2 * dim + 16) // 4096)

    assert 900 < rows < 2200
    assert (pages * 4096 - 16) - rows * 2 * dim < 2 * dim  # not one row more fits


@pytest.mark.parametrize("sizes", [[2500], [1, 1023, 1, 999], [400] * 7, [1023, 1023], [2046, 1]])
def test_rows_come_back_however_they_were_committed(tmp_path, sizes):
    """Blocks are cut alike, wherever the commits fell."""
    rows = unit(sum(sizes), 512, seed=3)
    records = new_rows(0, len(rows))
    with VectorStore.create(tmp_path, dim=512) as store:
        done = 0
        for size in sizes:
            store.append(rows[done : done + size], records[done : done + size])
            store.commit()
            done += size
    with VectorStore.open(tmp_path, dim=512) as store:
        half = rows.astype(np.float16)
        np.testing.assert_array_equal(store.rows(0, len(rows)), half)
        np.testing.assert_array_equal(store.rows(700, min(1500, len(rows))), half[700:1500])
        np.testing.assert_array_equal(np.concatenate([part for _, part in store.blocks(rows=333)]), half)
        assert [first for first, _ in store.blocks(rows=333)] == list(range(0, len(rows), 333))
        cosines = np.einsum("nd,nd->n", store.rows(0, len(rows)).astype(np.float32), rows)
        assert np.abs(cosines - 1).max() < 1e-3
    assert np.array_equal(np.fromfile(tmp_path / "rerank.f16", np.float16).reshape(-1, 512), half)


def test_the_files_are_within_one_percent_of_the_rows(tmp_path):
    count, dim = 40_000, 512
    with VectorStore.create(tmp_path, dim=dim) as store:
        for start in range(0, count, 10_000):
            store.append(
                unit(10_000, dim, seed=start), [NewRow(key=b"%d" % i) for i in range(start, start + 10_000)]
            )
            store.commit()
        used = store._environment.stat(b"blocks")
        pages = used["overflow_pages"] + used["leaf_pages"] + used["branch_pages"]
    payload = count * dim * 2

    assert payload < pages * used["psize"] <= 1.01 * payload  # usually 1.001
    assert payload == (tmp_path / "rerank.f16").stat().st_size
    # Records, maps and pages of the last commit that wait for reuse: usually 1.09.
    assert (tmp_path / "vectors.lmdb" / "data.mdb").stat().st_size <= 1.2 * payload


def test_an_array_handed_in_is_left_alone_and_may_change_afterwards(home):
    rows = unit(2, DIM, seed=5)
    kept = rows.copy()
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.append(rows, new_rows(20, 22))
        assert np.array_equal(kept, rows)
        rows[:] = 0
        store.commit()
        np.testing.assert_array_equal(store.rows(10, 12), kept.astype(np.float16))


def test_nothing_is_seen_before_the_commit(home):
    with VectorStore.open(home, dim=DIM, writable=True) as store:
        store.append(unit(1, DIM, seed=1), [NewRow(key=b"3")])
        store.remove([4])
        store.rename(5, b"five", b"")
        store.restamp(6, b"later")

        assert store.pending == 4
        assert (store.count, store.live, store.find(b"3"), store.find(b"4"), store.find(b"five")) == (
            10,
            10,
            3,
            4,
            None,
        )
        assert store.record(6).stamp == b"s6"
    with VectorStore.open(home, dim=DIM) as store:
        assert (store.count, store.live) == (10, 10)


def test_an_interrupt_within_append_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.eye(4, dtype=np.float32)
    with VectorStore.create(tmp_path, dim=4) as store:
        store.append(rows[:1], [NewRow(key=b"a")])
        store.commit()

        class Interrupting(list):  # type: ignore[type-arg]
            def append(self, item: object) -> None:
                raise KeyboardInterrupt

        store._writer._changes.rows = Interrupting()
        with pytest.raises(KeyboardInterrupt):
            store.append(rows[1:], [NewRow(key=key) for key in (b"b", b"c", b"d")])
        store.commit()

        assert store.count == 1
        store.append(rows[1:], [NewRow(key=key) for key in (b"b", b"c", b"d")])
        store.commit()
        assert store.count == 4
    with VectorStore.open(tmp_path, dim=4) as store:
        np.testing.assert_array_equal(store.rows(0, 4), rows)
