"""What the guides promise of tar files, asked from outside: by the command, or in Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import retrieval
from tests.retrieval.folders import fill
from tests.retrieval.promises.sources.places import build, skipped
from tests.retrieval.sources.tar.archives import png, write_tar


class TestTar:
    def test_neighbours_of_one_name_are_columns(self) -> None:
        sample = [
            ("a/1.PNG", png(1)),
            ("a/1.txt", b"a red bus"),
            ("a/1.cls", b"3"),
            ("a/1.json", json.dumps({"author": "Ada", "likes": 7}).encode()),
            ("a/2.png", png(2)),
        ]
        write_tar(Path("shard.tar"), sample)

        build("shard.tar")

        with retrieval.open("index") as rows:
            first, second = rows.columns([rows.id_of("shard.tar/a/1.PNG"), rows.id_of("shard.tar/a/2.png")])
        said = {name: first[name] for name in ("caption", "label", "author", "likes")}
        assert said == {"caption": "a red bus", "label": 3, "author": "Ada", "likes": 7}
        assert "caption" not in second

    def test_unsorted_samples_are_joined_and_repeated_names_are_said(self) -> None:
        write_tar(
            Path("shard.tar"),
            [("1.txt", b"one"), ("2.png", png(2)), ("1.png", png(1)), ("2.txt", b"two"), ("1.png", png(9))],
        )

        report = build("shard.tar")

        assert report.images == 2
        with retrieval.open("index") as rows:
            captions = {key: rows.columns([rows.id_of(key)])[0]["caption"] for key in rows}
            vector = rows.vectors(["shard.tar/1.png"])[0]
        assert captions == {"shard.tar/1.png": "one", "shard.tar/2.png": "two"}
        build(fill(Path("p"), ["last.png"], first=9), index="other")
        with retrieval.open("other") as rows:
            assert np.array_equal(rows.vectors(["last.png"])[0], vector)
        assert len(report.notes) >= 1

    def test_several_images_of_one_sample_are_rows_of_their_own(self) -> None:
        write_tar(Path("s.tar"), [("1.left.png", png(1)), ("1.right.png", png(2)), ("1.txt", b"both")])

        build("s.tar")

        with retrieval.open("index") as rows:
            assert {key: rows.columns([rows.id_of(key)])[0]["caption"] for key in rows} == {
                "s.tar/1.left.png": "both",
                "s.tar/1.right.png": "both",
            }

    def test_a_broken_image_is_a_line_with_its_reason(self) -> None:
        write_tar(Path("s.tar"), [("1.png", png(1)), ("2.png", b""), ("3.jpg", b"<html>")])

        report = build("s.tar")

        assert (report.images, report.skipped) == (1, 2)
        assert skipped() == {"s.tar/2.png": "empty", "s.tar/3.jpg": "unreadable"}
