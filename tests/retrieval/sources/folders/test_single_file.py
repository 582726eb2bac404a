"""A single file as a source."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.errors import OptionError
from retrieval.sources import open_spec
from tests.retrieval.folders import CountingEncoder, fill, touch_later
from tests.retrieval.sources.media.made import film, moving, pdf


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


def test_an_image_is_a_source_and_its_key_is_its_name(
    tmp_path: Path, index: Path, encoder: CountingEncoder
) -> None:
    photo = fill(tmp_path / "photos", ["cat.png", "dog.png"]) / "cat.png"

    assert retrieval.build_index(photo, index=index, encoder=encoder).encoded == 1
    assert retrieval.build_index(index=index, encoder=encoder).encoded == 0

    with retrieval.open(index, encoder=encoder) as collection:
        hit = collection.search(photo, include_self=True)[0]
        assert (hit.path, hit.link, hit.open().size) == ("cat.png", str(photo), (48, 48))
        assert collection.source.find(tmp_path / "photos/dog.png") is None
        assert not collection.changed()
        touch_later(photo)
        assert collection.changed()
    report = retrieval.build_index(index=index, encoder=encoder)
    assert (report.encoded, report.reused) == (0, 1)


def test_one_that_is_away_stops_the_build_and_removes_nothing(
    tmp_path: Path, index: Path, encoder: CountingEncoder
) -> None:
    photo = fill(tmp_path / "photos", ["cat.png"]) / "cat.png"
    retrieval.build_index(photo, index=index, encoder=encoder)
    photo.unlink()

    with pytest.raises(OptionError, match=r"cat\.png does not exist; check the path"):
        retrieval.build_index(index=index, encoder=encoder)
    with retrieval.open(index, encoder=encoder) as collection:
        assert len(collection) == 1
    photo.mkdir()
    with pytest.raises(OptionError, match="not a regular file"):
        retrieval.build_index(index=index, encoder=encoder)


def test_a_film_gives_its_moments(tmp_path: Path, index: Path, encoder: CountingEncoder) -> None:
    pytest.importorskip("av", reason="the extra `video` is not installed")
    clip = film(moving(3), tmp_path / "clip.mp4")

    with pytest.raises(OptionError, match=r"clip\.mp4 holds several pictures; `every` takes them in"):
        retrieval.build_index(clip, index=index, encoder=encoder)
    assert retrieval.build_index(clip, index=index, encoder=encoder, every=1).encoded == 3
    assert retrieval.build_index(index=index, encoder=encoder).encoded == 0
    with retrieval.open(index, encoder=encoder) as collection:
        assert list(collection) == [f"clip.mp4#t={second}" for second in range(3)]
        assert collection.search(retrieval.row(1), include_self=True)[0].open().size == (160, 96)


def test_a_document_gives_its_pages(tmp_path: Path, index: Path, encoder: CountingEncoder) -> None:
    pytest.importorskip("pypdfium2", reason="the extra `pdf` is not installed")
    (tmp_path / "paper.pdf").write_bytes(pdf((100, 100), (50, 80)))

    with pytest.raises(OptionError, match="`pages` takes them in"):
        retrieval.build_index(tmp_path / "paper.pdf", index=index, encoder=encoder)
    assert (
        retrieval.build_index(tmp_path / "paper.pdf", index=index, encoder=encoder, pages=True).encoded == 2
    )


def test_one_in_a_folder_that_the_collection_has_is_refused(tmp_path: Path, encoder: CountingEncoder) -> None:
    photos = fill(tmp_path / "photos", ["a/cat.png"])
    retrieval.build_index(photos, encoder=encoder)

    with pytest.raises(
        OptionError, match=r"lies in .*photos, a source of this collection; build that folder"
    ):
        retrieval.build_index(photos / "a/cat.png", index=photos, encoder=encoder)


@pytest.mark.parametrize(
    ("text", "kind"), [("/a/x.JPG", "file"), ("/a/x.mp4", "file"), ("/a/x.pdf", "file"), ("/a/x.nef", "file"),
                       ("https://a/x.jpg", "remote"), ("/a/x.tar", "tar"), ("/a/x.csv", "listing")]
)  # fmt: skip
def test_names_of_files_are_recognised(text: str, kind: str) -> None:
    assert open_spec(text).type == kind
