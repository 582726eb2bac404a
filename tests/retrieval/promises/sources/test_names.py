"""What the guides promise of names, asked from outside: by the command, or in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import retrieval
from tests.retrieval.folders import fill
from tests.retrieval.promises.sources.places import NAMES, build, table


class TestNames:
    def test_the_name_of_a_folder_finds_its_images(self, run) -> None:
        fill(Path("photos"), ["Valio-Vanilla-Yoghurt/1.png", "other/2.png", "other/3.png"])
        build("photos")

        _, out, _ = run("query", "valio vanilla yoghurt", "--index", "index", "--json")
        first = json.loads(out)[0]
        assert (first["path"], "path" in first["matched"]) == ("Valio-Vanilla-Yoghurt/1.png", True)
        with retrieval.open("index") as rows:
            only = rows.search("valio yoghurt", names="only")
            assert [hit.path for hit in only] == ["Valio-Vanilla-Yoghurt/1.png"]
            off = rows.search("valio yoghurt", names="off")
            assert all("path" not in (hit.matched or ()) for hit in off)
            scores = {hit.path: hit.score for hit in off}
            assert {hit.path: hit.score for hit in rows.search("valio yoghurt")} == pytest.approx(scores)

    def test_captions_and_labels_are_looked_up_and_named(self) -> None:
        build(
            table(name=NAMES, caption=["nothing"] * 7 + ["the harbour of Oslo"], place=["Rome"] * 8),
            key_column="name",
            column=["caption", "place"],
        )

        with retrieval.open("index") as rows:
            first = rows.search("harbour in oslo")[0]
            assert (first.path, "caption" in first.matched) == (NAMES[7], True)

    def test_min_score_does_not_apply_to_what_only_names_found(self) -> None:
        fill(Path("photos"), ["oslo/1.png", "other/2.png"])
        build("photos")

        with retrieval.open("index") as rows:
            assert [hit.path for hit in rows.search("oslo", min_score=0.99)] == ["oslo/1.png"]
            assert rows.search("oslo", min_score=0.99, names="off") == []

    def test_the_scores_of_hits_stay_cosines(self) -> None:
        fill(Path("photos"), ["red/1.png", "b/2.png", "c/3.png"])
        build("photos")

        with retrieval.open("index") as rows:
            vector = rows.search("red", names="off")
            by_path = {hit.path: hit.score for hit in vector}
            assert {hit.path: hit.score for hit in rows.search("red")} == by_path

    def test_names_are_chosen_on_the_command_line(self, run) -> None:
        fill(Path("photos"), ["oslo/1.png", "b/2.png", "c/3.png"])
        build("photos")

        def paths(*words: str) -> list[str]:
            status, out, err = run("query", "oslo", "--index", "index", "-f", *words)
            assert status == 0, err
            return out.splitlines()

        assert paths("--names", "only") == ["oslo/1.png"]
        assert paths()[0] == "oslo/1.png"
        assert sorted(paths("--names", "off")) == ["b/2.png", "c/3.png", "oslo/1.png"]
