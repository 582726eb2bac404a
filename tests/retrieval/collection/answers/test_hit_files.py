"""Images of hits are copied and linked into a folder; nothing there is ever written over."""

from __future__ import annotations

import os
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.errors import ImagesSkipped, OptionError
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture

ENCODER = FakeEncoder(dim=16)
KEYS = ["a/1.png", "a/2.png", "b/1.png", "c/b/1.png", "top.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[retrieval.Collection]:
    folder = fill(tmp_path / "photos", KEYS)
    retrieval.build_index(folder, encoder=ENCODER, progress=False)
    with retrieval.open(folder, encoder=ENCODER) as collection:
        yield collection


def everything(photos: retrieval.Collection) -> retrieval.Hits:
    return photos.search(picture(0), k=len(KEYS))


def by_path(hits: retrieval.Hits, made: list[Path]) -> dict[str, str]:
    return {hit.path: path.name for hit, path in zip(hits, made, strict=True)}


def test_equal_names_get_the_names_of_their_folders(photos: retrieval.Collection, tmp_path: Path) -> None:
    hits = everything(photos)

    made = hits.copy_to(tmp_path / "new/copies")

    assert by_path(hits, made) == {
        "a/1.png": "a-1.png",
        "a/2.png": "2.png",
        "b/1.png": "b-1.png",
        "c/b/1.png": "c-b-1.png",
        "top.png": "top.png",
    }
    for hit, path in zip(hits, made, strict=True):
        assert path.read_bytes() == hit.file.read_bytes()
        assert path.stat().st_mtime_ns == hit.file.stat().st_mtime_ns


def test_nothing_is_written_over_and_nothing_is_copied_twice(
    photos: retrieval.Collection, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    (copies / "top.png").write_text("mine")
    hits = everything(photos)

    made = by_path(hits, hits.copy_to(copies))

    assert made["top.png"] == "top-2.png"
    assert (copies / "top.png").read_text() == "mine"
    assert by_path(hits, hits.copy_to(copies)) == made
    assert len(list(copies.iterdir())) == len(KEYS) + 1


def test_links_lead_to_the_images(photos: retrieval.Collection, tmp_path: Path) -> None:
    hits = everything(photos)

    made = hits.link_to(tmp_path / "links")

    assert [path.resolve() for path in made] == [hit.file.resolve() for hit in hits]
    assert all(path.is_symlink() for path in made)
    assert hits.link_to(tmp_path / "links") == made
    (tmp_path / "links/top.png").unlink()
    (tmp_path / "links/top.png").write_text("mine")
    assert by_path(hits, hits.link_to(tmp_path / "links"))["top.png"] == "top-2.png"


def test_an_image_that_is_gone_is_named_and_the_others_are_copied(
    photos: retrieval.Collection, tmp_path: Path
) -> None:
    hits = everything(photos)
    (tmp_path / "photos/top.png").unlink()

    with pytest.raises(ImagesSkipped, match=r"1 of 5 images.*top\.png"):
        hits.copy_to(tmp_path / "copies")

    assert len(list((tmp_path / "copies").iterdir())) == 4
    with pytest.raises(OptionError, match=r"top\.png.*nothing to link to"):
        hits.link_to(tmp_path / "links")
    assert not (tmp_path / "links").exists()


def test_a_file_in_the_folders_place_is_an_error(photos: retrieval.Collection, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")

    with pytest.raises(OptionError, match="not a folder"):
        everything(photos).copy_to(tmp_path / "taken")


def test_a_slice_of_hits_is_copied_alone(photos: retrieval.Collection, tmp_path: Path) -> None:
    assert len(everything(photos)[:2].copy_to(tmp_path / "copies")) == 2
    assert photos.search("nothing", names="only").copy_to(tmp_path / "copies") == []


@pytest.mark.parametrize("name", ["..", "...png", "é" * 120 + ".png", "a\nb.png", "x?y#z.png", ".hidden.png"])
def test_any_name_makes_a_file_in_the_folder(tmp_path: Path, name: str) -> None:
    folder = fill(tmp_path / "photos", ["plain.png"])
    retrieval.build_index(folder, encoder=ENCODER, progress=False)
    if name != "..":
        os.rename(folder / "plain.png", folder / name)
        retrieval.build_index(folder, encoder=ENCODER, progress=False, include=[".*"])
    with retrieval.open(folder, encoder=ENCODER) as photos:
        for path in photos.search(picture(0), k=1).copy_to(tmp_path / "copies"):
            assert path.parent == tmp_path / "copies"
            assert path.is_file()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A tar file with two pictures, beside a folder with one."""
    folder = fill(tmp_path / "sources", ["x/one.png", "x/two.png"])
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name in ("one", "two"):
            tar.add(folder / f"x/{name}.png", f"x/{name}.png")
    return tmp_path / "shard.tar"


def test_images_in_an_archive_are_opened_linked_and_copied(archive: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", ["own.png"], first=9)
    retrieval.build_index([folder, archive], index=tmp_path / "index", encoder=ENCODER, progress=False)
    with retrieval.open(tmp_path / "index", encoder=ENCODER) as photos:
        hits = photos.search(picture(0), k=3)
        best = hits[0]
        row = photos[best.id]

        assert best.path.endswith("x/one.png")
        assert np.array_equal(np.asarray(best.open()), np.asarray(picture(0)))
        assert best.link == row.link == f"{tmp_path}/{best.path}"
        assert np.array_equal(np.asarray(row.open()), np.asarray(picture(0)))
        assert best.read_bytes() == (tmp_path / "sources/x/one.png").read_bytes()
    again = pickle.loads(pickle.dumps(hits))  # noqa: S301 - our own
    assert again == hits
    assert np.array_equal(np.asarray(again[0].open()), np.asarray(picture(0)))
    copies = hits.copy_to(tmp_path / "copies")
    assert sorted(path.name for path in copies) == ["one.png", "own.png", "two.png"]
    with pytest.raises(OptionError, match="no file of its own"):
        hits.link_to(tmp_path / "links")


def test_pages_show_images_of_every_source(archive: Path, tmp_path: Path) -> None:
    from retrieval.render import html_page

    retrieval.build_index(archive, index=tmp_path / "index", encoder=ENCODER, progress=False)
    with retrieval.open(tmp_path / "index", encoder=ENCODER) as photos:
        hits = photos.search(picture(0), k=2)
        page = html_page.page([html_page.Answer(query=[], hits=hits)], root=photos.root, beside=tmp_path)

        assert page.count("data:image/jpeg") == 2
        assert "not shown" not in page
        assert (photos._repr_html_() or "").count("data:image/jpeg") == 2
        assert (hits._repr_html_() or "").count("data:image/jpeg") == 2
