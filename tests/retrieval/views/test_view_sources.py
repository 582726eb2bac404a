"""Views of pictures of every source: films, documents, archives, and a source that a build does not name."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

import retrieval
from retrieval.testing import FakeEncoder
from retrieval.views import cut, windows
from tests.retrieval.folders import fill, picture

NUMBER = 4


def built(*sources: Path, **options: object) -> retrieval.BuildReport:
    return retrieval.build_index(list(sources), encoder=FakeEncoder(), progress=False, **options)  # type: ignore[arg-type]


def first(index: Path, image: object) -> tuple[str, bool]:
    """Return the path of the best hit, and whether a part of it answered."""
    with retrieval.open(index, encoder=FakeEncoder()) as collection:
        hit = collection.search(image, k=1)[0]
        return hit.path, hit.region is not None


def test_pictures_of_films_and_pages_of_documents(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the extra `video` is not installed")
    pytest.importorskip("pypdfium2", reason="the extra `pdf` is not installed")
    from tests.retrieval.sources.media.made import film, moving, pdf

    folder = fill(tmp_path / "photos", ["a.png"])
    film(moving(3), folder / "clip.mp4", g=25)
    (folder / "paper.pdf").write_bytes(pdf((200, 100), (100, 200)))
    report = built(folder, views=NUMBER, every=1.0, pages=True)
    (folder / "clip.mp4").rename(folder / "moved.mp4")
    again = built(folder)

    assert report.views == {"per_image": NUMBER, "count": 6 * NUMBER, "encoded": 6 * NUMBER, "failed": 0}
    assert again.views == {"per_image": NUMBER, "count": 6 * NUMBER, "encoded": 0, "failed": 0}
    with retrieval.open(folder, encoder=FakeEncoder()) as photos:
        page = photos["paper.pdf#page=1"].open()
    assert first(folder, cut(page, windows(NUMBER)[0]))[0] == "paper.pdf#page=1"


def test_an_archive_and_a_folder_that_a_build_leaves_alone(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(5)]
    packed = fill(tmp_path / "packed", names)
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for name in names:
            archive.add(packed / name, name)
    folder = fill(tmp_path / "photos", names, first=20)
    index = tmp_path / "index"
    built(tmp_path / "shard.tar", folder, index=index)
    some = built(folder, index=index, views=NUMBER)
    rest = built(tmp_path / "shard.tar", index=index)

    assert some.views == {"per_image": NUMBER, "count": 20, "encoded": 20, "failed": 0}
    assert rest.views == {"per_image": NUMBER, "count": 40, "encoded": 20, "failed": 0}
    box = windows(NUMBER)[1]
    assert first(index, cut(picture(3), box)) == ("shard.tar/3.png", True)
    assert first(index, cut(picture(22), box))[1]

    built(index=index, drop_source=tmp_path / "shard.tar")
    with retrieval.open(index, encoder=FakeEncoder()) as collection:
        views = collection.info()["views"]
        assert views is not None
        assert views["count"] == 20
