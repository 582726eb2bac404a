"""A collection written by hand equals a dict from keys to vectors, whatever is done to it in whatever order."""

from __future__ import annotations

import pickle
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import retrieval
from retrieval.errors import RetrievalError
from tests.strategies import unit

DIM = 8
CLOSE = 2e-3  # of float16

keys = st.one_of(
    st.sampled_from(["a", "b", "c/d.jpg", "é", "0", "7"]),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"), min_size=1, max_size=40
    ).filter(lambda key: key.encode().strip()),  # blank ones are refused, as empty ones are
)
"""Keys of rows: a few that come again, two that look like ids, and any text."""

some_keys = st.lists(keys, min_size=1, max_size=4, unique=True)
seeds = st.integers(0, 2**32 - 1)


class RowsAreADict(RuleBasedStateMachine):
    """Each call is done on a collection and on a dict; a refused one changes neither."""

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.photos = retrieval.create(self.home / "rows", dim=DIM)
        self.other = retrieval.open(self.home / "rows")
        self.rows: dict[str, np.ndarray] = {}
        self.count = 0  # ids that were given

    def took(self, names, vectors, ids):
        fresh = self.changed(names, vectors)
        assert ids[fresh].tolist() == list(range(self.count, self.count + len(fresh)))
        self.count += len(fresh)
        self.rows.update(zip(names, vectors, strict=True))

    def changed(self, names, vectors):
        """Return the places of the names that have no row with this very vector, which would stay."""
        return [
            place
            for place, (name, vector) in enumerate(zip(names, vectors, strict=True))
            if name not in self.rows or not np.array_equal(self.rows[name], vector)
        ]

    @rule(names=some_keys, seed=seeds)
    def add(self, names, seed):
        vectors = unit(len(names), DIM, seed=seed)
        if taken := [name for name in names if name in self.rows]:
            with pytest.raises(RetrievalError, match="upsert") as caught:
                self.photos.add(vectors, keys=names)
            assert any(repr(name) in str(caught.value) for name in taken)
        else:
            self.took(names, vectors, self.photos.add(vectors, keys=names))

    @rule(many=st.integers(1, 3), seed=seeds)
    def add_without_keys(self, many, seed):
        vectors = unit(many, DIM, seed=seed)
        names = [str(self.count + number) for number in range(many)]
        if any(name in self.rows for name in names):
            with pytest.raises(RetrievalError):
                self.photos.add(vectors)
        else:
            self.took(names, vectors, self.photos.add(vectors))

    @rule(names=some_keys, seed=seeds)
    def upsert(self, names, seed):
        vectors = unit(len(names), DIM, seed=seed)
        self.took(names, vectors, self.photos.upsert(vectors, names))

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), by_id=st.booleans())
    def delete(self, data, by_id):
        names = data.draw(st.lists(st.sampled_from(sorted(self.rows)), min_size=1, max_size=3, unique=True))
        if by_id:
            self.photos.delete(ids=[self.photos.id_of(name) for name in names])
        else:
            self.photos.delete(keys=names)
        for name in names:
            del self.rows[name]

    @rule(name=keys, others=st.lists(keys, max_size=2))
    def delete_what_is_not_there(self, name, others):
        if name not in self.rows:
            with pytest.raises(RetrievalError):
                self.photos.delete(keys=[*others, name])

    @rule(names=some_keys, gone=st.booleans(), seed=seeds)
    def write_a_stream(self, names, gone, seed):
        vectors = unit(len(names), DIM, seed=seed)
        fresh = self.changed(names, vectors)
        with self.photos.writer() as writer:
            for name, vector in zip(names, vectors, strict=True):
                writer.upsert(vector, [name])
            if gone:
                writer.delete(keys=names[:1])
        self.count += len(fresh)
        self.rows.update(zip(names, vectors, strict=True))
        if gone:
            del self.rows[names[0]]

    @rule(names=some_keys, seed=seeds, prune=st.booleans())
    def make_equal(self, names, seed, prune):
        vectors = unit(len(names), DIM, seed=seed)
        gone = self.rows.keys() - set(names)
        if gone and not prune:
            with pytest.raises(RetrievalError, match=rf"\b{len(gone)}\b.*prune"):
                self.photos.sync_vectors(vectors, names)
            return
        self.photos.sync_vectors(vectors, names, prune=prune)
        self.rows = dict(zip(names, vectors, strict=True))
        self.count = self.photos.manifest.count

    @rule(how=st.sampled_from(["open", "pickle"]))
    def open_anew(self, how):
        again = (
            retrieval.open(self.photos.directory)
            if how == "open"
            else pickle.loads(pickle.dumps(self.photos))  # noqa: S301 - our own
        )
        self.photos.close()
        self.photos = again

    @rule()
    def another_reader_follows(self):
        self.other.refresh()
        assert sorted(self.other.keys()) == sorted(self.rows)

    @invariant()
    def equal(self):
        found = list(self.photos.keys())
        assert sorted(found) == sorted(self.rows)
        assert len(self.photos) == len(self.rows)
        if not self.rows:
            return
        stacked = np.stack([self.rows[name] for name in found])
        assert np.abs(self.photos.vectors(found) - stacked).max() < CLOSE
        ids, scores = self.photos.search_vectors(stacked, k=1)
        assert (scores[:, 0] > 1 - CLOSE).all()
        best = [self.photos.key_of(number) for number in ids[:, 0]]
        assert all(
            name == other or self.rows[name] @ self.rows[other] > 1 - CLOSE
            for name, other in zip(found, best, strict=True)
        )
        assert all(name in self.photos for name in found)

    def teardown(self):
        self.photos.close()
        self.other.close()
        shutil.rmtree(self.home)


TestRowsAreADict = RowsAreADict.TestCase
TestRowsAreADict.settings = settings(max_examples=25, stateful_step_count=20)
