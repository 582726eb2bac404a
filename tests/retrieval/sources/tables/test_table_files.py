from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import fsspec
import pytest

from retrieval.errors import ImageError, OptionError
from retrieval.sources.remote import RemoteFiles
from retrieval.sources.tables import RowWindow, cell_of, find_image_column, open_table, tables_in
from retrieval.sources.tables.image_column import class_names, plain_value
from retrieval.sources.tables.layouts import is_saved_dataset

REASON = "the extra `tables` is not installed"
pa = pytest.importorskip("pyarrow", reason=REASON)
pq = pytest.importorskip("pyarrow.parquet", reason=REASON)
feather = pytest.importorskip("pyarrow.feather", reason=REASON)

ROWS = 57
IMAGES = [bytes([number]) * (number + 1) if number % 10 else None for number in range(ROWS)]
KINDS = ["parquet", "arrow", "stream.arrow", "feather", "large.parquet"]


def table() -> pa.Table:
    structs = [
        {"bytes": data, "path": f"{number}.png"} if number != 20 else None
        for number, data in enumerate(IMAGES)
    ]
    return pa.table(
        {
            "image": pa.array(structs, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            "number": list(range(ROWS)),
        }
    )


def write(path: Path, kind: str, data: pa.Table) -> Path:
    path = path / f"rows.{kind}"
    if kind == "large.parquet":
        pq.write_table(data, path)
    elif kind.endswith("parquet"):
        pq.write_table(data, path, row_group_size=10)
    elif kind == "feather":
        feather.write_feather(data, str(path), chunksize=9)
    else:
        new = pa.ipc.new_stream if kind.startswith("stream") else pa.ipc.new_file
        with pa.OSFile(str(path), "wb") as file, new(file, data.schema) as writer:
            writer.write_table(data, max_chunksize=9)
    return path


def expected(row: int) -> bytes | str | None:
    if row == 20:
        return None
    return IMAGES[row] if IMAGES[row] is not None else f"{row}.png"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["forward", "random"])
def test_rows_in_any_order(tmp_path: Path, kind: str, order: str) -> None:
    opened = open_table(str(write(tmp_path, kind, table())))
    column = find_image_column(opened.schema)
    window = RowWindow(opened, column.leaves, row_bytes=2 << 20)  # four rows at a time
    rows = list(range(ROWS))
    if order == "random":
        random.Random(1).shuffle(rows)

    for row in rows:
        batch, place = window.find(row)
        assert cell_of(batch.column("image"), place) == expected(row)
    with pytest.raises(LookupError):
        window.find(ROWS)
    assert sum(group.rows for group in opened.groups) == ROWS
    opened.close()


@pytest.mark.parametrize("kind", ["parquet", "stream.arrow"])
def test_several_threads_read(tmp_path: Path, kind: str) -> None:
    opened = open_table(str(write(tmp_path, kind, table())))
    window = RowWindow(opened, ("image",), row_bytes=2 << 20)
    results: dict[int, Any] = {}

    def read(first: int) -> None:
        for row in range(first, ROWS, 4):
            batch, place = window.find(row)
            results[row] = cell_of(batch.column("image"), place)

    threads = [threading.Thread(target=read, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {row: expected(row) for row in range(ROWS)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_remote_table_is_read_as_a_local_one(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, table())
    files = fsspec.filesystem("memory")
    files.pipe("/tables/rows.x", path.read_bytes())
    remote = RemoteFiles().open("memory://tables/rows.x")

    opened = open_table(str(path), remote)
    window = RowWindow(opened, ("image",), row_bytes=1000)
    found = [cell_of(batch.column("image"), place) for batch, place in map(window.find, range(ROWS))]

    assert found == [expected(row) for row in range(ROWS)]


def test_of_a_large_row_group_little_is_held(tmp_path: Path) -> None:
    """A row group of 64 MB is streamed."""
    noise = random.Random(1)
    data = pa.table({"image": pa.array([noise.randbytes(1 << 20) for _ in range(64)], pa.binary())})
    pq.write_table(
        data,
        tmp_path / "large.parquet",
        row_group_size=64,
        use_dictionary=False,
        data_page_size=1 << 20,
        write_batch_size=1,
    )
    del data
    opened = open_table(str(tmp_path / "large.parquet"))
    window = RowWindow(opened, ("image",), row_bytes=opened.column_bytes("image") // 64)
    before, peak = pa.total_allocated_bytes(), 0

    for row in range(64):
        window.find(row)
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < 48 << 20


def test_sizes_and_nulls_are_told_without_reading(tmp_path: Path) -> None:
    places = pa.table(
        {"image": pa.array([{"bytes": None, "path": "a"}] * 9, table().schema.field("image").type)}
    )
    for kind in KINDS:
        home = tmp_path / kind
        home.mkdir()
        opened = open_table(str(write(home, kind, table())))
        assert 500 < opened.column_bytes("image.bytes") < 6000
        assert not opened.is_null("image.bytes")
        assert open_table(str(write(home, kind, places))).is_null("image.bytes")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_short_or_none_is_an_error_of_one_line(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, table())
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], b"no table", b""):
        path.write_bytes(broken)
        with pytest.raises(ImageError) as refused:  # noqa: PT012 -- a stream is found out when it is read
            opened = open_table(str(path))
            list(opened.batches(("image",), first=0, size=10))
        assert refused.value.reason == "unreadable"
        assert "\n" not in str(refused.value)
    with pytest.raises(ImageError) as gone:
        open_table(str(tmp_path / f"none.{kind}"))
    assert gone.value.reason == "vanished"
    os.mkfifo(tmp_path / f"pipe.{kind}")
    with pytest.raises(ImageError, match="is not a regular file") as pipe:
        open_table(str(tmp_path / f"pipe.{kind}"))
    assert pipe.value.reason == "not-a-file"


def test_damaged_offsets_lead_out_of_no_file(tmp_path: Path) -> None:
    """Arrow does not look at them by itself."""
    offsets = pa.py_buffer(b"".join(number.to_bytes(4, "little") for number in (0, 3, 1 << 29, 9)))
    array = pa.Array.from_buffers(pa.binary(), 3, [None, offsets, pa.py_buffer(b"abcdefghi")])
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file:
        batch = pa.record_batch([array], names=["image"])
        with pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
    window = RowWindow(open_table(str(tmp_path / "t.arrow")), ("image",), row_bytes=10)

    with pytest.raises(ImageError, match="no table that can be read"):
        window.find(1)


CUT = """
import os, sys
from retrieval.errors import ImageError
from retrieval.sources.tables.table_files import open_table
opened = open_table(sys.argv[1])
batches = opened.batches(["image"], first=0, size=3)
next(batches)
os.truncate(sys.argv[1], 100)
try:
    list(batches)
except ImageError as error:
    print(error.reason, error)
"""


@pytest.mark.parametrize("kind", ["arrow", "stream.arrow"])
def test_a_mapped_file_that_is_cut_while_it_is_read_does_not_end_the_process(
    tmp_path: Path, kind: str
) -> None:
    big = pa.table({"image": [os.urandom(20_000) for _ in range(ROWS)]})
    path = write(tmp_path, kind, big)

    done = subprocess.run([sys.executable, "-c", CUT, path], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"read-error {path}: was cut from ")


class TestColumns:
    @pytest.mark.parametrize(
        ("types", "name"),
        [
            ({"a": pa.int64(), "jpg": pa.binary(), "z": pa.binary()}, "jpg"),
            ({"a": pa.string(), "blob": pa.large_binary()}, "blob"),
            ({"Image": pa.struct([("bytes", pa.binary())]), "b": pa.binary()}, "Image"),
            ({"URL": pa.string(), "TEXT": pa.string()}, "URL"),
            ({"text": pa.string(), "path": pa.large_string()}, "path"),
            ({"path": pa.dictionary(pa.int32(), pa.string())}, "path"),
            ({"md5": pa.binary(16), "png": pa.binary()}, "png"),
        ],
    )
    def test_it_is_guessed_by_type_and_name(self, types: dict[str, pa.DataType], name: str) -> None:
        assert find_image_column(pa.schema(types)).name == name

    def test_what_datasets_declares_comes_first(self) -> None:
        features = b'{"info": {"features": {"photo": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        schema = pa.schema({"image": kind, "photo": kind, "label": pa.int64()}, {b"huggingface": features})

        assert find_image_column(schema).name == "photo"
        assert find_image_column(schema, wanted="image").name == "image"
        assert class_names(schema) == {"label": ["cat", "dog"]}

    def test_none_is_an_error_that_names_the_columns(self) -> None:
        with pytest.raises(OptionError, match="'a', 'b'"):
            find_image_column(pa.schema({"a": pa.binary(), "b": pa.binary(), "n": pa.int64()}))
        with pytest.raises(OptionError, match="'n'"):
            find_image_column(pa.schema({"n": pa.int64()}))
        with pytest.raises(OptionError, match="int64"):
            find_image_column(pa.schema({"n": pa.int64()}), wanted="n")
        with pytest.raises(OptionError, match="no column 'm'"):
            find_image_column(pa.schema({"n": pa.int64()}), wanted="m")

    def test_cells_become_plain_values(self) -> None:
        values = pa.array([1]).cast(pa.timestamp("s"))[0].as_py()

        assert plain_value(values) == "1970-01-01T00:00:01"
        assert plain_value(1, ["cat", "dog"]) == "dog"
        assert plain_value(7, ["cat", "dog"]) == 7
        assert plain_value([1, {"a": None}]) == '[1, {"a": null}]'
        assert plain_value(b"x") is None


class TestLayouts:
    def test_tables_of_a_folder_are_sorted(self, tmp_path: Path) -> None:
        for name in (
            "b/2.parquet",
            "a.arrow",
            "b/1.PARQUET",
            ".hidden/x.parquet",
            "b/.y.parquet",
            "readme.md",
        ):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.touch()

        assert tables_in(tmp_path) == ["a.arrow", "b/1.PARQUET", "b/2.parquet"]
        with pytest.raises(OptionError, match="cannot be listed"):
            tables_in(tmp_path / "none")

    def test_a_saved_dataset_names_its_files(self, tmp_path: Path) -> None:
        for split in ("train", "test"):
            home = tmp_path / split
            home.mkdir()
            (home / "state.json").write_text(
                '{"_data_files": [{"filename": "b.arrow"}, {"filename": "a.arrow"}]}'
            )
            (home / "dataset_info.json").write_text("{}")
            (home / "cache-1.arrow").touch()
        assert tables_in(tmp_path / "train") == ["b.arrow", "a.arrow"]
        assert is_saved_dataset(tmp_path / "train")
        assert not is_saved_dataset(tmp_path)

        (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
        assert tables_in(tmp_path) == ["train/b.arrow", "train/a.arrow", "test/b.arrow", "test/a.arrow"]

    @pytest.mark.parametrize("state", ["{", "[]", '{"_data_files": [{"filename": "../../a.arrow"}]}'])
    def test_a_damaged_one_is_refused(self, tmp_path: Path, state: str) -> None:
        (tmp_path / "state.json").write_text(state)
        (tmp_path / "dataset_info.json").write_text("{}")

        with pytest.raises(OptionError, match="save the dataset again"):
            tables_in(tmp_path)
