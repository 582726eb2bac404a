"""What the guides promise of tables, asked from outside: by the command, or in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retrieval
from tests.retrieval.promises.sources.places import NAMES, build, cut, keys, members, photos, skipped, table
from tests.retrieval.sources.tar.archives import png


class TestTables:
    def test_rows_without_an_image_are_lines_with_their_reason(self) -> None:
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.table({"image": [png(1), None, b"", b"<html>"]}), "t.parquet")

        report = build("t.parquet")

        assert (report.images, report.skipped) == (1, 3)
        assert skipped() == {"t.parquet#1": "empty", "t.parquet#2": "empty", "t.parquet#3": "unreadable"}

    @pytest.mark.parametrize("form", ["feather", "arrow"])
    def test_arrow_files_are_read(self, form: str) -> None:
        pa, feather = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.feather")
        rows = pa.table({"jpeg": [data for _, data in members()], "label": list(range(8))})
        if form == "feather":
            feather.write_feather(rows, "t.feather")
        else:
            with pa.OSFile("t.arrow", "wb") as file, pa.ipc.new_stream(file, rows.schema) as writer:
                writer.write_table(rows)

        assert build(f"t.{form}").images == 8
        with retrieval.open("index") as found:
            assert found.columns([found.id_of(f"t.{form}#3")])[0]["label"] == 3

    def test_a_folder_of_tables_is_named_by_its_type(self) -> None:
        Path("data").mkdir()
        table("data/a.parquet", NAMES[:4])
        table("data/b.parquet", NAMES[4:])

        assert build("table:data").images == 8
        assert keys()[0] == "a.parquet#0"

    @pytest.mark.parametrize("column", ["path", "url"])
    def test_a_table_may_hold_paths(self, column: str) -> None:
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        photos()
        Path("lists").mkdir()
        parquet.write_table(pa.table({column: [f"../photos/{name}" for name in NAMES]}), "lists/t.parquet")

        assert build("lists/t.parquet").images == 8

    def test_two_rows_of_one_key_are_not_both_taken(self) -> None:
        build(table(name=["same"] * 8), key_column="name")

        assert keys() == ["same"]
        assert sum(1 for reason in skipped().values() if reason == "repeated-key") == 7

    def test_one_damaged_table_of_several_deletes_nothing(self) -> None:
        Path("data").mkdir()
        table("data/a.parquet", NAMES[:4])
        table("data/b.parquet", NAMES[4:])
        build("data/*.parquet")
        cut(Path("data/b.parquet"), 0.5)

        report = build()

        assert (report.removed, report.not_seen, report.images) == (0, 4, 8)

    def test_what_datasets_writes_gives_the_vectors_of_its_folder(self) -> None:
        datasets = pytest.importorskip("datasets")
        photos()
        rows = datasets.Dataset.from_dict(
            {"image": [f"photos/{name}" for name in NAMES], "label": [0] * 4 + [1] * 4},
            features=datasets.Features(
                {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cats", "dogs"])}
            ),
        )
        rows.to_parquet("photos.parquet")
        rows.save_to_disk("saved")
        build("photos", index="folder")
        with retrieval.open("folder") as found:
            expected = found.vectors(NAMES)
        for place in ("photos.parquet", "saved"):
            build(place, index=f"{place}-index")
            with retrieval.open(f"{place}-index") as found:
                assert np.array_equal(found.vectors(), expected)
                assert [known["label"] for known in found.columns(range(8))] == ["cats"] * 4 + ["dogs"] * 4
