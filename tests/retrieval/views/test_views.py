"""Parts of images are found for their images, and follow these through every change."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval
from indexes.errors import ManifestTooNew
from indexes.generation import read_manifest
from retrieval.errors import OptionError
from retrieval.testing import FakeEncoder
from retrieval.views import cut, windows
from tests.retrieval.folders import fill, picture

NAMES = [f"{place}/{number}.png" for place in ("a", "b") for number in range(6)]
SIZE = 48


class Counting(FakeEncoder):
    """A fake that counts what it encodes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.counts: Counter[str] = Counter()

    def encode_pixels(self, batch):
        self.counts["pixels"] += len(batch)
        return super().encode_pixels(batch)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", NAMES)


def built(home: Path, **options: Any) -> retrieval.BuildReport:
    return retrieval.build_index(home, **{"encoder": FakeEncoder(), "progress": False} | options)


def opened(home: Path) -> retrieval.Collection:
    return retrieval.open(home, encoder=FakeEncoder())


def vector(image: Any) -> np.ndarray:
    encoder = FakeEncoder()
    return encoder.encode_pixels(encoder.preprocess(image)[np.newaxis])[0]


def by_hand(
    numbers: list[int], number: int, query: np.ndarray
) -> list[tuple[float, int, list[float] | None]]:
    """Return score, picture and region of each of some pictures, best first."""
    found = []
    for which in numbers:
        whole = picture(which)
        parts: list[tuple[float, list[float] | None]] = [(float(vector(whole) @ query), None)]
        parts += [(float(vector(cut(whole, box)) @ query), list(box)) for box in windows(number)]
        score, region = max(parts, key=lambda part: part[0])
        found.append((score, which, region))
    return sorted(found, key=lambda one: -one[0])


def compare(hits: Any, expected: list[tuple[float, int, list[float] | None]]) -> None:
    assert [NAMES.index(hit.path) for hit in hits] == [which for _, which, _ in expected]
    np.testing.assert_allclose([hit.score for hit in hits], [score for score, _, _ in expected], atol=2e-3)
    assert [hit.region and np.round(hit.region, 3).tolist() for hit in hits] == [
        region and np.round(region, 3).tolist() for _, _, region in expected
    ]


def test_a_part_is_found_first_and_named(home):
    built(home, views=9)
    box = windows(9)[6]
    with opened(home) as photos:
        first, second = photos.search(cut(picture(4), box), k=2)
        whole = photos.search(picture(4), k=1)[0]

        assert (first.path, first.region) == (NAMES[4], [round(number, 4) for number in box])
        assert first.score == pytest.approx(1, abs=2e-3)
        assert second.path != first.path
        assert (whole.path, whole.region) == (NAMES[4], None)


@pytest.mark.parametrize("number", [1, 4, 13])
def test_each_image_counts_by_the_best_of_it_and_its_views(home, number):
    built(home, views=number)
    queries = [vector(picture(100 + seed, size=16)) for seed in range(4)]
    with opened(home) as photos:
        for query in queries:
            compare(photos.search(query, k=5), by_hand(list(range(12)), number, query)[:5])
            below = photos.search(query, k=5, under="b")
            compare(below, by_hand(list(range(6, 12)), number, query)[:5])
            compare(photos.search(query, k=2, ids=["a/1.png", "b/3.png"]), by_hand([1, 9], number, query))
            mask = np.arange(12) % 3 == 0
            compare(photos.search(query, k=9, mask=mask), by_hand([0, 3, 6, 9], number, query))
        together = photos.search([retrieval.vector(query) for query in queries], k=5)

        for query, hits in zip(queries, together, strict=True):
            compare(hits, by_hand(list(range(12)), number, query)[:5])


def test_everything_else_speaks_of_images_only(home):
    plain, viewed = home, shutil.copytree(home, home.parent / "viewed")
    built(plain)
    report = built(viewed, views=5)
    with opened(plain) as one, opened(viewed) as other:
        query = vector(picture(50))

        assert (report.images, report.encoded) == (12, 12)
        assert report.views == {"per_image": 5, "count": 60, "encoded": 60, "failed": 0}
        assert (len(one), list(one)) == (len(other), list(other))
        np.testing.assert_array_equal(one.vectors(), other.vectors())
        assert one.search_vectors(query, k=12).ids.tolist() == other.search_vectors(query, k=12).ids.tolist()
        assert other.info()["images"] == 12
        assert other.info()["views"]["count"] == 60
        assert (one.info()["views"], one.info()["format"], other.info()["format"]) == (None, 5, 6)
        assert "region" not in one.search(query)[0]
        assert "region" in other.search(query)[0]


def test_views_are_added_to_a_collection_without_encoding_its_images(home):
    built(home)
    encoder = Counting()
    report = built(home, views=4, encoder=encoder)
    probes = encoder.counts["pixels"] - 12 * 4

    assert report.encoded == 0
    assert report.views is not None
    assert report.views["encoded"] == 48
    assert probes < 12  # what the encoder is compared by


def test_a_build_without_the_option_keeps_the_number_and_encodes_what_is_new(home):
    built(home, views=4)
    fill(home, ["c/new.png"], first=40)
    report = built(home)
    again = built(home)

    assert report.views == {"per_image": 4, "count": 52, "encoded": 4, "failed": 0}
    assert again.views == {"per_image": 4, "count": 52, "encoded": 0, "failed": 0}
    with opened(home) as photos:
        hit = photos.search(cut(picture(40), windows(4)[0]), k=1)[0]

        assert (hit.path, hit.region is None) == ("c/new.png", False)


def test_moved_and_copied_files_keep_their_views_and_deleted_ones_lose_them(home):
    built(home, views=4)
    (home / "a/0.png").rename(home / "moved.png")
    shutil.copy(home / "a/1.png", home / "copy.png")
    (home / "a/2.png").unlink()
    report = built(home)

    assert report.views == {"per_image": 4, "count": 44, "encoded": 0, "failed": 0}
    box = windows(4)[1]
    with opened(home) as photos:
        moved = photos.search(cut(picture(0), box), k=1)[0]
        copies = photos.search(cut(picture(1), box), k=2, fold_duplicates=False)
        below = photos.search(cut(picture(1), box), k=1, glob="copy.png")[0]
        gone = photos.search(cut(picture(2), box), k=1)[0]

        assert moved.path == "moved.png"
        assert {hit.path for hit in copies} == {"a/1.png", "copy.png"}
        assert all(hit.region is not None for hit in copies)
        assert (below.path, below.region is None) == ("copy.png", False)
        assert gone.score < 0.99


def test_the_last_of_several_copies_keeps_the_views(home):
    shutil.copy(home / "a/1.png", home / "copy.png")
    built(home, views=4)
    (home / "a/1.png").unlink()
    report = built(home)
    with opened(home) as photos:
        hit = photos.search(cut(picture(1), windows(4)[2]), k=1)[0]

        assert report.views is not None
        assert report.views["count"] == 48
        assert (hit.path, hit.region is None) == ("copy.png", False)


def test_another_number_makes_them_anew_and_none_drops_them(home):
    built(home, views=4)
    more = built(home, views=9)
    assert more.views == {"per_image": 9, "count": 108, "encoded": 108, "failed": 0}
    none = built(home, views=0)
    assert none.views is None
    manifest = read_manifest(home / ".retrieve")
    assert (manifest.views, manifest.format, "views.npy" in manifest.files) == (0, 5, False)
    assert not (home / ".retrieve" / "views").exists()
    assert built(home).views is None


def test_an_interrupted_build_keeps_what_it_had(home, monkeypatch):
    monkeypatch.setattr("indexes.store.commit_pace.SECONDS", -1.0)
    built(home)

    class Failing(Counting):
        def encode_pixels(self, batch):
            if self.counts["pixels"] > 24:
                raise KeyboardInterrupt
            return super().encode_pixels(batch)

    with pytest.raises(KeyboardInterrupt):
        built(home, views=9, encoder=Failing())
    report = built(home)

    assert report.views is not None
    assert report.views["count"] == 108
    assert 0 < report.views["encoded"] < 108


def test_older_versions_refuse_by_name(home, monkeypatch):
    built(home, views=1)
    monkeypatch.setattr("indexes.generation.description.description.FORMAT", 5)
    with pytest.raises(ManifestTooNew, match="format 6"):
        read_manifest(home / ".retrieve")


def test_an_upgrade_and_a_rollback_are_refused_by_name(home):
    fill(home, [f"more/{number}.png" for number in range(40)], first=200)
    built(home, views=1)
    other = FakeEncoder(name="other")
    with pytest.raises(OptionError, match=r"an upgrade .* keeps 1 .*build_index\(views=0\)"):
        retrieval.upgrade(home, encoder=other, old_encoder=FakeEncoder())
    with pytest.raises(OptionError, match=r"a rollback .*build_index\(views=0\)"):
        retrieval.rollback(home)
    built(home, views=0)
    retrieval.upgrade(home, encoder=other, old_encoder=FakeEncoder(), sample=50, method="ridge", force=True)
    with pytest.raises(OptionError, match="an upgrade is under way"):
        built(home, views=2, encoder=other)


def test_rows_by_hand_have_no_views(home):
    built(home, views=4)
    with opened(home) as photos:
        photos.add_images([picture(70)], keys=["by hand"])
        photos.add(vector(picture(71))[np.newaxis], keys=["a vector"])
        hit = photos.search(picture(70), k=1)[0]

        assert (hit.path, hit.region) == ("by hand", None)
    report = built(home)
    assert report.views == {"per_image": 4, "count": 48, "encoded": 0, "failed": 0}


@pytest.mark.parametrize("number", [-1, 65, 2.5, True, "4"])
def test_a_number_that_cannot_be_is_refused_before_anything_is_written(home, number):
    with pytest.raises(OptionError, match="views is"):
        built(home, views=number)
    assert not (home / ".retrieve").exists()


def test_a_stored_row_does_not_find_itself_by_its_views(home):
    built(home, views=4)
    with opened(home) as photos:
        number = photos.id_of("a/0.png")

        assert "a/0.png" not in [hit.path for hit in photos.search(retrieval.row(number), k=11)]


def test_an_open_collection_goes_on_answering_while_views_come_and_go(home):
    built(home, views=4)
    query = cut(picture(3), windows(4)[0])
    with opened(home) as photos:
        before = [(hit.path, hit.region) for hit in photos.search(query, k=5)]
        built(home, views=0)
        assert [(hit.path, hit.region) for hit in photos.search(query, k=5)] == before
        photos.refresh()
        assert "region" not in photos.search(query, k=1)[0]
