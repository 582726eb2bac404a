"""What is printed: exact forms, and names that try to do harm."""

import base64
import csv
import io
import json
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from retrieval.display.escaping import escape, path_json
from retrieval.display.widths import cells, shorten
from retrieval.render.output import (
    Form,
    fields,
    hit_json,
    hits,
    json_text,
    replacing,
    table,
)
from tests.retrieval.render.fake_hit import FakeHit

BAD = os.fsdecode(b"a/b\xff\xfe.jpg")
HOSTILE = [
    "new\nline.jpg",
    "esc\x1b[31m\x1b]0;title\x07.jpg",
    "c1\x9b31m.jpg",
    "del\x7f.jpg",
    "carriage\rreturn.jpg",
    "\u202egpj.exe",
    "\u2028separator.jpg",
    BAD,
]
# Any name that a Unix file system can hold: no NUL, and bytes that are not UTF-8 as surrogates.
NAMES = st.binary(min_size=1, max_size=60).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"0")))


def one(path: str, form: Form, *, columns: int = 80, terminal: bool = False) -> str:
    return hits([FakeHit(1, 0.5, path)], form, columns=columns, terminal=terminal).decode()


def safe(text: str) -> bool:
    return all(character == "\n" or unicodedata.category(character) not in {"Cc", "Cs"} for character in text)


class TestForms:
    FOUND = (FakeHit(1, 0.83125, "a/b.jpg", 17, 2), FakeHit(2, 0.5, "c d.jpg", 3))

    def test_tsv_is_score_tab_path(self) -> None:
        assert hits(self.FOUND, Form.TSV) == b"0.8313\ta/b.jpg\n0.5000\tc d.jpg\n"

    def test_csv_has_the_contracts_header(self) -> None:
        rows = list(csv.reader(io.StringIO(hits(self.FOUND, Form.CSV).decode())))

        assert rows == [
            ["rank", "score", "path", "id", "copies"],
            ["1", "0.831250", "a/b.jpg", "17", "2"],
            ["2", "0.500000", "c d.jpg", "3", "0"],
        ]

    def test_json_is_the_contracts_array(self) -> None:
        assert json.loads(hits(self.FOUND, Form.JSON)) == [
            {
                "rank": 1,
                "score": 0.83125,
                "path": "a/b.jpg",
                "id": 17,
                "copies": 2,
                "n_duplicates": 2,
                "duplicates": [],
                "match": None,
            },
            {
                "rank": 2,
                "score": 0.5,
                "path": "c d.jpg",
                "id": 3,
                "copies": 0,
                "n_duplicates": 0,
                "duplicates": [],
                "match": None,
            },
        ]

    def test_jsonl_is_the_same_objects_one_a_line(self) -> None:
        lines = hits(self.FOUND, Form.JSONL).decode().splitlines()

        assert [json.loads(line) for line in lines] == json.loads(hits(self.FOUND, Form.JSON))

    def test_paths(self) -> None:
        assert hits(self.FOUND, Form.PATHS) == b"a/b.jpg\nc d.jpg\n"

    def test_null_is_raw_bytes(self) -> None:
        found = [FakeHit(1, 1.0, "new\nline"), FakeHit(2, 0.9, BAD)]

        assert hits(found, Form.NULL) == b"new\nline\0a/b\xff\xfe.jpg\0"

    def test_csv_has_columns_behind_its_own(self) -> None:
        found = [FakeHit(1, 0.5, "a.jpg", columns={"caption": "x, y", "id": 3}), FakeHit(2, 0.4, "b.jpg")]

        rows = list(csv.reader(io.StringIO(hits(found, Form.CSV).decode())))

        assert rows == [
            ["rank", "score", "path", "id", "copies", "caption", "columns.id"],
            ["1", "0.500000", "a.jpg", "7", "0", "x, y", "3"],
            ["2", "0.400000", "b.jpg", "7", "0", "", ""],
        ]

    def test_table_says_by_what_hits_of_names_were_found(self) -> None:
        found = [
            FakeHit(1, 0.2, "oslo/a.jpg", matched=("path",)),
            FakeHit(2, 0.4, "oslo/b.jpg", matched=("image", "path")),
            FakeHit(3, 0.3, "c.jpg", matched=("image",)),
        ]

        lines = hits(found, Form.TABLE).decode().splitlines()

        assert [line.partition(".jpg")[2].strip() for line in lines[1:]] == [
            "by path",
            "by image and path",
            "",
        ]

    def test_table_aligns_and_shows_copies(self) -> None:
        assert hits(self.FOUND, Form.TABLE).decode().splitlines() == [
            " #    score  path",
            " 1   0.8313  a/b.jpg  +2 duplicates",
            " 2   0.5000  c d.jpg",
        ]

    @pytest.mark.parametrize("form", [Form.TABLE, Form.TSV, Form.PATHS, Form.NULL, Form.JSONL])
    def test_nothing_found_prints_nothing(self, form: Form) -> None:
        assert hits([], form) == b""

    def test_nothing_found_is_still_json_and_csv(self) -> None:
        assert json.loads(hits([], Form.JSON)) == []
        assert hits([], Form.CSV) == b"rank,score,path,id,copies\n"


class TestParts:
    @pytest.mark.parametrize(
        ("region", "words"),
        [
            ((0.0, 0.0, 0.5, 0.5), "part: upper left"),
            ((0.5, 0.25, 0.5, 0.5), "part: right"),
            ((0.25, 0.6, 0.5, 0.4), "part: lower middle"),
            ((0.1, 0.1, 0.8, 0.8), "part: middle"),
        ],
    )
    def test_the_table_says_which_part_of_a_picture_answered(
        self, region: tuple[float, ...], words: str
    ) -> None:
        found = [FakeHit(1, 0.9, "a.jpg", region=region), FakeHit(2, 0.8, "b.jpg")]

        lines = hits(found, Form.TABLE).decode().splitlines()

        assert lines[1].endswith(words)
        assert lines[2].endswith("b.jpg")


class TestHostileNames:
    @pytest.mark.parametrize("path", HOSTILE)
    @pytest.mark.parametrize("form", [Form.TABLE, Form.TSV, Form.PATHS, Form.JSON, Form.JSONL])
    def test_one_hit_is_one_line_without_controls(self, path: str, form: Form) -> None:
        text = one(path, form)
        last = text.splitlines()[-1]

        assert safe(text.replace("\t", "") if form is Form.TSV else text)
        assert text.endswith("\n")
        assert text.count("\n") == (2 if form is Form.TABLE else 1)
        assert not set(last) & set("\u202e\u2028\x9b\x1b")

    @given(NAMES)
    def test_any_name_is_safe_in_every_text_form(self, path: str) -> None:
        for form in (Form.TABLE, Form.TSV, Form.PATHS, Form.JSON, Form.JSONL):
            assert safe(one(path, form).replace("\t", ""))
        assert safe(one(path, Form.CSV, terminal=True))

    @given(NAMES)
    def test_json_gives_the_name_back(self, path: str) -> None:
        data = json.loads(json_text(hit_json(FakeHit(1, 0.5, path))))

        if "path_bytes" in data:
            assert base64.b64decode(data["path_bytes"]) == os.fsencode(path)
        else:
            assert data["path"] == path

    @given(NAMES)
    @example("\r")
    def test_csv_in_a_pipe_gives_a_unicode_name_back(self, path: str) -> None:
        rows = list(csv.reader(io.StringIO(one(path, Form.CSV), newline="")))

        assert rows[1][2] == path_json(path)["path"]

    def test_a_name_that_is_not_utf8_is_percent_encoded_with_its_bytes(self) -> None:
        assert path_json(BAD) == {
            "path": "a/b%FF%FE.jpg",
            "path_bytes": base64.b64encode(b"a/b\xff\xfe.jpg").decode(),
        }

    def test_names_are_escaped_readably(self) -> None:
        assert escape("new\nline\t\x1b[m") == "new\\nline\\t\\x1b[m"
        assert escape(BAD) == "a/b\\xff\\xfe.jpg"
        assert escape("\u202egpj") == "\\u202egpj"

    @pytest.mark.parametrize("name", ["a b.jpg", "back\\slash", "café.jpg", "東京.png", "👩\u200d👧.jpg"])
    def test_a_plain_name_stays_as_it_is(self, name: str) -> None:
        assert escape(name) == name


class TestWidth:
    def test_cells(self) -> None:
        assert cells("abc") == 3
        assert cells("東京") == 4
        assert cells("e\u0301") == 1

    @given(NAMES.map(escape), st.integers(8, 100))
    def test_shortened_fits(self, path: str, room: int) -> None:
        assert cells(shorten(path, room)) <= room

    @given(NAMES.map(escape))
    def test_what_fits_is_not_touched(self, path: str) -> None:
        assert shorten(path, max(cells(path), 1)) == path

    def test_the_file_name_is_kept(self) -> None:
        path = "holidays/2019/a folder with a long name/and another one/sunset.jpg"

        assert shorten(path, 24).endswith("…/sunset.jpg")
        assert shorten(path, 24).startswith("holidays")

    def test_the_album_is_kept_where_there_is_room(self) -> None:
        path = "archive/2019/from the old computer/pictures/holidays/Rome/IMG_2041.jpg"

        assert shorten(path, 50).startswith("archive/2019/")
        assert shorten(path, 50).endswith("…/Rome/IMG_2041.jpg")
        assert shorten(path, 28) == "archive/2…/Rome/IMG_2041.jpg"

    def test_of_a_long_album_the_beginning_is_kept(self) -> None:
        path = "pictures/of/all/years/2019-06-summer-in-the-mountains/IMG_2041.jpg"

        assert shorten(path, 40) == "…/2019-06-summer-in-the-mo…/IMG_2041.jpg"

    @pytest.mark.parametrize("columns", [40, 80, 120])
    def test_a_table_fits_the_terminal(self, columns: int) -> None:
        found = [FakeHit(1, 0.9, "東京/" * 40 + "x.jpg", n_duplicates=12), FakeHit(2, 0.8, "y.jpg")]

        lines = hits(found, Form.TABLE, columns=columns).decode().splitlines()

        assert max(map(cells, lines)) <= columns
        assert lines[1].endswith("+12 duplicates")

    def test_any_table_fits_and_aligns(self) -> None:
        text = table(["name", "what"], [["a", "x" * 200], ["longer", "y\x1b"]], columns=60)

        assert all(cells(line) <= 60 for line in text.splitlines())
        assert [
            line.index(first) for line, first in zip(text.splitlines(), ["what", "x", "y"], strict=True)
        ] == [
            8,
            8,
            8,
        ]

    def test_fields_align_their_values(self) -> None:
        assert fields([("a", "1"), ("long", "2\n")]) == "a     1\nlong  2\\n\n"


class TestReplacing:
    def test_a_missing_folder_is_told_by_the_name_that_was_given(self, tmp_path: Path) -> None:
        path = tmp_path / "gone" / "out.html"

        with pytest.raises(FileNotFoundError, match="make the folder first") as caught, replacing(path):
            pass

        assert caught.value.filename == str(path)

    def test_the_file_appears_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "out.html"
        path.write_text("old")

        with replacing(path) as file:
            file.write(b"new")
            file.flush()
            assert path.read_text() == "old"

        assert path.read_text() == "new"
        assert [entry.name for entry in tmp_path.iterdir()] == ["out.html"]

    def test_an_error_leaves_what_was_there(self, tmp_path: Path) -> None:
        path = tmp_path / "out.html"
        path.write_text("old")

        def fail() -> None:
            with replacing(path) as file:
                file.write(b"half")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()

        assert path.read_text() == "old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["out.html"]

    def test_a_device_is_written_straight_away(self) -> None:
        with replacing(Path(os.devnull)) as file:
            file.write(b"x")

        assert not Path(os.devnull).is_file()


class TestLine:
    """Where likely nothing comes any more."""

    @dataclass
    class Answer:
        found: list[FakeHit]
        likely: int | None

        def __len__(self) -> int:
            return len(self.found)

        def __iter__(self) -> Any:
            return iter(self.found)

        def __getitem__(self, place: int) -> FakeHit:
            return self.found[place]

    def lines(self, likely: int | None) -> list[str]:
        found = [FakeHit(rank, 0.5, f"{rank}.jpg", match=0.9) for rank in (1, 2, 3)]
        return hits(self.Answer(found, likely), Form.TABLE).decode().splitlines()[1:]  # type: ignore[arg-type]

    def test_it_is_drawn_behind_the_likely_hits(self) -> None:
        assert [line.split()[0] for line in self.lines(1)] == ["1", "--", "2", "3"]
        assert self.lines(1)[1] == "--  1 match, then likely nothing"
        assert self.lines(2)[2] == "--  2 matches, then likely nothing"
        assert self.lines(0)[0] == "--  likely nothing matches"

    def test_there_is_none_where_all_match_or_nothing_is_known(self) -> None:
        assert len(self.lines(3)) == 3
        assert len(self.lines(None)) == 3

    def test_json_has_the_probability(self) -> None:
        assert hit_json(FakeHit(1, 0.5, "a.jpg", match=0.25))["match"] == 0.25
