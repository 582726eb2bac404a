"""Views of images are counted with their images, and follow them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import retrieval
from retrieval.errors import OptionError
from tests.retrieval.promises.copies.photographs import (
    NAMES,
    build,
)


def test_views_are_counted_as_images_only(tmp_path, messy, originals):
    root = tmp_path / "photos"
    root.mkdir()
    for name in NAMES[:5]:
        shutil.copy2(messy / f"{name}.jpg", root / f"{name}.jpg")
    build(root)
    with retrieval.open(root) as plain:
        vectors, keys = plain.export()
    report = build(root, views=4)
    assert report.images == 5
    with retrieval.open(root) as photos:
        again, names_again = photos.export()
        assert len(photos) == 5
        assert names_again == keys
        assert np.array_equal(again, vectors)
        assert photos.vectors().shape == vectors.shape
        assert photos.mask().shape == (5,)
        assert len(photos.row_ids()) == 5
        assert photos.info()["images"] == 5
        hits = photos.search(originals["astronaut"], k=50)
        assert sorted(hit.path for hit in hits) == sorted(keys)
        width, height = originals["astronaut"].size
        part = photos.search(originals["astronaut"].crop((width // 2, height // 2, width, height)), k=50)
        assert sorted(hit.path for hit in part) == sorted(keys)
        assert part[0].path == "astronaut.jpg"
        left, top, wide, high = part[0].region
        assert left + wide / 2 > 0.5
        assert top + high / 2 > 0.5
        assert all(check.ok for check in photos.verify())
        assert photos.search(originals["coffee"], k=50, glob="c*.jpg")[0].path == "coffee.jpg"


def test_views_follow_their_images_and_refuse_an_upgrade_by_name(tmp_path, messy, originals):
    root = tmp_path / "photos"
    root.mkdir()
    for name in NAMES[:4]:
        shutil.copy2(messy / f"{name}.jpg", root / f"{name}.jpg")
    build(root, views=4, encoder="nano@1")
    (root / "sub").mkdir()
    (root / "coffee.jpg").rename(root / "sub/moved.jpg")
    (root / "rocket.jpg").unlink()
    moved = build(root)
    assert moved.encoded == 0
    width, height = originals["coffee"].size
    with retrieval.open(root) as photos:
        hits = photos.search(originals["coffee"].crop((0, 0, width // 2, height // 2)), k=9)
        assert hits[0].path == "sub/moved.jpg"
        assert {hit.path for hit in hits} == {"astronaut.jpg", "chelsea.jpg", "sub/moved.jpg"}
    with pytest.raises(OptionError, match="views"):
        retrieval.upgrade(root, encoder="nano", progress=False)
    build(root, views=0)
    with retrieval.open(root) as photos:
        assert photos.search(originals["coffee"])[0].region is None


@pytest.mark.parametrize("count", [-1, 1.5, True])
def test_an_impossible_number_of_views_is_refused_and_nothing_is_made(tmp_path, originals, count):
    originals["coffee"].save(tmp_path / "coffee.jpg")

    with pytest.raises((OptionError, TypeError), match="views"):
        build(tmp_path, views=count)
    assert not (tmp_path / ".retrieve").exists()
