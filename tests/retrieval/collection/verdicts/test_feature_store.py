"""Features of pictures are kept by content, forgotten on demand, and never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retrieval.collection import FeatureStore

ONE, OTHER = bytes(16), bytes(15) + b"1"


def test_what_is_put_in_is_there_for_the_next_opener(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, writable=True) as store:
        store.put([(ONE, b"one"), (OTHER, b"other")])
        store.put([(ONE, b"again")])

    with FeatureStore(tmp_path) as store:
        assert store.get([OTHER, ONE, b"none", b""]) == {ONE: b"again", OTHER: b"other"}
        assert len(store) == 2


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    with FeatureStore(tmp_path) as store:
        assert (store.get([ONE]), len(store)) == ({}, 0)

    assert list(tmp_path.iterdir()) == []


def test_others_are_deleted(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, writable=True) as store:
        store.put([(ONE, b"one"), (OTHER, b"other")])

        assert store.keep_only([OTHER]) == 1
        assert store.get([ONE, OTHER]) == {OTHER: b"other"}


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_damaged_folder_is_empty_and_made_again(tmp_path: Path, size: int) -> None:
    with FeatureStore(tmp_path, writable=True) as store:
        store.put([(ONE, b"one")])
    (tmp_path / "features" / "data.mdb").write_bytes(b"x" * size)

    with FeatureStore(tmp_path) as store:
        assert store.get([ONE]) == {}
    with FeatureStore(tmp_path, writable=True) as store:
        store.put([(OTHER, b"other")])
        assert store.get([ONE, OTHER]) == {OTHER: b"other"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_where_nothing_can_be_written_they_last_until_the_end(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with FeatureStore(tmp_path, writable=True) as store:
        store.put([(ONE, b"one")])
        assert store.get([ONE]) == {ONE: b"one"}

    assert list(tmp_path.iterdir()) == []


def test_many_fit(tmp_path: Path) -> None:
    with FeatureStore(tmp_path, writable=True) as store:
        for start in range(0, 400, 40):
            store.put((number.to_bytes(16), os.urandom(8192)) for number in range(start, start + 40))

        assert len(store.get([number.to_bytes(16) for number in range(400)])) == 400
