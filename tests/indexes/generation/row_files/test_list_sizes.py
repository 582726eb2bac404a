"""The sizes of a large index's lists have a file of their own, so that opening reads none between the lists."""

from __future__ import annotations

import os

import numpy as np
import pytest

from indexes.errors import StoreCorrupt
from indexes.generation import LIST_SIZES, file_checks, generation_path, verify
from indexes.search.generation import Generation
from tests.indexes.derivation.published import check, index_file
from tests.indexes.search.test_generation import QUERIES, build, fill, grow


@pytest.fixture
def large(tmp_path, monkeypatch):
    """Return a collection whose index is taken for a large one."""
    monkeypatch.setattr(file_checks, "WHOLE", 100)
    fill(tmp_path, 0, 3000)
    build(tmp_path, kind="ivfrabitq")
    return tmp_path


def test_opening_reads_no_size_between_the_lists(large, monkeypatch):
    grow(large, 3000, 3010)
    manifest = build(large)  # the index is carried on, and so are its sizes
    assert LIST_SIZES in manifest.files
    check(large, manifest)
    reads = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *words: reads.append(words) or pread(*words))
    with Generation.open(large, manifest) as opened:
        lists = opened.first_stage().nlist
        assert opened.search(QUERIES, k=5).ids.min() >= 0
    assert lists > 20
    assert len(reads) < 10  # of the file's head


def test_one_that_changed_is_found(large):
    manifest = build(large, kind="ivfrabitq")
    path = generation_path(large, manifest.generation) / LIST_SIZES
    sizes = np.load(path)
    sizes[3:5] += np.array([1, -1], np.int64).astype(np.uint32)
    np.save(path, sizes)
    with Generation.open(large, manifest) as opened, pytest.raises(StoreCorrupt, match=r"list_sizes\.npy"):
        opened.search(QUERIES, k=5)
    assert [found.path.rpartition("/")[2] for found in verify(large) if not found.ok] == [LIST_SIZES]


def test_a_size_between_the_lists_that_changed_is_found_by_verify_alone(large):
    manifest = build(large, kind="ivfrabitq")
    with Generation.open(large, manifest) as opened:
        expected = opened.search(QUERIES, k=5)
    path = index_file(large)
    head = manifest.index.file.head
    data = bytearray(path.read_bytes())
    data[head] ^= 1
    path.write_bytes(data)
    with Generation.open(large, manifest) as opened:
        np.testing.assert_array_equal(opened.search(QUERIES, k=5).ids, expected.ids)
    assert [found.path.rpartition("/")[2] for found in verify(large) if not found.ok] == [path.name]
