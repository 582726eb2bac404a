from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retrieval.sources.distinct_keys import DistinctKeys


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
