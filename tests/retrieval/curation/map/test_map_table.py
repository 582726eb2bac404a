"""The table of a map: what Embedding Atlas reads, and the columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.curation.map import ImageMap

pq = pytest.importorskip("pyarrow.parquet", reason="the extra map is not installed")


def test_each_image_has_its_place_group_and_neighbours(found: ImageMap, tmp_path: Path) -> None:
    found.write_table(tmp_path / "map.parquet")

    table = pq.read_table(tmp_path / "map.parquet")
    rows = table.to_pylist()
    assert [row["path"] for row in rows] == list(found.paths)
    assert np.allclose([row["x"] for row in rows], found.positions[:, 0])
    assert np.allclose([row["y"] for row in rows], 1 - found.positions[:, 1])
    assert {row["group"] for row in rows} == set(found.groups)
    for place, row in enumerate(rows):
        assert row["neighbors"]["ids"] == found.neighbors.places[place].tolist()
        assert row["neighbors"]["distances"] == pytest.approx((1 - found.neighbors.scores[place]).tolist())
    assert {row["width"] for row in rows} == {32}


def test_given_labels_are_a_column_of_their_own(tmp_path: Path) -> None:
    with retrieval.create(tmp_path / "rows", dim=4) as collection:
        collection.add(np.eye(4), ["a", "b", "c", "d"], columns=[{"label": "own"}, {}, {}, {}])
        retrieval.map_images(collection, labels={"a": "one", "c": "two"}).write_table(
            tmp_path / "map.parquet"
        )

    table = pq.read_table(tmp_path / "map.parquet")
    assert table.column("label").to_pylist() == ["one", None, "two", None]
    assert table.column("label_").to_pylist() == ["own", None, None, None]


def test_columns_never_take_the_names_of_the_map(tmp_path: Path) -> None:
    with retrieval.create(tmp_path / "rows", dim=4) as collection:
        collection.add(
            np.eye(4), ["a", "b", "c", "d"], columns=[{"x": 1, "label": "one"}, {"x": "two"}, {}, {}]
        )
        retrieval.map_images(collection).write_table(tmp_path / "map.parquet")

    table = pq.read_table(tmp_path / "map.parquet")
    assert table.column("x_").to_pylist() == ["1", "two", None, None]
    assert table.column("label").to_pylist() == ["one", None, None, None]
    assert table.schema.field("x").type == "float"
