"""The store equals a dict, however it is used, closed or broken off."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from indexes.errors import MissingRow
from indexes.store.lmdb import environment
from indexes.store.store import NewRow, Record, VectorStore
from indexes.store.tables import digest_runs
from tests.indexes.store.rows import DIM
from tests.strategies import columns, contents, keys, sources, stamps, unit_vectors


class StoreIsADict(RuleBasedStateMachine):
    """The store is a dict from keys to rows; ids are positions for ever."""

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.store = VectorStore.create(self.home, dim=DIM)
        self.rows: list[np.ndarray] = []  # everything ever appended, by id
        self.records: list[Record] = []
        self.live: dict[bytes, int] = {}
        self.columns: list[bytes] = []
        self.remember()

    def remember(self):
        self.committed = (list(self.rows), list(self.records), dict(self.live), list(self.columns))

    def kill(self, key):
        self.live.pop(key, None)

    @rule(data=st.data(), rows=unit_vectors(DIM))
    def append(self, data, rows):
        drawn = data.draw(
            st.lists(
                st.tuples(keys, contents, stamps, sources, columns),
                min_size=len(rows),
                max_size=len(rows),
            )
        )
        new = [
            NewRow(key=key, content=content, stamp=stamp, source=source, columns=known)
            for key, content, stamp, source, known in drawn
        ]
        ids = self.store.append(rows, new)

        assert ids.tolist() == list(range(len(self.rows), len(self.rows) + len(rows)))
        for number, row, record in zip(ids.tolist(), rows, new, strict=True):
            self.rows.append(row)
            facts = asdict(record)
            self.columns.append(facts.pop("columns"))
            self.records.append(Record(id=number, **facts))
            self.live[record.key] = number

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def remove(self, data):
        ids = data.draw(st.lists(st.integers(0, len(self.rows) - 1), max_size=3))
        self.store.remove(ids)
        self.live = {key: number for key, number in self.live.items() if number not in ids}

    @precondition(lambda self: self.live)
    @rule(data=st.data(), key=keys, stamp=stamps)
    def rename(self, data, key, stamp):
        number = data.draw(st.sampled_from(sorted(self.live.values())))
        self.store.rename(number, key, stamp)
        old = self.records[number]
        del self.live[old.key]
        self.live[key] = number
        self.records[number] = old._replace(key=key, stamp=stamp)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), stamp=stamps)
    def restamp(self, data, stamp):
        number = data.draw(st.sampled_from(sorted(self.live.values())))
        self.store.restamp(number, stamp)
        old = self.records[number]
        self.records[number] = old._replace(stamp=stamp)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), known=columns)
    def set_columns(self, data, known):
        number = data.draw(st.sampled_from(sorted(self.live.values())))
        self.store.set_columns(number, known)
        self.columns[number] = known

    @precondition(lambda self: len(self.live) < len(self.rows))
    @rule(data=st.data())
    def a_dead_row_is_not_renamed(self, data):
        dead = sorted(set(range(len(self.rows))) - set(self.live.values()))
        with pytest.raises(MissingRow):
            self.store.rename(data.draw(st.sampled_from(dead)), b"new", b"")
        with pytest.raises(MissingRow):
            self.store.set_columns(data.draw(st.sampled_from(dead)), b"new")

    @rule()
    def commit(self):
        self.store.commit()
        self.remember()

        assert self.store.pending == 0

    @rule(how=st.sampled_from(["close", "crash", "torn rerank", "no rerank"]))
    def reopen(self, how):
        """What was not committed is gone, however the process ended and whatever became of the rerank file."""
        if how == "crash":  # after the rerank file was written, before LMDB was
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    environment.Environment,
                    "write",
                    lambda *_a, **_k: (_ for _ in ()).throw(KeyboardInterrupt),
                )
                if self.store.pending:
                    with pytest.raises(KeyboardInterrupt):
                        self.store.commit()
        self.store.close()
        rerank = self.home / "rerank.f16"
        if how == "torn rerank":
            os.truncate(rerank, rerank.stat().st_size * 2 // 3)
        if how == "no rerank":
            rerank.unlink()
        self.store = VectorStore.open(self.home, dim=DIM, writable=True)
        rows, records, live, known = self.committed
        self.rows, self.records, self.live = list(rows), list(records), dict(live)
        self.columns = list(known)

    @invariant()
    def shows_what_was_committed(self):
        rows, records, live, known = self.committed
        store = self.store
        assert store.columns(range(len(rows))) == known
        assert list(store.scan_columns()) == [(number, data) for number, data in enumerate(known) if data]
        assert list(store.wrong_columns()) == []
        assert (store.count, store.live) == (len(rows), len(live))
        assert list(store.scan()) == [records[number] for number in sorted(live.values())]
        assert store.records(range(len(rows))) == records
        assert np.flatnonzero(~store.tombstones()).tolist() == sorted(live.values())
        for source in {record.source for record in records} | {7}:
            own = [number for number in sorted(live.values()) if records[number].source == source]
            assert [number for ids, _ in store.packed(source=source) for number in ids.tolist()] == own
        names = [*{record.key for record in records}, b"never"]
        for key in names:
            assert store.find(key) == live.get(key)
        held = [records[live[key]] if key in live else None for key in names]
        assert store.find_records(names) == held
        assert store.find_records([]) == []
        for content in {record.content for record in records}:
            same = [
                number for number in sorted(live.values()) if content and records[number].content == content
            ]
            assert store.find_content(content).tolist() == same
        stored = store.rows(0, len(rows))
        assert np.abs(stored.astype(np.float32) - np.array(rows).reshape(-1, DIM)).max(initial=0) < 5e-4

    @invariant()
    def the_rerank_file_holds_the_same_rows(self):
        mapped = np.fromfile(self.home / "rerank.f16", np.float16).reshape(-1, DIM)
        np.testing.assert_array_equal(mapped[: self.store.count], self.store.rows(0, self.store.count))

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.home)


class LargeStoreIsADict(StoreIsADict):
    """The same of a store that begins to keep runs of digests after five rows."""

    def __init__(self):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(digest_runs, "FROM_ROWS", 5)
        self.patch.setattr(digest_runs, "_IN_PAGE", 2)
        self.patch.setattr(digest_runs, "_FILTERED", 4)
        self.patch.setattr(digest_runs, "_SEVERAL", 2)
        super().__init__()

    @invariant()
    def every_row_is_found(self):
        assert list(self.store.not_found_by_key()) == list(self.store.not_found_by_content()) == []

    def teardown(self):
        super().teardown()
        self.patch.undo()


TestLargeStoreIsADict = LargeStoreIsADict.TestCase
TestStoreIsADict = StoreIsADict.TestCase
TestLargeStoreIsADict.settings = settings(max_examples=15, stateful_step_count=15)
TestStoreIsADict.settings = settings(max_examples=15, stateful_step_count=15)
