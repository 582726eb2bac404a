"""The table of views says whose each view is, as a dictionary would."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from indexes.store import NewRow, VectorStore
from retrieval.views.image_table import ImageTable
from retrieval.views.view_rows import box_of, new_view

DIM = 4


def unit(count: int) -> np.ndarray:
    rows = np.random.default_rng(count).standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def content(number: int) -> bytes:
    """Return a hash that ends with zeros for some numbers, which texts of numpy would lose."""
    return (
        bytes([number % 251, number // 251 + 1]) + bytes(14)
        if number % 3
        else bytes(15) + bytes([number + 1])
    )


@pytest.fixture
def stores(tmp_path: Path) -> tuple[VectorStore, VectorStore]:
    """Return 60 images of 20 contents, some deleted and some without a content, and three views of each content but the last five."""
    rng = np.random.default_rng(3)
    images = VectorStore.create(tmp_path / "images", dim=DIM)
    contents = [content(int(number)) if number < 20 else b"" for number in rng.integers(0, 22, 60)]
    images.append(unit(60), [NewRow(key=f"{at}".encode(), content=each) for at, each in enumerate(contents)])
    images.commit()
    images.remove(rng.choice(60, 25, replace=False))
    images.commit()
    views = VectorStore.create(tmp_path / "views", dim=DIM)
    records = [
        new_view(content(which), 3, at, (0.1 * at, 0, 0.5, 0.25)) for which in range(15) for at in range(3)
    ]
    views.append(unit(45), records)
    views.commit()
    views.remove([4, 44])
    views.commit()
    return images, views


def test_it_equals_a_dictionary(stores: tuple[VectorStore, VectorStore]) -> None:
    images, views = stores
    table = ImageTable.of(images, views, generation=1, covered=60)
    rows = defaultdict(list)
    for record in images.scan():
        rows[record.content].append(record.id)
    live = {record.id for record in views.scan()}

    for number, record in enumerate(views.records(range(45))):
        owners = rows.get(record.content, []) if number in live else []
        found = table.rows_of(int(table.images[number])) if table.images[number] >= 0 else []
        assert found == owners, number

    for seed in range(5):
        flags = np.random.default_rng(seed).random(60) < 0.3
        expected = [
            number in live and any(flags[row] for row in rows.get(record.content, []))
            for number, record in enumerate(views.records(range(45)))
        ]
        assert table.views_of(flags, 45).tolist() == expected
        assert table.views_of(flags, 30).tolist() == expected[:30]
        assert table.views_of(flags, 50).tolist() == [*expected, *[False] * 5]


def test_a_view_says_which_part_it_shows(stores: tuple[VectorStore, VectorStore]) -> None:
    assert [box_of(record) for record in stores[1].records([0, 1, 2])] == [
        (0.0, 0.0, 0.5, 0.25),
        (0.1, 0.0, 0.5, 0.25),
        (0.2, 0.0, 0.5, 0.25),
    ]


def test_nothing_belongs_to_nothing(tmp_path: Path) -> None:
    with (
        VectorStore.create(tmp_path / "a", dim=DIM) as images,
        VectorStore.create(tmp_path / "b", dim=DIM) as views,
    ):
        table = ImageTable.of(images, views, generation=0, covered=0)

        assert (table.images.tolist(), table.others.tolist()) == ([], [])
        assert table.views_of(np.zeros(0, bool), 0).tolist() == []


def test_an_earlier_table_that_is_carried_on_equals_one_made_anew(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    with (
        VectorStore.create(tmp_path / "a", dim=DIM) as images,
        VectorStore.create(tmp_path / "b", dim=DIM) as views,
    ):
        table = ImageTable.of(images, views, generation=0, covered=0)
        for turn in range(40):
            number = int(rng.integers(0, 5))
            contents = [content(int(which)) for which in rng.integers(0, 12, number)]
            if number:
                images.append(unit(number), [NewRow(key=rng.bytes(8), content=each) for each in contents])
                images.commit()
            live = np.flatnonzero(~images.tombstones())
            images.remove(rng.choice(live, min(len(live), int(rng.integers(0, 4))), replace=False))
            images.commit()
            for which in rng.integers(0, 12, int(rng.integers(0, 3))).tolist():  # again, or without an image
                views.append(unit(2), [new_view(content(which), 2, at, (0, 0, 1, 1)) for at in range(2)])
            viewed = np.flatnonzero(~views.tombstones())
            views.remove(rng.choice(viewed, min(len(viewed), int(rng.integers(0, 2))), replace=False))
            views.commit()
            if rng.random() < 0.7:
                now = ImageTable.of(images, views, generation=turn, covered=0, before=table)
                anew = ImageTable.of(images, views, generation=turn, covered=0)

                assert now.images.tolist() == anew.images.tolist()
                assert now.others.tolist() == anew.others.tolist()
                table = now
