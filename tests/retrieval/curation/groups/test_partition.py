"""Vectors in groups: those that were made are found, the same each time, in blocks or at once."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from retrieval.curation.groups import partition as module
from retrieval.curation.groups.partition import partition

SIZES = (60, 40, 25)


@pytest.fixture
def rows() -> np.ndarray:
    numbers = np.random.default_rng(2)
    centres = np.linalg.qr(numbers.standard_normal((32, 32)))[0][: len(SIZES)]
    found = np.repeat(centres, SIZES, axis=0) + 0.05 * numbers.standard_normal((sum(SIZES), 32))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_groups_that_were_made_are_found_largest_first(rows: np.ndarray) -> None:
    found = partition(lambda places: rows[places], len(rows))

    assert found.labels.tolist() == np.repeat([0, 1, 2], SIZES).tolist()
    assert np.allclose(found.means, [rows[found.labels == one].mean(axis=0) for one in range(3)], atol=1e-6)


@pytest.mark.parametrize("number", [1, 2, 5, 125])
def test_as_many_as_asked_for(rows: np.ndarray, number: int) -> None:
    found = partition(lambda places: rows[places], len(rows), number=number)

    assert len(found.means) == number
    assert np.bincount(found.labels).tolist() == sorted(np.bincount(found.labels).tolist(), reverse=True)


def test_equal_rows_are_one_group(rows: np.ndarray) -> None:
    same = np.repeat(rows[:1], 30, axis=0)

    assert partition(lambda places: same[places], 30).labels.tolist() == [0] * 30
    assert partition(lambda places: same[places], 30, number=4).labels.tolist() == [0] * 30


def test_rows_beyond_the_sample_join_the_nearest_group_block_by_block(rows: np.ndarray) -> None:
    told: list[int] = []

    with mock.patch.multiple(module, _SAMPLE=60, _BLOCK=50):
        found = partition(lambda places: rows[places], len(rows), told=told.append)

    assert found.labels.tolist() == np.repeat([0, 1, 2], SIZES).tolist()
    assert told == [50, 100, 125]


def test_what_was_found_is_found_again(rows: np.ndarray) -> None:
    noise = np.random.default_rng(4).standard_normal((200, 24)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    once, again = (partition(lambda places: noise[places], 200, number=9) for _ in range(2))

    assert once.labels.tolist() == again.labels.tolist()
