"""A collection of rows by hand equals a dict, whatever is done to it in whatever order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import retrieval
from retrieval.errors import MissingRow, OptionError
from tests.retrieval.folders import ids_by_key

DIM = 8

KEYS = st.sampled_from(["a", "b", "c/d.jpg", "é", "0", "3"])
VECTORS = st.integers(0, 40)
MANY = st.dictionaries(KEYS, VECTORS, min_size=1, max_size=4)


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(DIM)


class Rows(RuleBasedStateMachine):
    """A collection, a second view of it, and the dicts that they should equal: of keys and seeds of vectors."""

    @initialize()
    def create(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.rows = retrieval.create(Path(self.folder.name) / "rows", dim=DIM)
        self.other = retrieval.open(self.rows.directory)
        self.model: dict[str, int] = {}
        self.shown: dict[str, int] = {}
        self.ids: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "rows"):
            self.rows.close()
            self.other.close()
            self.folder.cleanup()

    def _given(self, many: dict[str, int], ids: Any) -> None:
        self.model |= many
        self.ids |= dict(zip(many, ids.tolist(), strict=True))

    @rule(many=MANY)
    def add(self, many: dict[str, int]) -> None:
        vectors = np.stack([vector(seed) for seed in many.values()])
        if many.keys() & self.model.keys():
            try:
                self.rows.add(vectors, keys=list(many))
            except OptionError:
                return
            raise AssertionError(f"{sorted(many.keys() & self.model.keys())} were taken")
        self._given(many, self.rows.add(vectors, keys=list(many)))

    @rule(many=MANY)
    def upsert(self, many: dict[str, int]) -> None:
        before = {key: self.ids[key] for key, seed in many.items() if self.model.get(key) == seed}

        ids = self.rows.upsert(np.stack([vector(seed) for seed in many.values()]), list(many))

        self._given(many, ids)
        assert {key: self.ids[key] for key in before} == before

    @rule(keys=st.sets(KEYS, min_size=1, max_size=3))
    def delete(self, keys: set[str]) -> None:
        if keys <= self.model.keys():
            assert self.rows.delete(sorted(keys)) == len(keys)
            for key in keys:
                del self.model[key], self.ids[key]
            return
        try:
            self.rows.delete(sorted(keys))
        except MissingRow:
            return
        raise AssertionError(f"{sorted(keys - self.model.keys())} were not there")

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete_an_id(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))

        assert self.rows.delete(ids=self.ids[key]) == 1

        del self.model[key], self.ids[key]

    @rule(first=MANY, second=MANY, fails=st.booleans())
    def write_a_block(self, first: dict[str, int], second: dict[str, int], *, fails: bool) -> None:
        published = dict(self.model)
        try:
            with self.rows.writer() as writer:
                for many in (first, second):
                    ids = writer.upsert(np.stack([vector(seed) for seed in many.values()]), list(many))
                    self._given(many, ids)
                gone = min(first)
                writer.delete(gone)
                del self.model[gone], self.ids[gone]
                assert len(self.rows) == len(published)
                if fails:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            assert fails

    @rule(many=MANY)
    def sync(self, many: dict[str, int]) -> None:
        before = dict(self.model)
        report = self.rows.sync_vectors(
            np.stack([vector(seed) for seed in many.values()]), list(many), prune=True
        )
        assert report.deleted == len(before.keys() - many.keys())
        assert report.added == len(many.keys() - before.keys())
        self.model = dict(many)
        self.ids = ids_by_key(self.rows)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), k=st.integers(1, 8))
    def search(self, data: st.DataObject, k: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))

        hits = self.rows.search(vector(self.model[key]), k=k, fold_duplicates=False)

        assert len(hits) == min(k, len(self.model))
        assert hits[0].score > 0.999
        assert self.model[hits[0].path] == self.model[key]
        assert {self.ids[hit.path] for hit in hits} == {hit.id for hit in hits}

    @rule()
    def refresh(self) -> None:
        self.other.refresh()
        self.shown = dict(self.model)

    @rule()
    def reopen(self) -> None:
        self.rows.close()
        self.rows = retrieval.open(self.folder.name + "/rows")

    @invariant()
    def equals_the_dict(self) -> None:
        if not hasattr(self, "rows"):
            return
        vectors, keys = self.rows.export()
        assert {key: row.tolist() for key, row in zip(keys, vectors, strict=True)} == {
            key: unit(seed) for key, seed in self.model.items()
        }
        assert ids_by_key(self.rows) == self.ids
        assert sorted(self.other.export()[1]) == sorted(self.shown)


def unit(seed: int) -> list[float]:
    row = vector(seed).astype(np.float32)
    return (row / np.linalg.norm(row)).astype(np.float16).tolist()


Rows.TestCase.settings = settings(max_examples=12, stateful_step_count=20)
TestRows = Rows.TestCase
