"""Tables as sources: what they list, read, skip and recognise."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pytest

import retrieval
from retrieval.errors import ImageError, MissingExtra, OptionError, SourceIncomplete
from retrieval.sources import Seen, Skipped, SourceEntry, read_skipped
from retrieval.sources.tables import TableSource
from retrieval.testing import check_source
from tests.retrieval.folders import CountingEncoder, fill, picture

REASON = "the extra `tables` is not installed"
pa = pytest.importorskip("pyarrow", reason=REASON)
pq = pytest.importorskip("pyarrow.parquet", reason=REASON)

NAMES = [f"{number:02}.png" for number in range(24)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", NAMES)


def cells(photos: Path, names: list[str] = NAMES) -> list[dict[str, Any]]:
    return [{"bytes": (photos / name).read_bytes(), "path": name} for name in names]


def write(path: Path, images: list[Any], **columns: list[Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = len(images)
    table = pa.table({"image": images, "caption": [f"picture {row}" for row in range(rows)], **columns})
    pq.write_table(table, path, row_group_size=7)
    return path


@pytest.fixture
def table(tmp_path: Path, photos: Path) -> Path:
    ids = [f"id/{row}" for row in range(len(NAMES))]
    return write(tmp_path / "tables" / "rows.parquet", cells(photos), id=ids)


def keys_of(source: TableSource) -> list[str]:
    return [os.fsdecode(entry.key) for entry in source.entries(Seen()) if not isinstance(entry, Skipped)]


def skipped(source: TableSource) -> dict[str, str]:
    return {
        os.fsdecode(entry.key): entry.reason for entry in source.entries(Seen()) if isinstance(entry, Skipped)
    }


class TestContract:
    def test_a_parquet_file(self, table: Path, tmp_path: Path) -> None:
        check_source("table", str(table), memory=tmp_path / "memory")

    def test_with_a_key_column(self, table: Path, tmp_path: Path) -> None:
        check_source("table", str(table), options={"key_column": "id"}, memory=tmp_path / "memory")

    def test_a_folder_of_arrow_files(self, table: Path, tmp_path: Path) -> None:
        home = tmp_path / "saved"
        home.mkdir()
        for number in range(2):
            with pa.OSFile(str(home / f"{number}.arrow"), "wb") as file:
                part = pq.read_table(table).slice(12 * number, 12)
                with pa.ipc.new_stream(file, part.schema) as writer:
                    writer.write_table(part, max_chunksize=5)
        names = [f'{{"filename": "{number}.arrow"}}' for number in range(2)]
        (home / "state.json").write_text(f'{{"_data_files": [{", ".join(names)}]}}')
        (home / "dataset_info.json").write_text("{}")

        check_source("table", str(home), memory=tmp_path / "memory")
        assert keys_of(TableSource(str(home)))[::12] == ["0.arrow#0", "1.arrow#0"]

    def test_paths(self, photos: Path, tmp_path: Path) -> None:
        path = tmp_path / "paths.parquet"
        pq.write_table(pa.table({"file_name": [f"photos/{name}" for name in NAMES]}), path)

        check_source("table", str(path), memory=tmp_path / "memory")
        check_source("table", str(path), options={"key_column": "file_name"}, memory=tmp_path / "memory")

    def test_a_table_at_a_url(self, table: Path, tmp_path: Path) -> None:
        fsspec.filesystem("memory").pipe("/contract/rows.parquet", table.read_bytes())

        check_source("table", "memory://contract/rows.parquet", memory=tmp_path / "memory")
        assert keys_of(TableSource("memory://contract/*.parquet"))[0] == "rows.parquet#0"


class TestKeys:
    def test_of_a_glob_they_are_relative_to_its_fixed_part(self, photos: Path, tmp_path: Path) -> None:
        home = tmp_path / "shards"
        for name in ("a/01.parquet", "a/02.parquet", "b/01.parquet", "b/xx.parquet"):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            write(home / name, cells(photos, NAMES[:2]))

        assert keys_of(TableSource(f"{home}/*/{{01..02}}.parquet")) == [
            "a/01.parquet#0",
            "a/01.parquet#1",
            "a/02.parquet#0",
            "a/02.parquet#1",
            "b/01.parquet#0",
            "b/01.parquet#1",
        ]
        assert keys_of(TableSource(f"{home}/a/02.parquet")) == ["02.parquet#0", "02.parquet#1"]
        assert len(keys_of(TableSource(str(home)))) == 8

    def test_a_row_without_a_key_or_with_one_of_another_row_is_skipped(
        self, photos: Path, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "t.parquet", cells(photos, NAMES[:4]), id=[7, None, 7, 8])
        source = TableSource(str(path), key_column="id")

        assert keys_of(source) == ["7", "8"]
        assert skipped(source) == {"t.parquet#1": "no-key", "t.parquet#2": "repeated-key"}

    def test_several_columns_of_one_name_are_refused(self, photos: Path, tmp_path: Path) -> None:
        images = pa.array(cells(photos, NAMES[:2]))
        pq.write_table(pa.table([images, images], names=["image", "image"]), tmp_path / "t.parquet")

        with pytest.raises(OptionError, match="several columns called 'image'"):
            keys_of(TableSource(str(tmp_path / "t.parquet")))

    def test_columns_that_are_not_there(self, table: Path) -> None:
        for options in ({"key_column": "none"}, {"image_column": "none"}, {"column": ["none"]}):
            with pytest.raises(OptionError, match="no column 'none'"):
                keys_of(TableSource(str(table), **options))


def test_columns_are_handed_on(photos: Path, tmp_path: Path) -> None:
    features = b'{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'
    table = pa.table(
        {"image": cells(photos, NAMES[:2]), "label": [1, 0], "caption": ["x", None], "n": [3, 4]}
    )
    pq.write_table(table.replace_schema_metadata({b"huggingface": features}), tmp_path / "t.parquet")

    def columns(**options: Any) -> list[dict[str, Any]]:
        source = TableSource(str(tmp_path / "t.parquet"), **options)
        return [dict(source.columns(entry)) for entry in source.entries(Seen())]

    assert columns() == [{"caption": "x", "label": "dog"}, {"caption": None, "label": "cat"}]
    assert columns(column=["n"]) == [{"n": 3}, {"n": 4}]
    assert columns(column=[]) == [{}, {}]


def test_columns_of_other_kinds(photos: Path, tmp_path: Path) -> None:
    columns = {
        "price": ([Decimal("1.50"), None], [1.5, None]),
        "span": ([timedelta(seconds=90), None], ["0:01:30", None]),
        "day": ([date(2020, 1, 2), None], ["2020-01-02", None]),
        "parts": ([{"a": [1, None]}, None], ['{"a": [1, null]}', None]),
        "blob": ([b"\xff", None], [None, None]),
    }
    images = pa.array([cell["bytes"] for cell in cells(photos, NAMES[:2])]).dictionary_encode()
    given = {name: values for name, (values, _) in columns.items()}
    pq.write_table(pa.table({"image": images, **given}), tmp_path / "t.parquet")
    source = TableSource(str(tmp_path / "t.parquet"), column=list(columns))

    entries = list(source.entries(Seen()))

    assert [source.columns(entry) for entry in entries] == [
        {name: expected[row] for name, (_, expected) in columns.items()} for row in range(2)
    ]
    assert [source.read(entry) for entry in entries] == [(photos / name).read_bytes() for name in NAMES[:2]]


def test_text_that_is_no_utf8_is_handed_on_as_far_as_it_goes(photos: Path, tmp_path: Path) -> None:
    broken = pa.array([b"caf\xe9", b"x"]).view(pa.string())
    pq.write_table(pa.table({"image": cells(photos, NAMES[:2]), "caption": broken}), tmp_path / "t.parquet")
    source = TableSource(str(tmp_path / "t.parquet"))

    captions = [source.columns(entry)["caption"] for entry in source.entries(Seen())]

    assert captions == ["caf?", "x"]
    assert keys_of(TableSource(str(tmp_path / "t.parquet"), key_column="caption")) == ["caf\udce9", "x"]


class TestBuilds:
    def test_a_table_gives_what_its_folder_gives(
        self, photos: Path, table: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        retrieval.build_index(photos, encoder=encoder)
        retrieval.build_index(table, index=tmp_path / "index", encoder=encoder)

        with (
            retrieval.open(photos, encoder=encoder) as folder,
            retrieval.open(tmp_path / "index", encoder=encoder) as rows,
        ):
            assert (folder.vectors() == rows.vectors()).all()
            for seed in range(3):
                expected = [
                    (f"rows.parquet#{int(hit.path[:2])}", hit.score) for hit in folder.search(picture(seed))
                ]
                hits = rows.search(picture(seed))
                assert [(hit.path, hit.score) for hit in hits] == expected
            assert hits[0].link == f"{table}#2"
            assert hits[0].open().size == (48, 48)

    def test_again_only_what_changed(
        self, photos: Path, table: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        index = tmp_path / "index"
        retrieval.build_index(table, index=index, encoder=encoder)
        assert retrieval.build_index(index=index, encoder=encoder).encoded == 0

        write(table, [*cells(photos, NAMES[1:]), {"bytes": png(photos, 900), "path": None}])
        report = retrieval.build_index(index=index, encoder=encoder)

        assert (report.encoded, report.images) == (1, 24)
        assert retrieval.build_index(index=index, encoder=encoder).reused == 0

    def test_a_table_that_is_written_anew_with_the_same_rows_encodes_nothing(
        self, photos: Path, table: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        retrieval.build_index(table, index=tmp_path / "index", encoder=encoder)
        before = encoder.encoded
        pq.write_table(pq.read_table(table), table, row_group_size=24, compression="zstd")

        report = retrieval.build_index(table, index=tmp_path / "index", encoder=encoder)

        assert (encoder.encoded - before, report.encoded, report.removed) == (0, 0, 0)

    def test_nulls_and_what_is_no_image_are_skipped_with_a_reason(
        self, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        images = [
            *cells(photos, NAMES[:3]),
            None,
            {"bytes": None, "path": None},
            {"bytes": b"words", "path": "x"},
        ]
        path = write(tmp_path / "t.parquet", images)
        for _ in range(2):
            report = retrieval.build_index(path, index=tmp_path / "index", encoder=encoder)
            assert report.skipped_by_reason == {"empty": 2, "unreadable": 1}
        assert report.images == 3
        assert read_skipped(tmp_path / "index")[b"t.parquet#3"].detail == "row 3 holds no image"

    def test_one_damaged_table_removes_nothing(
        self, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        home = tmp_path / "tables"
        write(home / "a.parquet", cells(photos, NAMES[:12]))
        write(home / "b.parquet", cells(photos, NAMES[12:]))
        index, spec = tmp_path / "index", f"{home}/*.parquet"
        retrieval.build_index(spec, index=index, encoder=encoder)
        data = (home / "a.parquet").read_bytes()
        (home / "a.parquet").write_bytes(data[: len(data) // 2])
        (home / "b.parquet").unlink()
        write(home / "c.parquet", cells(photos, NAMES[:1]))

        report = retrieval.build_index(spec, index=index, encoder=encoder)

        assert (report.images, report.removed, report.not_seen) == (25, 0, 24)
        assert "a.parquet" in report.incomplete[0]
        assert read_skipped(index)[b"a.parquet"].reason == "unreadable"
        (home / "c.parquet").write_bytes(b"no table")
        with pytest.raises(OptionError, match="nothing was changed"):
            retrieval.build_index(spec, index=index, encoder=encoder)

    def test_a_damaged_page_removes_no_row(
        self, table: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        index = tmp_path / "index"
        retrieval.build_index(table, index=index, encoder=encoder)
        data = bytearray(table.read_bytes())
        data[4:3000] = bytes(2996)
        table.write_bytes(data)

        report = retrieval.build_index(index=index, encoder=encoder)

        assert set(report.skipped_by_reason) == {"read-error"}
        assert (report.images, report.removed) == (24, 0)

    def test_a_table_that_is_gone_stops_the_build(
        self, table: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        index = tmp_path / "index"
        retrieval.build_index(table, index=index, encoder=encoder)
        table.unlink()

        with pytest.raises(OptionError):
            retrieval.build_index(index=index, encoder=encoder)
        with retrieval.open(index, encoder=encoder) as rows:
            assert len(rows) == 24

    def test_a_missing_extra_removes_nothing(
        self, table: Path, tmp_path: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index = tmp_path / "index"
        retrieval.build_index(table, index=index, encoder=encoder)
        monkeypatch.setitem(sys.modules, "pyarrow", None)

        with pytest.raises(MissingExtra, match=r"pip install .*tables"):
            retrieval.build_index(index=index, encoder=encoder)
        with retrieval.open(index, encoder=encoder) as rows:
            assert len(rows) == 24

    def test_films_and_documents_that_a_table_names_are_listed_with_their_cure(
        self, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        index = tmp_path / "index"
        pq.write_table(pa.table({"path": ["00.png", "clip.MP4", "a/paper.pdf"]}), photos / "t.parquet")

        report = retrieval.build_index(photos / "t.parquet", index=index, encoder=encoder)

        assert (report.images, report.skipped_by_reason) == (1, {"unsupported-format": 2})
        assert "by a listing, with `every`" in read_skipped(index)[b"t.parquet#1"].detail

    def test_a_caption_that_changes_in_a_table_at_a_url_is_taken(
        self, photos: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        files, index = fsspec.filesystem("memory"), tmp_path / "index"
        files.pipe("/captions/0.png", (photos / NAMES[0]).read_bytes())
        for caption in ("a red bus", "a blue bus"):
            pq.write_table(pa.table({"image": ["0.png"], "caption": [caption]}), tmp_path / "t.parquet")
            files.pipe("/captions/t.parquet", (tmp_path / "t.parquet").read_bytes())
            report = retrieval.build_index("memory://captions/t.parquet", index=index, encoder=encoder)

        assert report.encoded == 0
        with retrieval.open(index, encoder=encoder) as rows:
            assert rows.columns([0])[0]["caption"] == "a blue bus"

    def test_it_is_stale_once_a_table_is_written(
        self, photos: Path, table: Path, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        index = tmp_path / "index"
        retrieval.build_index(table, index=index, encoder=encoder)
        with retrieval.open(index, encoder=encoder) as rows:
            assert not rows.changed()
            write(table, cells(photos, NAMES[:2]))
            assert rows.changed()


def png(photos: Path, seed: int) -> bytes:
    path = photos.parent / "other.png"
    picture(seed).save(path)
    return path.read_bytes()


class TestReading:
    def test_a_null_struct_of_bytes_is_read_from_its_path(self, photos: Path, tmp_path: Path) -> None:
        images = [{"bytes": None, "path": f"photos/{name}"} for name in NAMES[:2]]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        pq.write_table(pa.table({"image": pa.array(images, kind)}), tmp_path / "t.parquet")
        source = TableSource(str(tmp_path / "t.parquet"))

        entries = list(source.entries(Seen()))

        assert [source.read(entry) for entry in entries] == [
            (photos / name).read_bytes() for name in NAMES[:2]
        ]
        assert int.from_bytes(entries[0].stamp[:8], "little") == (photos / NAMES[0]).stat().st_size

    def test_a_row_that_is_gone_since_it_was_listed_is_no_reason_to_remove_it(
        self, photos: Path, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "t.parquet", cells(photos, NAMES[:4]))
        entries = list(TableSource(str(path)).entries(Seen()))
        write(path, cells(photos, NAMES[:1]))

        with pytest.raises(ImageError, match="has changed since it was listed") as changed:
            TableSource(str(path)).read(entries[3])
        assert changed.value.reason == "read-error"
        with pytest.raises(ImageError) as gone:
            TableSource(str(path)).read(SourceEntry(entries[3].key, entries[3].stamp))
        assert gone.value.reason == "vanished"

    def test_urls_are_guarded(self, tmp_path: Path) -> None:
        pytest.importorskip("aiohttp")
        pq.write_table(pa.table({"url": ["http://127.0.0.1:9/a.png"]}), tmp_path / "t.parquet")
        source = TableSource(str(tmp_path / "t.parquet"))

        with pytest.raises(ImageError) as refused:
            source.read(next(source.entries(Seen())))
        assert refused.value.reason == "private-address"

    def test_a_table_from_elsewhere_names_no_file_of_this_machine(self, photos: Path, tmp_path: Path) -> None:
        table = pa.table(
            {"path": [str(photos / NAMES[0]), f"file://{photos / NAMES[0]}", "beside.png", None]}
        )
        pq.write_table(table, tmp_path / "t.parquet")
        fsspec.filesystem("memory").pipe("/away/t.parquet", (tmp_path / "t.parquet").read_bytes())
        fsspec.filesystem("memory").pipe("/away/beside.png", b"picture")
        source = TableSource("memory://away/t.parquet")

        assert skipped(source) == {
            "t.parquet#0": "unreadable",
            "t.parquet#1": "unreadable",
            "t.parquet#3": "empty",
        }
        (entry,) = [entry for entry in source.entries(Seen()) if not isinstance(entry, Skipped)]
        assert source.read(entry) == b"picture"

    def test_a_table_that_breaks_off_is_incomplete(
        self, table: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("retrieval.sources.tables.source._AT_ONCE", 5)
        source = TableSource(str(table), key_column="id")
        kind = type(source._set.opened(source._set.tables[0]).file)
        real = kind.batches

        def batches(self: Any, *args: Any, **options: Any) -> Any:
            for number, batch in enumerate(real(self, *args, **options)):
                if number == 2:
                    raise ImageError("damaged", reason="unreadable", what="damaged")
                yield batch

        monkeypatch.setattr(kind, "batches", batches)
        listed = []

        with pytest.raises(SourceIncomplete):  # noqa: PT012 -- what comes before it matters
            for entry in source.entries(Seen()):
                listed.append(entry)  # noqa: PERF402
        assert len(listed) == 11


def test_nothing_is_imported_until_it_is_used(photos: Path) -> None:
    code = (
        "import sys, retrieval; from retrieval.testing import FakeEncoder\n"
        f"from retrieval.sources import open_spec; open_spec({str(photos)!r}); open_spec('a.parquet'); open_spec('http://x/')\n"
        "print([name for name in ('pyarrow', 'duckdb', 'fsspec', 'aiohttp') if name in sys.modules])\n"
        f"retrieval.build_index({str(photos)!r}, encoder=FakeEncoder(), progress=False)\n"
        "print([name for name in ('fsspec', 'aiohttp') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n[]\n"
