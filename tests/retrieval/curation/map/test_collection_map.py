"""`retrieval.map_images`: near images lie together, the same map twice, labels, words, columns, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.curation.map import ImageMap, collection_map
from retrieval.errors import MissingExtra, OptionError
from retrieval.testing import FakeEncoder
from tests.retrieval.curation.coloured import COUNTS


def folders(found: ImageMap) -> np.ndarray:
    return np.array([path.split("/")[0] for path in found.paths])


def test_pictures_of_one_colour_lie_together(found: ImageMap) -> None:
    gaps = np.linalg.norm(found.positions[:, None] - found.positions, axis=2)
    np.fill_diagonal(gaps, np.inf)

    assert (folders(found)[gaps.argmin(axis=1)] == folders(found)).all()
    assert found.positions.min() == pytest.approx(0)
    assert found.positions.max() == pytest.approx(1)


def test_the_same_rows_give_the_same_map(coloured: Path, words: Path, found: ImageMap) -> None:
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        again = retrieval.map_images(collection, words=words)

    assert np.array_equal(again.positions, found.positions)


def test_groups_folders_and_columns_are_colours(found: ImageMap) -> None:
    assert [coloring.name for coloring in found.colorings][:2] == ["group", "folder"]
    assert dict(zip(found.groups, np.bincount(found.labels)[1:], strict=True)) == COUNTS
    assert {coloring.values for coloring in found.colorings[:2]} == {("red", "green", "blue")}
    assert (np.array(found.groups)[found.labels - 1] == folders(found)).all()
    names = [name for name, _ in found.group_places()]
    assert names == list(found.groups)


def test_a_word_has_the_pictures_nearest_to_it(coloured: Path, found: ImageMap) -> None:
    assert found.words is not None
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        cosines = FakeEncoder().encode_text(found.words.words) @ collection.vectors(found.ids).T

    assert found.words.words == ("blue", "green", "red")
    assert found.words.places.shape == (3, 20)
    assert np.allclose(found.words.scores, -np.sort(-cosines, axis=1)[:, :20], atol=1e-5)
    assert [folders(found)[row[0]] for row in found.words.places] == list(found.words.words)
    assert found.words.absent is not None
    assert not found.words.absent.any()  # nobody knows how probable a match of this encoder is


def test_labels_colour_it_too(coloured: Path, words: Path) -> None:
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        found = retrieval.map_images(
            collection, words=words, labels={"red/00.png": "warm", "blue/00.png": "cold", "gone.png": "warm"}
        )

    label = found.colorings[1]
    assert (label.name, label.values) == ("label", ("cold", "warm"))
    assert (found.unknown, found.first_unknown) == (1, "gone.png")
    assert {
        found.paths[place]: label.values[label.codes[place]] for place in np.flatnonzero(label.codes < 2)
    } == {
        "red/00.png": "warm",
        "blue/00.png": "cold",
    }


def test_filters_leave_images_out(coloured: Path, words: Path) -> None:
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        found = retrieval.map_images(collection, words=words, under="red")

    assert set(folders(found)) == {"red"}
    assert len(found) == COUNTS["red"]


def test_a_large_collection_is_sampled(coloured: Path, words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection_map, "MOST_IMAGES", 13)
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        found = retrieval.map_images(collection, words=words)

    assert (len(found), found.total) == (13, sum(COUNTS.values()))
    assert found.neighbors.places.max() < 13
    assert json.loads(json.dumps(found.to_json()))["shown"] == 13


@pytest.mark.parametrize("count", [0, 1, 2, 3, 11])
def test_few_rows_without_pictures_or_words(tmp_path: Path, count: int) -> None:
    with retrieval.create(tmp_path / "rows", dim=8) as rows:
        if count:
            rows.add(np.random.default_rng(0).standard_normal((count, 8)))
        found = retrieval.map_images(rows)
        page = found.write_page(tmp_path / "map.html")

    assert found.positions.shape == (count, 2)
    assert np.isfinite(found.positions).all()
    assert (page.pictures, page.faults) == (0, {})
    assert found.words is None


def test_equal_rows_have_a_map(tmp_path: Path) -> None:
    with retrieval.create(tmp_path / "rows", dim=8) as rows:
        rows.add(np.repeat(np.eye(8)[:1], 40, axis=0))
        found = retrieval.map_images(rows)

    assert np.isfinite(found.positions).all()
    assert all(place not in row for place, row in enumerate(found.neighbors.places.tolist()))


def test_words_that_cannot_be_read_are_refused(coloured: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none\.txt"):
        retrieval.map_images(coloured, words=tmp_path / "none.txt")


def test_without_the_library_the_extra_is_named(coloured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openTSNE", None)

    with pytest.raises(MissingExtra, match="map"):
        retrieval.map_images(coloured)


def test_sharded_collections_have_groups_picks_and_maps(coloured: Path, words: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(coloured, photos, ignore=shutil.ignore_patterns(".retrieve"))
    retrieval.build_index(photos, encoder=FakeEncoder(), shards=2)

    with retrieval.open(photos, encoder=FakeEncoder()) as collection:
        found = retrieval.map_images(collection, words=words)
        odd = retrieval.outliers(collection, 3)
        telling = retrieval.representatives(collection, 3)
        page = found.write_page(tmp_path / "map.html")

    assert found.ids.max() > 2**31
    assert (np.array(found.groups)[found.labels - 1] == folders(found)).all()
    assert page.pictures == sum(COUNTS.values())
    assert {path.split("/")[0] for path in (image.path for image in telling)} == set(COUNTS)
    assert len(odd) == 3
