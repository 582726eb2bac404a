from __future__ import annotations

import io
from typing import Any

import pytest

from retrieval.errors import OptionError
from retrieval.sources.listings import Line, is_listing_name, read_lines


def read(data: bytes, name: str, **options: Any) -> list[Line]:
    return list(read_lines(io.BytesIO(data), name, **options))


def places(data: bytes, name: str, **options: Any) -> list[bytes]:
    return [line.place for line in read(data, name, **options)]


class TestText:
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"a.jpg\nb c.jpg\n", [b"a.jpg", b"b c.jpg"]),
            (b"a.jpg\nb.jpg", [b"a.jpg", b"b.jpg"]),
            (b"\xef\xbb\xbfa.jpg\r\n\r\nb.jpg\r\n", [b"a.jpg", b"b.jpg"]),
            (b"#1.jpg\n# not a comment\n", [b"#1.jpg", b"# not a comment"]),
            (b"\xff.jpg\nhttps://h/a.jpg?b=1\n", [b"\xff.jpg", b"https://h/a.jpg?b=1"]),
            (b" a.jpg \n", [b" a.jpg "]),
            (b"", []),
            (b"\n\n", []),
        ],
    )
    def test_a_line_is_a_place(self, data: bytes, expected: list[bytes]) -> None:
        assert places(data, "list.txt") == expected

    def test_nul_ends_a_line_if_that_is_said(self) -> None:
        assert places(b"a\nb.jpg\0c\r.jpg\0", "-", from0=True) == [b"a\nb.jpg", b"c\r.jpg"]
        with pytest.raises(OptionError, match="from0"):
            places(b"a.jpg\0b.jpg\0", "-")

    def test_a_line_longer_than_what_is_read_at_once(self) -> None:
        assert places(b"x" * 200_000 + b"\ny", "list") == [b"x" * 200_000, b"y"]
        with pytest.raises(OptionError, match="no listing"):
            places(b"x" * 2_000_000, "list")

    def test_it_has_no_columns(self) -> None:
        with pytest.raises(OptionError, match="no columns"):
            read(b"a", "list.txt", wanted=["caption"])


class TestTables:
    def test_columns_are_handed_on_with_their_types(self) -> None:
        data = b'id,File,caption,w,r,n\r\n7,a.jpg,"a, ""b""\r\nc",640,0.5,3\r\n007,b.jpg,,,12,x\r\n'

        lines = read(data, "list.CSV", wanted=["id", "caption", "w", "r", "n"])

        assert [line.place for line in lines] == [b"a.jpg", b"b.jpg"]
        assert lines[0].columns == {"id": "7", "caption": 'a, "b"\r\nc', "w": 640, "r": 0.5, "n": "3"}
        assert lines[1].columns == {"id": "007", "caption": None, "w": None, "r": 12, "n": "x"}

    def test_a_sentence_tells_of_each_column_that_is_not_what_it_looks_like(self) -> None:
        data = b"file,year,id,note\na,1986,186,1\nb,nan,007,x\nc,,191,y\n"
        told: list[str] = []

        read(data, "list.csv", wanted=["year", "id", "note"], tell=told.append)

        assert [one.partition(" ")[0] for one in told] == ["list.csv:", "list.csv:"]
        assert "column year is of numbers; 1 cell says that there is none, such as 'nan' in line 3" in told[0]
        assert "column id is text, though 2 of 3 cells are numbers: line 3 has '007'" in told[1]

    def test_a_file_is_read_from_where_it_stands(self) -> None:
        file = io.BytesIO(b"what stands before\nfile,n\na,1\nb,2\n")
        file.readline()

        lines = list(read_lines(file, "list.csv", wanted=["n"]))

        assert [(line.number, line.place, line.columns) for line in lines] == [
            (2, b"a", {"n": 1}),
            (3, b"b", {"n": 2}),
        ]

    def test_empty_lines_come_before_a_header_too(self) -> None:
        lines = read(b"\n\nfile,n\n\na,1\n", "list.csv", wanted=["n"])

        assert [(line.number, line.place, line.columns) for line in lines] == [(5, b"a", {"n": 1})]
        assert read(b"\n\n", "list.csv") == []

    def test_tabs(self) -> None:
        assert places(b"n\turl\n1\ts3://b/a.jpg\n", "list.tsv") == [b"s3://b/a.jpg"]

    def test_a_single_column_needs_no_header(self) -> None:
        assert places(b"a.jpg\nb.jpg\n", "list.csv") == [b"a.jpg", b"b.jpg"]
        assert places(b"path\nb.jpg\n", "list.csv") == [b"b.jpg"]

    def test_bytes_that_are_not_utf8_stay(self) -> None:
        assert places(b"file,x\n\xff.jpg,1\n", "list.csv") == [b"\xff.jpg"]

    def test_a_line_without_a_file_is_a_fault(self) -> None:
        lines = read(b"x,file\n1,\n2\n3,c.jpg\n", "list.csv")

        assert [(line.number, line.place, bool(line.fault)) for line in lines] == [
            (2, b"", True),
            (3, b"", True),
            (4, b"c.jpg", False),
        ]

    def test_columns_that_are_not_there(self) -> None:
        for options in ({"column": "photo"}, {"wanted": ["caption"]}):
            with pytest.raises(OptionError, match="it has file, x"):
                read(b"file,x\na,1\n", "list.csv", **options)
        with pytest.raises(OptionError, match="image_column"):
            read(b"a,b\n1,2\n", "list.csv")
        assert places(b"a,b\n1,2\n", "list.csv", column="b") == [b"2"]

    def test_utf16_is_refused(self) -> None:
        with pytest.raises(OptionError, match="UTF-16"):
            read("file,x\na,1\n".encode("utf-16"), "list.csv")

    def test_an_unbalanced_quote_is_an_error_of_one_line(self) -> None:
        with pytest.raises(OptionError, match="cannot be read"):
            read(b'file,x\n"' + b"a" * 200_000, "list.csv")


class TestJson:
    def test_objects_and_texts(self) -> None:
        data = b'{"file_name": "a.jpg", "n": 2, "box": [1, 2], "ok": true}\r\n\n"b.jpg"\n'

        lines = read(data, "metadata.jsonl", wanted=["n", "box", "ok"])

        assert [line.place for line in lines] == [b"a.jpg", b"b.jpg"]
        assert lines[0].columns == {"n": 2, "box": "[1, 2]", "ok": True}
        assert lines[1].columns == {"n": None, "box": None, "ok": None}

    def test_faults(self) -> None:
        lines = read(b'{"file": \n[1]\n{"x": 1}\n{"file": 3}\n{"file": "a"}\n', "list.ndjson")

        assert [bool(line.fault) for line in lines] == [True, True, True, True, False]
        assert all("\n" not in line.fault for line in lines)

    def test_the_column_that_is_named(self) -> None:
        lines = read(b'{"file": "a", "small": "b"}\n{"file": "a"}\n', "list.jsonl", column="small")

        assert [(line.place, bool(line.fault)) for line in lines] == [(b"b", False), (b"", True)]


def test_names_of_listings() -> None:
    for name in ("a.txt", "a.CSV", "https://h/a.jsonl?b=1", "x/list.lst"):
        assert is_listing_name(name)
    for name in ("a.jpg", "photos", "a.parquet", "-"):
        assert not is_listing_name(name)
