"""With views, a picture that was pasted into another one is found by the whole, and the whole by the picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.collection.verdicts.query_parts import PARTS, set_small
from retrieval.testing import FakeEncoder
from retrieval.views import windows
from tests.retrieval.collection.verdicts.test_verification import photos

__all__ = ["photos"]  # the fixture

BOX = windows(PARTS)[-1]


@pytest.fixture
def viewed(photos: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "viewed"
    shutil.copytree(photos, folder, ignore=shutil.ignore_patterns(".retrieve"))
    retrieval.build_index(folder, encoder=FakeEncoder(), views=PARTS)
    return folder


def collage(photos: Path) -> Image.Image:
    """Return the brick wall with the small cat in one of the windows that pictures are cut into."""
    page = Image.open(photos / "brick.png").convert("RGB").resize((640, 640))
    x, y, width, height = (round(640 * share) for share in BOX)
    page.paste(Image.open(photos / "chelsea.png").convert("RGB").resize((width, height)), (x, y))
    return page


def test_a_collage_finds_the_picture_in_it(photos: Path, viewed: Path) -> None:
    for name in ("brick.png", "gravel.png", "grass.png"):  # no picture of what is around it
        (viewed / name).unlink()
    retrieval.build_index(viewed, encoder=FakeEncoder())
    page = collage(photos)
    with retrieval.open(viewed, encoder=FakeEncoder()) as opened:
        found = opened.search(page, k=2, verify=1)
        first = found[0]
        without = opened.search(page, k=2, verify=1, mask=~opened.mask(glob="chelsea.png"))

        assert (first.path, first.rank, first.verified) == ("chelsea.png", 1, True)
        assert found.checked == 2
        x, y, width, height = BOX  # the whole page, as shares of the cat
        left, top = -x / width, -y / height
        corners = [
            (left, top),
            (left + 1 / width, top),
            (left + 1 / width, top + 1 / height),
            (left, top + 1 / height),
        ]
        assert np.allclose(first.outline, corners, atol=0.1)
        assert [hit.rank for hit in found] == [1, 2]
        assert found[1].path != "chelsea.png"
        assert not any(hit.verified for hit in without)


def test_a_picture_finds_the_collage_that_shows_it(photos: Path, viewed: Path) -> None:
    (viewed / "chelsea.png").unlink()
    collage(photos).save(viewed / "page.png")
    retrieval.build_index(viewed, encoder=FakeEncoder())
    with retrieval.open(viewed, encoder=FakeEncoder()) as opened:
        cat = Image.open(photos / "chelsea.png")
        (first,) = opened.search(cat, k=1, verify=3)

        assert (first.path, first.verified) == ("page.png", True)
        assert np.allclose(first.region, BOX, atol=1e-3)
        x, y, width, height = BOX
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        assert np.allclose(first.outline, corners, atol=0.02)


def test_without_views_the_query_is_not_cut(photos: Path) -> None:
    page = collage(photos)
    with retrieval.open(photos, encoder=FakeEncoder()) as opened:
        found = opened.search(page, k=2, verify=1, mask=~opened.mask(glob="brick.png"))

        assert found.checked == 1


def test_a_picture_is_set_small_in_its_own_colours(photos: Path) -> None:
    picture = Image.open(photos / "chelsea.png").convert("L")

    small = set_small(picture)

    width, height = small.size
    assert small.mode == "RGB"
    assert abs(picture.width / width - 0.62) < 0.01
    left, top = (width - picture.width) // 2, (height - picture.height) // 2
    middle = small.crop((left, top, left + picture.width, top + picture.height))
    assert np.array_equal(np.asarray(middle), np.asarray(picture.convert("RGB")))
    assert np.asarray(small)[: top // 2].std() < np.asarray(picture).std()  # blurred
