"""What the guides promise of films and documents, asked from outside: by the command, or in Python."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import retrieval
from tests.retrieval.folders import fill, picture
from tests.retrieval.promises.sources.places import NAMES, build, keys, photos, skipped
from tests.retrieval.sources.media.made import dng, film, moving, pdf, quarters
from tests.retrieval.sources.tar.archives import png, write_tar


class TestFilmsAndDocuments:
    @pytest.fixture(autouse=True)
    def _extra(self) -> None:
        pytest.importorskip("av")
        pytest.importorskip("pypdfium2")

    def test_films_and_documents_are_counted_and_the_option_is_named(self, run) -> None:
        film(moving(1), photos() / "clip.mp4")
        Path("photos/paper.pdf").write_bytes(pdf((200, 300)))

        status, out, err = run("build-index", "photos", "--index", "index", "--encoder", "fake")

        assert status == 0
        assert keys() == sorted(NAMES)
        assert "--every" in out + err
        assert "--pages" in out + err

    def test_a_film_becomes_moments_that_hits_and_pages_name(self, run) -> None:
        film(moving(4), photos() / "clip.mp4")
        options = ("--index", "index", "--encoder", "fake", "--every", "1", "--json")

        status, out, err = run("build-index", "photos", *options)

        assert (status, json.loads(out)["encoded"]) == (0, 12), err
        assert [key for key in keys() if "#" in key] == [f"clip.mp4#t={second}" for second in range(4)]
        again = build()
        assert (again.encoded, again.reused, again.removed) == (0, 0, 0)
        with retrieval.open("index") as rows:
            hit = rows.search(rows.id_of("clip.mp4#t=2"), k=1, include_self=True)[0]
            assert (hit.path, hit.moment, hit.open().size) == ("clip.mp4#t=2", 2.0, (160, 96))
        assert run("query", "red", "--index", "index", "-k", "12", "--html", "page.html")[0] == 0
        assert "clip.mp4#t=2" in Path("page.html").read_text()

    def test_a_changed_film_replaces_its_moments_and_a_moved_one_is_recognised(self) -> None:
        film(moving(3), photos() / "clip.mp4")
        build("photos", every="1")
        os.rename("photos/clip.mp4", "photos/moved.mp4")
        report = build()
        assert (report.encoded, next(key for key in keys() if "#" in key)) == (0, "moved.mp4#t=0")
        film(moving(2, seed=5), "photos/moved.mp4")
        report = build()
        assert (report.encoded, [key for key in keys() if "#" in key]) == (
            2,
            ["moved.mp4#t=0", "moved.mp4#t=1"],
        )

    def test_a_moment_is_a_query(self, run) -> None:
        film(moving(3), photos() / "clip.mp4")
        Path("photos/paper.pdf").write_bytes(pdf((200, 300), (300, 200)))
        build("photos", every="1", pages=True)

        for query in ("clip.mp4#t=1", "photos/clip.mp4#t=1", "photos/clip.mp4#t=1.5", "paper.pdf#page=2"):
            status, out, err = run(
                "query", query, "--index", "photos/../index", "-k", "1", "--include-self", "--json"
            )
            assert status == 0, err
            assert json.loads(out)[0]["path"].partition("#")[0] in query
        status, _, err = run("query", "photos/clip.mp4", "--index", "index")
        assert (status, "photos/clip.mp4#t=2" in err) == (1, True)

    def test_near_equal_neighbours_are_left_out(self) -> None:
        fill(Path("photos"), ["a.png"])
        film([quarters()] * 75, "photos/still.mp4")

        build("photos", every="1")

        assert keys() == ["a.png", "still.mp4#t=0"]

    def test_a_listing_takes_films_in_only_if_asked(self) -> None:
        film(moving(2), photos() / "clip.mp4")
        Path("list.txt").write_text("photos/cats/0.png\nphotos/clip.mp4\n")

        assert build("list.txt").images == 1
        assert skipped() == {"photos/clip.mp4": "unsupported-format"}
        assert build("list.txt", every="1").images == 3
        assert skipped() == {}

    def test_pages_become_rows(self) -> None:
        Path("photos").mkdir()
        Path("photos/paper.pdf").write_bytes(pdf((200, 300), (300, 200)))

        build("photos", pages=True)

        assert keys() == ["paper.pdf#page=1", "paper.pdf#page=2"]
        with retrieval.open("index") as rows:
            width, height = rows.search("red", k=2, ids=["paper.pdf#page=2"])[0].open().size
        assert width > height

    def test_broken_films_and_documents_are_lines_with_their_reason(self) -> None:
        photos()
        Path("photos/a.mp4").write_bytes(b"no film at all" * 100)
        Path("photos/b.pdf").write_bytes(b"%PDF-1.4 nothing")
        Path("photos/c.mp4").write_bytes(b"")

        build("photos", every="1", pages=True)

        found = skipped()
        assert {name: found[name] for name in ("a.mp4", "b.pdf", "c.mp4")} == {
            "a.mp4": "unreadable",
            "b.pdf": "unreadable",
            "c.mp4": "empty",
        }

    def test_films_in_archives_are_taken_in(self) -> None:
        clip = film(moving(2), "clip.mp4")
        write_tar(Path("shard.tar"), [("a.png", png(1)), ("clip.mp4", Path(clip).read_bytes())])

        build("shard.tar", every="1")

        assert keys() == ["shard.tar/a.png", "shard.tar/clip.mp4#t=0", "shard.tar/clip.mp4#t=1"]

    def test_a_raw_photograph_is_its_preview_and_not_a_second_row_of_its_jpeg(self) -> None:
        Path("photos").mkdir()
        shot = picture(5, size=96)
        Path("photos/alone.dng").write_bytes(dng(shot))
        Path("photos/both.dng").write_bytes(dng(shot))
        picture(6).save("photos/both.jpg")
        Path("photos/drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")

        report = build("photos")

        assert keys() == ["alone.dng", "both.jpg"]
        assert skipped()["drawing.svg"] == "unsupported-format"
        assert "both.dng" not in skipped()
        assert any("raw" in note for note in report.notes) or "dng" in report.other_files
