"""The note of a collection whose sources are newer names a command that takes them up."""

from __future__ import annotations

import tarfile
from pathlib import Path

import retrieval
from retrieval.cli.reports.search_notes import stale
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill


def note_of(source: Path, index: Path | None = None) -> str:
    retrieval.build_index(source, index=index, encoder=FakeEncoder(), progress=False)
    with retrieval.open(index or source, encoder=FakeEncoder()) as collection:
        return stale(collection)


def test_a_folder_is_named(tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", ["a.png", "b.png"])

    assert note_of(photos).endswith(f": retrieve build-index {photos}")
    assert note_of(photos, tmp_path / "it").endswith(f": retrieve build-index {photos} --index {tmp_path}/it")


def test_sources_that_are_no_folder_are_those_of_the_index(tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", ["a.png", "b.png"])
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(photos, ".")

    assert note_of(tmp_path / "a.tar", tmp_path / "it").endswith(
        f": retrieve build-index --index {tmp_path}/it"
    )
