"""What the guides promise of listings, asked from outside: by the command, or in Python."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import retrieval
from retrieval.errors import RetrievalError
from tests.retrieval.folders import fill
from tests.retrieval.promises.sources.places import build, keys, photos, skipped


class TestListings:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("list.txt", "a.png\nsub/b.png\n"),
            ("list.csv", 'file,caption\na.png,"a cup, red"\nsub/b.png,"a dog"\n'),
            ("list.tsv", "path\tcaption\na.png\ta cup, red\nsub/b.png\ta dog\n"),
            (
                "list.jsonl",
                '{"image": "a.png", "caption": "a cup, red"}\n{"image": "sub/b.png", "caption": "a dog"}\n',
            ),
        ],
    )
    def test_relative_paths_are_relative_to_the_listing(self, name: str, text: str) -> None:
        fill(Path("lists"), ["a.png", "sub/b.png"])
        (Path("lists") / name).write_text(text)

        build(f"lists/{name}")

        assert keys() == ["a.png", "sub/b.png"]
        if name != "list.txt":
            with retrieval.open("index") as rows:
                assert rows.columns([rows.id_of("a.png")])[0]["caption"] == "a cup, red"

    def test_standard_input_adds_and_removes_only_with_prune(
        self, run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        photos(["a b.png", "c\nd.png", "e.png"], ".")

        def pipe(*names: str, options: tuple[str, ...] = ()) -> dict:
            data = b"".join(name.encode() + b"\0" for name in names)
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
            words = (
                "build-index",
                "--from0",
                "-",
                "--index",
                "index",
                "--encoder",
                "fake",
                "--json",
                *options,
            )
            status, out, err = run(*words)
            assert status == 0, err
            return json.loads(out)

        assert pipe("a b.png", "c\nd.png")["encoded"] == 2
        assert pipe("e.png")["removed"] == 0
        assert keys() == ["a b.png", "c\nd.png", "e.png"]
        with pytest.raises(RetrievalError, match="standard input"):
            build()
        build(fill(Path("more"), ["f.png"], first=60))
        again = build()
        assert (again.encoded, again.removed, again.images) == (0, 0, 4)
        assert any("standard input" in note for note in again.notes)
        assert pipe("e.png", options=("--prune",))["removed"] == 2
        assert keys() == ["e.png", "f.png"]

    def test_lines_that_lead_nowhere_are_listed_and_doubles_are_said(self) -> None:
        photos()
        Path("list.csv").write_text(
            "file,caption\nphotos/cats/0.png,x\nnone.png,y\nphotos/cats/0.png,z\n,w\n"
        )

        report = build("list.csv")

        assert (report.images, report.skipped) == (1, 2)
        assert skipped() == {"none.png": "vanished", "list.csv#5": "unreadable"}
        assert any("1 line names a file again" in note for note in report.notes)
