"""`retrieval.outliers`: the oddest images first, by exact neighbours, copies or not."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import retrieval
from retrieval.curation.picks import odd_images
from retrieval.errors import OptionError


def crowd(numbers: np.random.Generator, count: int) -> np.ndarray:
    """Return rows of two tight groups."""
    centres = np.repeat(np.eye(32)[:2], [count, count], axis=0)
    return centres + 0.03 * numbers.standard_normal((2 * count, 32))


@pytest.fixture
def rows(tmp_path: Path):
    """Forty rows of two groups; rows 40 and 41 are like nothing, 42 and 43 are copies of another such row."""
    numbers = np.random.default_rng(7)
    odd = np.eye(32)[[10, 20, 30, 30]]
    with retrieval.create(tmp_path / "rows", dim=32) as collection:
        collection.add(np.concatenate([crowd(numbers, 20), odd]))
        yield collection


def test_rows_like_no_other_come_first_and_copies_do_not_hide(rows) -> None:
    found = retrieval.outliers(rows, 4)

    assert {image.id for image in found} == {40, 41, 42, 43}
    assert [image.score for image in found] == sorted(image.score for image in found)
    assert found.below_fence == 4
    assert found.typical > 0.9


def test_a_score_is_the_mean_cosine_with_the_nearest_others(rows) -> None:
    found = retrieval.outliers(rows, 44, neighbors=3)

    cosines = rows.vectors() @ rows.vectors().T
    np.fill_diagonal(cosines, -2)
    expected = np.sort(cosines, axis=1)[:, -3:].mean(axis=1)
    assert {image.id: pytest.approx(float(expected[image.id]), abs=1e-3) for image in found} == {
        image.id: image.score for image in found
    }


def test_one_neighbour_is_hidden_by_a_copy(rows) -> None:
    assert {image.id for image in retrieval.outliers(rows, 2, neighbors=1)} == {40, 41}


def test_only_images_that_pass_the_filters_count_as_neighbours(rows) -> None:
    found = retrieval.outliers(rows, 50, glob="4*")

    assert {image.id for image in found} == {4, 40, 41, 42, 43}
    assert max(image.score for image in found) < 0.5


def test_blocks_change_nothing(rows) -> None:
    whole = retrieval.outliers(rows, 10)
    with mock.patch.object(odd_images, "_BLOCK", 7):
        assert retrieval.outliers(rows, 10) == whole


def test_one_image_has_no_others(tmp_path: Path) -> None:
    with retrieval.create(tmp_path / "rows", dim=4) as rows:
        rows.add(np.eye(4)[:1])

        assert len(retrieval.outliers(rows)) == 0


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 10_001}, {"neighbors": 0}, {"neighbors": 101}])
def test_what_cannot_be_is_refused(rows, options) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        retrieval.outliers(rows, **options)


def test_only_outliers_have_a_fence(rows) -> None:
    with pytest.raises(OptionError, match="facility-location have no fence"):
        _ = retrieval.representatives(rows, 2).below_fence
