"""Duplicates are found across shards as in one collection, also by a search that goes on after a build."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import retrieval
from indexes.generation import SHIFT
from retrieval.curation.duplicates.pairs import candidates
from retrieval.testing import FakeEncoder
from tests.retrieval.curation.duplicates.photographs import photograph


@pytest.fixture
def big(folder: Path, tmp_path: Path) -> Path:
    """The folder of photographs in two shards: the exports are in another one than their originals."""
    retrieval.build_index(folder, index=tmp_path / "big", shards=2, encoder=FakeEncoder(), progress=False)
    return tmp_path / "big"


def shown(found: retrieval.Duplicates) -> list[tuple[str, list[str]]]:
    return [(one.kind, [("" if image.keep else "-") + image.path for image in one]) for one in found]


def test_duplicates_are_found_across_shards(folder: Path, big: Path) -> None:
    found = retrieval.duplicates(big, progress=False)

    assert shown(found) == shown(retrieval.duplicates(folder, progress=False))
    shards = {image.id >> SHIFT for one in found for image in one}
    assert shards == {0, 1}
    with retrieval.open(big, encoder=FakeEncoder()) as sharded:
        assert all(sharded.key_of(image.id) == image.path for one in found for image in one)


def test_after_a_build_only_new_rows_are_joined(
    folder: Path, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrieval.duplicates(big, progress=False)
    shutil.copy2(folder / "2.jpg", folder / "exports" / "again.jpg")
    photograph(2).resize((80, 60)).save(folder / "tiny.jpg", quality=70)
    retrieval.build_index(index=big, encoder=FakeEncoder(), progress=False)
    asked = []
    real = retrieval.Collection.pairs
    monkeypatch.setattr(
        retrieval.Collection,
        "pairs",
        lambda self, *args, **options: asked.append(options["since"]) or real(self, *args, **options),
    )

    found = retrieval.duplicates(big, progress=False)

    assert [len(since) for since in asked] == [2]
    (one,) = [one for one in found if one.stays.path == "2.jpg"]
    assert {image.path for image in one} == {"2.jpg", "exports/2-small.jpg", "exports/again.jpg", "tiny.jpg"}
    assert candidates.AT_MOST >= 4


def test_what_another_sharded_collection_holds_too(folder: Path, big: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy2(folder / "4.jpg", other / "a.jpg")
    photograph(40).save(other / "b.jpg")
    retrieval.build_index(other, index=tmp_path / "others", shards=2, encoder=FakeEncoder(), progress=False)

    (one,) = retrieval.duplicates(big, against=tmp_path / "others", progress=False)

    assert {(image.path, image.against) for image in one} == {("4.jpg", False), ("a.jpg", True)}


def test_files_that_were_moved_away_are_not_asked_about(folder: Path, big: Path, tmp_path: Path) -> None:
    for number in range(30):
        shutil.copy2(folder / "4.jpg", folder / f"4 ({number}).jpg")
    retrieval.build_index(index=big, encoder=FakeEncoder(), progress=False)

    retrieval.duplicates(big, kinds=("bytes",), progress=False).move_to(tmp_path / "away")

    assert retrieval.build_index(index=big, encoder=FakeEncoder(), progress=False).removed == 31
