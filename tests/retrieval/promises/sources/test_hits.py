"""What the guides promise of copies of hits, and of progress, asked from outside: by the command, or in Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from tests.retrieval.folders import fill
from tests.retrieval.promises.sources.places import build, members, table
from tests.retrieval.sources.tar.archives import png, write_tar


class TestCopies:
    def test_images_of_every_source_are_opened_and_copied(self, run) -> None:
        fill(Path("photos"), ["a/same.png"], first=0)
        write_tar(Path("shard.tar"), [("b/same.png", png(1))])
        table("t.parquet", ["c.png"])
        Path("lists").mkdir()
        fill(Path("lists"), ["d.png"], first=3)
        Path("lists/list.txt").write_text("d.png\n")
        build("photos", "shard.tar", "t.parquet", "lists/list.txt")

        with retrieval.open("index") as rows:
            for key in rows:
                hit = rows.search(rows.id_of(key), k=1, include_self=True, fold_duplicates=False)[0]
                assert hit.open().size == (48, 48)
                assert hit.link
        status, _, err = run("query", "red", "--index", "index", "--no-fold", "--copy-to", "new/out")
        assert status == 0, err
        copies = {path.read_bytes() for path in Path("new/out").iterdir()}
        assert copies == {png(0), png(1), png(3)}

    def test_nothing_is_overwritten(self, run) -> None:
        fill(Path("photos"), ["a/same.png", "b/same.png"])
        build("photos")
        Path("out").mkdir()
        Path("out/a-same.png").write_bytes(b"mine")
        Path("out/same.png").write_bytes(b"mine, too")

        for _ in range(2):
            assert run("query", "red", "--index", "index", "--copy-to", "out")[0] == 0

        assert Path("out/a-same.png").read_bytes() == b"mine"
        assert Path("out/same.png").read_bytes() == b"mine, too"
        held = [path.read_bytes() for path in sorted(Path("out").iterdir())]
        assert sorted(held) == sorted([b"mine", b"mine, too", png(0), png(1)])

    def test_links_lead_to_the_photographs(self, run) -> None:
        fill(Path("photos"), ["a/1.png", "b/2.png"])
        build("photos")

        assert run("query", "red", "--index", "index", "--link-to", "out")[0] == 0

        assert {path.resolve() for path in Path("out").iterdir()} == {
            Path("photos/a/1.png").resolve(),
            Path("photos/b/2.png").resolve(),
        }


class TestProgress:
    @pytest.mark.parametrize("kind", ["table", "tar"])
    def test_totals_are_told_where_the_source_knows_them(self, kind: str) -> None:
        write_tar(Path("photos.tar"), members())
        told: list[retrieval.Progress] = []

        build(table() if kind == "table" else "photos.tar", progress=told.append)

        assert any(event.total == 8 and event.done == 8 for event in told)
