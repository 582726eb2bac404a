"""The first hits are compared with the picture that was asked with: the same picture comes first, and says where."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import retrieval
from retrieval.collection import FeatureStore
from retrieval.collection.answers import Hit
from retrieval.collection.verdicts import verification
from retrieval.errors import OptionError
from retrieval.testing import FakeEncoder

pytest.importorskip("cv2", reason="comparing pictures needs OpenCV")
skimage = pytest.importorskip("skimage", reason="the photographs come with scikit-image")

NAMES = ("astronaut", "coffee", "chelsea", "brick", "gravel", "grass", "camera", "text", "motorcycle_left")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verified") / "photos"
    folder.mkdir()
    for name in NAMES:
        with Image.open(Path(skimage.__file__).parent / "data" / f"{name}.png") as image:
            small = image.convert("RGB")
        small.thumbnail((300, 300))
        small.save(folder / f"{name}.png")
    retrieval.build_index(folder, encoder=FakeEncoder())
    return folder


@pytest.fixture
def collection(photos: Path) -> retrieval.Collection:
    with retrieval.open(photos, encoder=FakeEncoder()) as opened:
        yield opened


@pytest.fixture
def part(photos: Path) -> Image.Image:
    """The left upper quarter of the cup of coffee, mirrored."""
    with Image.open(photos / "coffee.png") as image:
        width, height = image.size
        return ImageOps.mirror(image.crop((0, 0, width // 2, height // 2)))


def test_the_same_picture_comes_first_and_says_where(
    collection: retrieval.Collection, part: Image.Image
) -> None:
    plain = collection.search(part, k=9)
    found = collection.search(part, k=9, verify=True)
    first, *others = found

    assert (first.path, first.rank, first.verified, first.relation) == ("coffee.png", 1, True, "picture")
    assert np.allclose(first.outline, [(0.5, 0), (0, 0), (0, 0.5), (0.5, 0.5)], atol=0.02)
    assert first.verified_probability > 0.9
    assert [hit.verified for hit in others] == [False] * 8
    assert [hit.path for hit in others] == [hit.path for hit in plain if hit.path != "coffee.png"]
    assert [hit.rank for hit in found] == list(range(1, 10))
    assert {hit.path: hit.score for hit in found} == {hit.path: hit.score for hit in plain}
    assert (found.checked, plain.checked) == (9, None)
    assert (plain[0].verified, "verified" in plain[0]) == (None, False)


def test_more_hits_are_checked_than_given(collection: retrieval.Collection, part: Image.Image) -> None:
    ranks = [hit.path for hit in collection.search(part, k=9)]
    place = ranks.index("coffee.png") + 1

    (only,) = collection.search(part, k=1, verify=True)
    just = collection.search(part, k=9, verify=place)

    assert only.path == just[0].path == "coffee.png"
    assert [hit.verified for hit in just] == [True] + [False] * (place - 1) + [None] * (9 - place)
    assert just.checked == place


def test_a_row_and_a_batch_are_checked(collection: retrieval.Collection, part: Image.Image) -> None:
    number = collection.id_of("coffee.png")
    one, two, wrong = collection.search(
        [part, retrieval.row(number), "words"], k=3, verify=9, include_self=True
    )

    assert (one[0].path, two[0].path) == ("coffee.png", "coffee.png")
    assert two[0].verified
    assert isinstance(wrong.error, OptionError)


def test_a_hit_that_cannot_be_read_stays_a_hit(photos: Path, part: Image.Image, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("coffee", "chelsea"):
        (folder / f"{name}.png").write_bytes((photos / f"{name}.png").read_bytes())
    retrieval.build_index(folder, encoder=FakeEncoder())
    (folder / "chelsea.png").unlink()
    with retrieval.open(folder, encoder=FakeEncoder()) as opened:
        found = opened.search(part, verify=True)

    assert [(hit.path, hit.verified) for hit in found] == [("coffee.png", True), ("chelsea.png", None)]


def test_words_cannot_be_compared(collection: retrieval.Collection, part: Image.Image) -> None:
    with pytest.raises(OptionError, match="the query has none"):
        collection.search("a cup", verify=True)
    with pytest.raises(OptionError, match="the query has 2"):
        collection.search(retrieval.image(part) + retrieval.row(0), verify=True)
    with pytest.raises(OptionError, match="verify"):
        collection.search(part, verify=-1)


def test_what_was_found_survives_pickle_and_slices(
    collection: retrieval.Collection, part: Image.Image
) -> None:
    found = collection.search(part, verify=True)
    again = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own

    assert dict(again[0]) == dict(found[0])
    assert (again[0].outline, found[:1].checked) == (found[0].outline, found.checked)


def test_fifty_are_checked_by_default() -> None:
    assert verification.CHECKED == 50


def test_features_that_are_kept_are_not_made_again(
    photos: Path, part: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrieval.duplicates(photos, kinds=("picture",))
    with FeatureStore(photos / ".retrieve") as store:
        kept = len(store)
    with retrieval.open(photos, encoder=FakeEncoder()) as collection:
        usual = collection.search(part, k=9, verify=True)
        decoded, really = [], Hit.open
        monkeypatch.setattr(Hit, "open", lambda hit: decoded.append(hit.path) or really(hit))
        found = collection.search(part, k=9, verify=True)

    assert kept > 0
    assert len(decoded) == 9 - kept
    assert [(hit.path, hit.relation) for hit in found] == [(hit.path, hit.relation) for hit in usual]
