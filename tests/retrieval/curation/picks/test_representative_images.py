"""`retrieval.representatives`: what stands for all others, how many each stands for, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import retrieval
from retrieval.curation.picks import METHODS, representative_images
from retrieval.errors import OptionError
from retrieval.testing import FakeEncoder
from tests.retrieval.curation.coloured import COUNTS


@pytest.fixture
def collection(coloured: Path):
    with retrieval.open(coloured, encoder=FakeEncoder()) as opened:
        yield opened


@pytest.mark.parametrize("method", METHODS)
def test_three_images_stand_for_three_colours(collection, method: str) -> None:
    found = retrieval.representatives(collection, 3, method=method)

    assert {image.path.split("/")[0]: image.stands_for for image in found} == COUNTS
    assert found.total == found.sampled == sum(COUNTS.values())


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_mean_cosines_with_what_each_stands_for(collection, method: str) -> None:
    found = retrieval.representatives(collection, 4, method=method)

    cosines = collection.vectors() @ collection.vectors([image.id for image in found]).T
    nearest = cosines.argmax(axis=1)
    for place, image in enumerate(found):
        assert image.stands_for == int((nearest == place).sum())
        assert image.score == pytest.approx(float(cosines[nearest == place, place].mean()), abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_shorter_list_is_the_beginning_of_a_longer_one(collection, method: str) -> None:
    long, short = (retrieval.representatives(collection, n, method=method) for n in (40, 5))

    assert [image.id for image in long[:5]] == [image.id for image in short]
    assert sorted(image.id for image in long) == list(range(sum(COUNTS.values())))


def test_every_image_is_counted_where_only_some_could_be_chosen(collection) -> None:
    few = mock.patch.dict(representative_images._SAMPLES, {"facility-location": 10})

    with few, mock.patch.object(representative_images, "_BLOCK", 4):
        found = retrieval.representatives(collection, 3)

    assert (found.sampled, found.total) == (10, 27)
    assert sum(image.stands_for for image in found) == 27


def test_only_images_that_pass_the_filters(collection) -> None:
    found = retrieval.representatives(collection, 30, under="green")

    assert len(found) == COUNTS["green"]
    with pytest.raises(OptionError, match=r"no image passes `glob=.nothing\*.`"):
        retrieval.representatives(collection, glob="nothing*")


def test_json_csv_and_page(tmp_path: Path, collection) -> None:
    found = retrieval.representatives(collection, 3)
    found.write_page(tmp_path / "page.html")

    facts = json.loads(json.dumps(found.to_json()))
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")

    assert [one["path"] for one in facts["images"]] == [row["path"] for row in rows]
    assert [str(one["stands_for"]) for one in facts["images"]] == [row["stands_for"] for row in rows]
    assert "<h1>3 representatives of 27 images</h1>" in text
    assert text.count('class="frame" href=') == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "`n` is 0"),
        ({"n": 5001}, "`n` is 5"),
        ({"method": "median"}, "`method` is 'median'; give one of"),
    ],
)
def test_what_cannot_be_is_refused(collection, options, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        retrieval.representatives(collection, **options)


def test_rows_without_files_can_stand_for_others(tmp_path: Path) -> None:
    with retrieval.create(tmp_path / "rows", dim=8) as rows:
        rows.add(np.eye(8)[:3], keys=["a", "b", "c"])

        assert {image.path for image in retrieval.representatives(rows)} == {"a", "b", "c"}
