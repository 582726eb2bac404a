"""Pictures of films and documents go over to another encoder as files do, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from tests.retrieval.drift import drift
from tests.retrieval.folders import fill, ids_by_key
from tests.retrieval.sources.media.made import film, moving, pdf
from tests.retrieval.upgrades.galleries import NAMES

pytest.importorskip("av", reason="the extra `video` is not installed")
pytest.importorskip("pypdfium2", reason="the extra `pdf` is not installed")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of photographs, a film of four seconds and a document of two pages, built by the old encoder."""
    folder = fill(tmp_path / "photos", NAMES)
    film(moving(4), folder / "clip.mp4", g=25)
    (folder / "paper.pdf").write_bytes(pdf((200, 100), (100, 200)))
    retrieval.build_index(folder, encoder=drift("old"), every=1.0, pages=True)
    return folder


def test_every_picture_goes_over_and_comes_back(photos: Path) -> None:
    with retrieval.open(photos, encoder=drift("old")) as collection:
        count = len(collection)
        before = collection.vectors(sorted(ids_by_key(collection).values()))
    report = retrieval.upgrade(photos, encoder=drift("new"), old_encoder=drift("old"), sample=count)

    assert count == len(NAMES) + 6
    assert (report.gone, report.unreadable) == (0, 0)
    done = retrieval.backfill(photos, encoder=drift("new"))
    assert (done.gone, done.unreadable, done.remaining) == (0, 0, 0)
    retrieval.rollback(photos, encoder=drift("old"))
    with retrieval.open(photos, encoder=drift("old")) as collection:
        after = collection.vectors(sorted(ids_by_key(collection).values()))
    assert (abs(before - after) < 2e-3).all()
