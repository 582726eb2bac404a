from __future__ import annotations

from hypothesis import given, strategies as st

from retrieval.sources.hashed_keys import DistinctKeys, KeyPlaces


@given(st.lists(st.lists(st.binary(max_size=2), max_size=30), max_size=12))
def test_it_tells_what_a_set_tells(calls: list[list[bytes]]) -> None:
    distinct, met = DistinctKeys(), set[bytes]()
    for keys in calls:
        expected = [not (key in met or met.add(key)) for key in keys]  # type: ignore[func-returns-value]

        assert distinct.add(keys).tolist() == expected


def test_it_stays_small() -> None:
    distinct = DistinctKeys()
    for start in range(0, 50_000, 500):
        distinct.add([b"%d" % number for number in range(start, start + 500)])

    assert sum(len(run) for run in distinct._runs) == 50_000
    assert len(distinct._runs) <= 17


@given(st.lists(st.lists(st.binary(max_size=2), max_size=30), max_size=5), st.binary(max_size=2))
def test_a_key_is_found_where_it_stands_first(blocks: list[list[bytes]], key: bytes) -> None:
    every = [name for block in blocks for name in block]
    places = KeyPlaces(blocks)

    assert len(places) == len(every)
    assert places.find(key) == (every.index(key) if key and key in every else None)
