"""What the guides promise of columns, asked from outside: by the command, or in Python."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

import retrieval
from retrieval.errors import RetrievalError
from tests.retrieval.folders import picture
from tests.retrieval.promises.sources.places import NAMES, build, photos, table


class TestColumns:
    @pytest.fixture
    def tables(self) -> str:
        pytest.importorskip("duckdb")
        return table(
            name=NAMES,
            caption=[f"a {name.split('/')[0][:-1]}" for name in NAMES],
            year=list(range(2010, 2018)),
        )

    @pytest.fixture
    def _built(self, tables: str) -> None:
        build(tables, key_column="name", column=["caption", "year"])

    @pytest.mark.usefixtures("_built")
    def test_columns_come_back_in_hits_exports_and_info(self, run) -> None:
        expected = {"caption": "a cat", "year": 2013, "width": 48, "height": 48}
        _, out, _ = run("query", "red", "--index", "index", "--ids", "cats/3.png", "--json")
        assert expected.items() <= json.loads(out)[0]["columns"].items()
        _, out, _ = run("query", "red", "--index", "index", "--ids", "cats/3.png", "--jsonl")
        assert expected.items() <= json.loads(out)["columns"].items()
        _, out, _ = run("query", "red", "--index", "index", "--ids", "cats/3.png", "--csv")
        row = next(csv.DictReader(io.StringIO(out)))
        assert {name: str(value) for name, value in expected.items()}.items() <= row.items()
        _, out, _ = run("info", "--index", "index")
        assert all(name in out for name in (*expected, "bytes"))
        _, out, _ = run("info", "--index", "index", "--json")
        assert all(name in out for name in (*expected, "bytes"))

    @pytest.mark.usefixtures("_built")
    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ("year >= 2016", NAMES[6:]),
            ("YEAR < 2012 AND caption = 'a cat'", NAMES[:2]),
            ("caption LIKE '%dog' AND NOT year IN (2014, 2015)", NAMES[6:]),
            ("width > 2000", []),
            ("taken >= '2019-06-01' OR latitude > 0 OR Camera = 'Maker'", []),
            ("taken IS NULL AND year BETWEEN 2012 AND 2013", NAMES[2:4]),
            ("upper(caption) = 'A DOG' OR year + 1 = 2011", [NAMES[0], *NAMES[4:]]),
        ],
    )
    def test_where_filters_inside_the_search(self, run, condition: str, expected: list[str]) -> None:
        status, out, err = run(
            "query", "red", "--index", "index", "--where", condition, "--json", "--names", "off"
        )
        assert (status, sorted(hit["path"] for hit in json.loads(out))) == (0, sorted(expected)), err
        with retrieval.open("index") as rows:
            assert sorted(hit.path for hit in rows.search("red", where=condition)) == sorted(expected)
            flags = rows.mask(where=condition)
            assert sorted(key for key, flag in zip(rows, flags, strict=True) if flag) == sorted(expected)
            assert sorted(hit.path for hit in rows.search("red", where=flags)) == sorted(expected)

    @pytest.mark.usefixtures("_built")
    @pytest.mark.parametrize(
        ("condition", "word"),
        [
            ("colour = 'red'", "colour"),
            ("year > (SELECT 1)", "SELECT"),
            ("EXISTS (SELECT * FROM read_csv('/etc/passwd'))", "SELECT"),
            ("read_text('/etc/passwd') = ''", "read_text"),
            ("getenv('HOME') = ''", "getenv"),
            ("current_setting('threads') = '1'", "current_setting"),
            ("true; ATTACH 'x.db'", ";"),
            ("year = 1) OR (true", ")"),
            ("", ""),
        ],
    )
    def test_what_is_no_condition_over_columns_is_an_error_that_names_the_word(
        self, run, condition, word
    ) -> None:
        status, out, err = run("query", "red", "--index", "index", "--where", condition)

        assert (status, out) == (1, "")
        assert word.lower() in err.lower()
        assert len(err.splitlines()) == 1
        with retrieval.open("index") as rows, pytest.raises(RetrievalError):
            rows.search("red", where=condition)

    @pytest.mark.usefixtures("_built")
    def test_a_changed_caption_encodes_nothing(self) -> None:
        table(name=NAMES, caption=["something else"] * 8, year=list(range(8)))

        report = build()

        assert (report.encoded, report.removed) == (0, 0)
        with retrieval.open("index") as rows:
            assert {known["caption"] for known in rows.columns(range(8))} == {"something else"}
            assert len(rows.search("red", where="year = 5")) == 1

    @pytest.mark.usefixtures("_built")
    def test_a_new_column_encodes_nothing(self) -> None:
        table(name=NAMES, caption=["x"] * 8, year=[1] * 8, mood=["glad"] * 8)

        assert build("photos.parquet", column=["mood"]).encoded == 0
        with retrieval.open("index") as rows:
            assert {known["mood"] for known in rows.columns(range(8))} == {"glad"}

    def test_an_older_collection_gets_the_columns_of_its_files_without_encoding(self) -> None:
        photos()
        build("photos", headers=False)
        with retrieval.open("index") as rows:
            assert rows.columns([0]) == [{}]

        assert build().encoded == 0
        with retrieval.open("index") as rows:
            assert rows.columns([0]) == [{}]
        assert build(headers=True).encoded == 0
        with retrieval.open("index") as rows:
            assert {known["width"] for known in rows.columns(range(8))} == {48}

    def test_the_camera_says_time_and_place(self) -> None:
        from PIL import Image

        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Maker", "Model 1"
        exif.get_ifd(0x8769)[0x9003] = "2019:07:14 09:30:00"
        exif.get_ifd(0x8825).update({1: "S", 2: (10.0, 30.0, 0.0), 3: "E", 4: (20.0, 0.0, 0.0)})
        Path("photos").mkdir()
        picture(1).save("photos/a.jpg", exif=exif)
        build("photos")
        with retrieval.open("index") as rows:
            known = rows.search("red", k=1)[0].columns
            assert known["taken"].startswith("2019-07-14T09:30") or known["taken"].startswith(
                "2019-07-14 09:30"
            )
            assert (known["latitude"], known["longitude"]) == (pytest.approx(-10.5), pytest.approx(20))
            assert "Model 1" in known["camera"]
            pytest.importorskip("duckdb")
            assert len(rows.search("red", where="taken >= '2019-06-01' AND latitude < 0")) == 1
            assert len(rows.search("red", where="taken >= '2020-01-01'")) == 0

    @pytest.mark.usefixtures("_built")
    def test_verify_finds_damage_in_columns_and_names(self, run) -> None:
        assert run("verify", "--index", "index")[0] == 0
        for name in ("columns.arrow", "names.sqlite"):
            (file,) = Path("index").rglob(name)
            whole = file.read_bytes()
            middle = len(whole) // 2
            file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
            status, out, err = run("verify", "--index", "index")
            assert (status, name in out + err) == (1, True)
            file.write_bytes(whole)
