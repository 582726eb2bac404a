"""What the tests of the store share: its width, and rows to append."""

from __future__ import annotations

from indexes.store.store import NewRow

DIM = 8


def new_rows(start: int, stop: int) -> list[NewRow]:
    return [
        NewRow(key=b"%d" % number, content=b"%016d" % (number % 5), stamp=b"s%d" % number)
        for number in range(start, stop)
    ]
