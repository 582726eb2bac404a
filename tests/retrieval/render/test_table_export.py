"""A collection as one table: keys, vectors and columns, as other programs read them."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import retrieval
from retrieval.cli import main
from retrieval.errors import MissingExtra
from tests.retrieval.columns.galleries import store_rows

ROWS = [
    {"width": 3, "label": "cat", "taken": "2019-06-01T10:00:00"},
    {"label": "dog", "id": 5, "key": "k", "vector": "v", "vector_": True},
    {"score": 0.5},
]


@pytest.fixture
def folder(tmp_path):
    """Return a collection of three rows with columns, one of them deleted by a later one."""
    store_rows(tmp_path / "photos", ROWS)
    with retrieval.open(tmp_path / "photos") as photos:
        photos.add(np.ones((1, 8)), ["mine"])
    return tmp_path / "photos"


def test_a_table_has_a_row_for_each_live_row_in_order(folder):
    with retrieval.open(folder) as photos:
        photos.delete("mine")
        table = photos.to_arrow()

    assert table.column("id").to_pylist() == [0, 1, 2]
    assert table.column("key").to_pylist() == ["0", "1", "2"]
    assert table.column("label").to_pylist() == ["cat", "dog", None]
    assert table.column("width").to_pylist() == [3, None, None]
    assert table.column("taken").type == pa.timestamp("us")
    assert table.column("id_").to_pylist() == [None, 5, None]
    assert table.column("key_").to_pylist() == [None, "k", None]
    assert table.column("vector_").to_pylist() == [None, True, None]
    assert table.column("vector__").to_pylist() == [None, "v", None]


def test_the_exported_file_holds_keys_vectors_and_columns(folder, tmp_path, capfd):
    target = tmp_path / "photos.parquet"
    assert main(["export", "--vectors", str(target), "--index", str(folder), "--json"]) == 0
    table = pq.read_table(target)
    with retrieval.open(folder) as photos:
        vectors, keys = photos.export()

    assert json.loads(capfd.readouterr().out)["rows"] == len(keys) == 4
    assert table.column("key").to_pylist() == keys
    np.testing.assert_array_equal(np.stack(table.column("vector").to_numpy()), vectors.astype(np.float32))
    assert table.column("label").to_pylist() == ["cat", "dog", None, None]
    assert table.column("score").to_pylist() == [None, None, 0.5, None]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["--vectors", "v.npy"], "--keys"), (["--vectors", "v.parquet", "--keys", "k.txt"], "leave --keys out")],
)
def test_a_table_has_its_keys_and_an_array_needs_them(folder, capfd, arguments, word):
    assert main(["export", *arguments, "--index", str(folder)]) == 2
    assert word in capfd.readouterr().err


def test_without_pyarrow_the_extra_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with retrieval.open(folder) as photos, pytest.raises(MissingExtra, match="tables"):
        photos.to_arrow()


def test_info_names_the_columns_and_their_types(folder):
    with retrieval.open(folder) as photos:
        assert photos.info()["columns"] == {
            "id": "integer",
            "key": "text",
            "label": "text",
            "score": "number",
            "taken": "time",
            "vector": "text",
            "vector_": "boolean",
            "width": "integer",
        }
