"""The files behind a collection's rows are looked up by their keys."""

from __future__ import annotations

import numpy as np

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
