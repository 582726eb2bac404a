"""Units of a source are given to shards once; a large one is cut by its keys."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from retrieval.ingestion.sharded.units import Ranges, UnitCounts, assign, unit_of


def counted(keys, ranges):
    counts = UnitCounts()
    for key in keys:
        counts.add(key, ranges)
    return counts


def given_out(keys, ranges, **options):
    options = {"shards": 3, "shard_rows": 1000, "is_first": True} | options
    count = assign(ranges, counted(keys, ranges), **options)
    return count, {key: ranges.shard_of(key) for key in keys}


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        (b"cats/a.png", "cats"),
        (b"a.tar/x/1.jpg", "a.tar"),
        (b"t.parquet#17", "t.parquet"),
        (b"a.png", ""),
        (b"\xff/a", "\udcff"),
    ],
)
def test_units_are_folders_archives_and_tables(key, unit):
    assert unit_of(key) == unit


def test_the_first_build_spreads_whole_units_evenly():
    keys = [f"{unit}/{number}".encode() for unit in "abcdef" for number in range(10)]

    count, shard_of = given_out(keys, Ranges())

    assert count == 3
    assert sorted(Counter(shard_of.values()).values()) == [20, 20, 20]
    for unit in "abcdef":
        assert len({shard for key, shard in shard_of.items() if key.startswith(unit.encode())}) == 1


def test_a_unit_that_is_too_large_is_cut_by_its_keys():
    keys = [f"{number:05d}.png".encode() for number in range(3000)]

    count, shard_of = given_out(keys, Ranges(), shards=4, shard_rows=10_000)

    assert count == 4
    assert all(600 <= rows <= 900 for rows in Counter(shard_of.values()).values())
    changes = sum(shard_of[one] != shard_of[other] for one, other in pairwise(keys))
    assert changes == 3


def test_new_units_go_to_the_last_shard_until_it_is_full():
    ranges = Ranges()
    old = [f"{unit}/{number}".encode() for unit in "abc" for number in range(10)]
    _, before = given_out(old, ranges)
    new = [f"new-{unit}/{number}".encode() for unit in "xyz" for number in range(8)]

    count, after = given_out([*old, *new], ranges, shard_rows=20, is_first=False)

    assert {key: after[key] for key in old} == before
    assert count == 4
    assert [after[f"new-{unit}/0".encode()] for unit in "xyz"] == [2, 3, 3]


@given(
    st.sets(st.binary(min_size=1, max_size=6), min_size=5, max_size=60),
    st.sets(st.binary(min_size=1, max_size=6), max_size=60),
    st.integers(1, 5),
)
def test_every_key_has_one_shard_for_ever(first, second, shards):
    ranges = Ranges()
    count, before = given_out(sorted(first), ranges, shards=shards)
    more, after = given_out(sorted(first | second), ranges, shards=count, shard_rows=30, is_first=False)
    again = Ranges.of(ranges.units())

    assert set(before.values()) <= set(range(count))
    assert {key: after[key] for key in first} == before
    assert all(shard is not None and shard < more for shard in after.values())
    assert {key: again.shard_of(key) for key in after} == after
    for key in after:
        folders = [key[: place + 1] for place, byte in enumerate(key) if byte in b"/#"]
        for prefix in [*folders, key]:
            if unit_of(prefix) == unit_of(key):  # a table's name may have a slash behind its mark
                assert again.shard_of(key) in again.below(prefix)
