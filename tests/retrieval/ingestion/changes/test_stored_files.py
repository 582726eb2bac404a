"""The files behind a collection's rows are looked up by their keys."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from indexes.store import Record
from indexes.store.tables.records import pack_record
from retrieval.ingestion.changes.stored_files import StoredFiles


def stamp(size: int, time: int) -> bytes:
    return size.to_bytes(8, "little") + time.to_bytes(8, "little")


def test_rows_are_found_by_their_keys_and_compared_by_their_stamps() -> None:
    names = [b"%d.jpg" % number for number in range(500)]
    records = [
        Record(id=number, key=name, content=b"", stamp=stamp(number % 7, number) if number % 10 else b"")
        for number, name in enumerate(names)
    ]
    packed = [pack_record(record) for record in records]
    blocks = [(np.arange(start, start + 100), packed[start : start + 100]) for start in range(0, 500, 100)]

    stored = StoredFiles.of(blocks, most=600)

    assert len(stored) == 450  # those without a stamp are no files'
    assert sorted(stored.ids.tolist()) == [number for number in range(500) if number % 10]
    assert stored.sizes().tolist() == list(range(7))
    asked = [*names[:40], b"other.jpg"]
    stamps = [stamp(number % 7, number + (number == 3)) for number in range(41)]
    known, unchanged = stored.find(asked, stamps)
    expected = [bool(number % 10) for number in range(40)]
    assert known.tolist() == [*expected, False]
    assert unchanged.tolist() == [*(there and number != 3 for number, there in enumerate(expected)), False]
    assert sorted(stored.ids[stored.found].tolist()) == [number for number in range(40) if number % 10]


def test_none_are_found_where_there_are_none() -> None:
    stored = StoredFiles.of((), most=0)

    assert (len(stored), stored.sizes().tolist()) == (0, [])
    assert stored.find([b"a"], [stamp(1, 2)])[0].tolist() == [False]


@given(st.data())
def test_whatever_the_order_of_the_listing_each_file_is_compared_with_its_row(data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 40), label="rows")
    keys = [b"%d.jpg" % number for number in range(rows)]
    packed = [
        pack_record(Record(id=number, key=key, content=b"", stamp=stamp(number, 7)))
        for number, key in enumerate(keys)
    ]
    stored = StoredFiles.of([(np.arange(rows), packed)], most=rows)
    numbers = list(range(rows))
    ordered = data.draw(st.integers(0, rows), label="listed in order")
    rest = data.draw(st.permutations(numbers[ordered:]), label="rest")
    listed = [*numbers[:ordered], *rest[: data.draw(st.integers(0, len(rest)), label="kept")]]
    for place in data.draw(st.lists(st.integers(0, len(listed)), max_size=3), label="new"):
        listed.insert(place, rows + place)
    touched = data.draw(st.sets(st.integers(0, 50), max_size=3), label="touched")

    size = data.draw(st.integers(1, 20), label="batch")
    for start in range(0, len(listed), size):
        batch = listed[start : start + size]
        known, unchanged = stored.find(
            [b"%d.jpg" % number for number in batch],
            [stamp(number, 7 + (number in touched)) for number in batch],
        )

        assert known.tolist() == [number < rows for number in batch]
        assert unchanged.tolist() == [number < rows and number not in touched for number in batch]

    assert set(stored.ids[stored.found].tolist()) == {number for number in listed if number < rows}
    assert stored.sizes().tolist() == numbers
    if listed and listed[0] < rows:
        stored.forget(b"%d.jpg" % listed[0])

        assert listed[0] not in stored.ids[stored.found]
