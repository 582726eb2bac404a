"""Upgrades of a collection whose images lie in tar files, and in a folder beside them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

import retrieval
from tests.retrieval.drift import drift
from tests.retrieval.folders import fill
from tests.retrieval.upgrades.galleries import NAMES


@pytest.fixture
def gallery(photos: Path, tmp_path: Path) -> Path:
    """The pictures of the folder in a tar file, and a few more in a folder."""
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in NAMES:
            archive.add(photos / name, name)
    more = fill(tmp_path / "more", [f"more/{number}.png" for number in range(5)], first=900)
    retrieval.build_index([tmp_path / "x.tar", more], index=tmp_path / "index", encoder=drift("old"))
    return tmp_path / "index"


def test_an_upgrade_reads_the_images_where_each_lies(gallery: Path) -> None:
    report = retrieval.upgrade(gallery, encoder=drift("new"), old_encoder=drift("old"))
    assert report.recorded

    filled = retrieval.backfill(gallery, encoder=drift("new"))

    assert (filled.complete, filled.gone, filled.unreadable) == (True, 0, 0)
    with retrieval.open(gallery, encoder=drift("new")) as collection:
        assert len(collection) == len(NAMES) + 5
        assert collection.search(retrieval.row(3), k=1, include_self=True)[0].path == f"x.tar/{NAMES[3]}"


def test_a_build_goes_on_while_the_encoder_changes(gallery: Path, tmp_path: Path) -> None:
    retrieval.upgrade(gallery, encoder=drift("new"), old_encoder=drift("old"))
    third = fill(tmp_path / "third", ["third/a.png"], first=950)

    report = retrieval.build_index(third, index=gallery, encoder=drift("new"))

    assert (report.encoded, report.images) == (1, len(NAMES) + 6)
    assert retrieval.build_index(index=gallery, encoder=drift("new")).encoded == 0
