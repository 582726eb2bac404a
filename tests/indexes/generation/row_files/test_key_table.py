from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st

from indexes.derivation.derivation import derive
from indexes.errors import StoreCorrupt
from indexes.generation import further_files, verify
from indexes.generation.manifest import generation_path
from indexes.generation.row_files import row_files
from indexes.generation.row_files.key_table import KEYS, KeyTable
from indexes.search.generation import Generation
from indexes.store.store import NewRow, VectorStore
from tests.indexes.search.test_generation import SPACE, VECTORS

NAMES = st.binary(min_size=1, max_size=40)


def table_of(names, path):
    KeyTable.of(names, renames=3).write(path)
    return KeyTable.open(path)


@given(names=st.lists(NAMES, max_size=20), more=st.lists(NAMES, max_size=5))
def test_a_table_is_the_list_of_its_keys(tmp_path_factory, names, more):
    path = tmp_path_factory.mktemp("t") / KEYS
    table = table_of(names, path).extended(more[:2]).extended(more[2:])

    assert (len(table), table.renames) == (len(names + more), 3)
    assert list(table.keys(np.arange(len(table)))) == names + more
    table.write(path.with_name("again"))
    assert list(KeyTable.open(path.with_name("again")).keys(np.arange(len(table)))) == names + more


def test_an_extended_table_shares_what_the_first_one_holds():
    table = KeyTable.of(b"%06d" % number for number in range(100_000))
    tracemalloc.start()
    try:
        extended = table.extended([b"one more"])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(extended) == 100_001
    assert held < 50_000  # a copy takes 1.4 million bytes


@given(
    names=st.lists(st.text("ab", min_size=1, max_size=30).map(str.encode), max_size=20),
    prefix=st.text("ab", max_size=20).map(str.encode),
    suffix=st.text("ab", max_size=20).map(str.encode),
    cut=st.integers(0, 20),
    ends=st.tuples(st.integers(0, 22), st.none() | st.integers(0, 22)),
)
def test_keys_between_a_prefix_and_a_suffix(names, prefix, suffix, cut, ends):
    expected = [
        number
        for number, name in enumerate(names)
        if name.startswith(prefix) and name.endswith(suffix) and len(name) >= len(prefix) + len(suffix)
    ]

    table = KeyTable.of(names[:cut]).extended(names[cut:])
    assert table.between(prefix=prefix, suffix=suffix).tolist() == expected
    start, stop = min(ends[0], len(names)), ends[1]
    some = table.between(prefix=prefix, suffix=suffix, start=start, stop=stop)
    assert some.tolist() == [one for one in expected if start <= one < (len(names) if stop is None else stop)]


@given(
    names=st.lists(st.text("ab/", min_size=1, max_size=12).map(str.encode), max_size=20),
    prefix=st.sampled_from([b"", b"a/", b"ab/", b"a/b/", b"/"]),
    cut=st.integers(0, 20),
    live=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_folders_below_a_prefix(names, prefix, cut, live):
    rest = [
        name[len(prefix) :]
        for name, lives in zip(names, live, strict=False)
        if lives and name.startswith(prefix)
    ]
    expected = Counter(name.partition(b"/")[0] for name in rest if b"/" in name)

    table = KeyTable.of(names[:cut]).extended(names[cut:])
    assert table.folders(prefix, live=np.array(live)) == expected


@pytest.mark.parametrize("cut", [0, 5, 30, -1])
def test_a_short_table_is_refused(tmp_path, cut):
    path = tmp_path / "generations" / "0001" / KEYS
    path.parent.mkdir(parents=True)
    KeyTable.of([b"one", b"two"]).write(path)
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(StoreCorrupt, match=r"keys\.bin: not a whole table"):
        KeyTable.open(path)


def publish(home, store):
    return derive(home, store, space=SPACE, encoder=None, root=None)


def keys_of(home, manifest):
    with Generation.open(home, manifest) as generation:
        table = generation.keys()
        return list(table.keys(np.arange(len(table))))


def test_a_generation_lists_its_keys_and_those_renamed_since(tmp_path, monkeypatch):
    with VectorStore.create(tmp_path, dim=SPACE.dim) as store:
        store.append(VECTORS[:3], [NewRow(key=key) for key in (b"a", b"b", b"c")])
        store.commit()
        first = publish(tmp_path, store)
        assert keys_of(tmp_path, first) == [b"a", b"b", b"c"]

        store.append(VECTORS[3:4], [NewRow(key=b"d")])
        store.restamp(0, b"later")
        store.commit()
        read = []
        keys = store.keys
        monkeypatch.setattr(store, "keys", lambda start=0: read.append(start) or keys(start))
        second = publish(tmp_path, store)
        assert keys_of(tmp_path, second) == [b"a", b"b", b"c", b"d"]
        assert read == [3]  # the others came from the table before

        store.rename(1, b"bb", b"")
        store.remove([2])
        store.commit()
        third = publish(tmp_path, store)
        assert keys_of(tmp_path, third) == [b"a", b"bb", b"c", b"d"]


def test_a_large_table_stays_and_further_keys_have_a_file_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(row_files, "LARGE", 3)
    with VectorStore.create(tmp_path, dim=SPACE.dim) as store:
        for start, stop in ((0, 3), (3, 9), (9, 10), (10, 11)):
            names = [b"%d/%d" % (number % 2, number) for number in range(start, stop)]
            store.append(VECTORS[start:stop], [NewRow(key=name) for name in names])
            store.commit()
            manifest = publish(tmp_path, store)
        assert further_files(manifest.files, KEYS) == [0, 3, 9]
        with Generation.open(tmp_path, manifest) as generation:
            table = generation.keys()
            assert table.between(prefix=b"1/").tolist() == [1, 3, 5, 7, 9]
            assert table.between(suffix=b"0").tolist() == [0, 10]
            assert table.folders(b"") == {b"0": 6, b"1": 5}
        assert keys_of(tmp_path, manifest) == [b"%d/%d" % (number % 2, number) for number in range(11)]
        assert all(found.ok for found in verify(tmp_path))

        store.rename(5, b"other", b"")
        store.commit()
        manifest = publish(tmp_path, store)
        assert further_files(manifest.files, KEYS) == [0]
        assert keys_of(tmp_path, manifest)[5] == b"other"


def test_a_generation_without_a_table_says_so(tmp_path):
    with VectorStore.create(tmp_path, dim=SPACE.dim) as store:
        store.append(VECTORS[:1], [NewRow(key=b"a")])
        store.commit()
        manifest = publish(tmp_path, store)
    (generation_path(tmp_path, manifest.generation) / KEYS).unlink()

    with pytest.raises(StoreCorrupt, match=r"keys\.bin"):
        Generation.open(tmp_path, manifest)
