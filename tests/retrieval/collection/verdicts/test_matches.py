"""Hits say how probable they are, and a search can leave out what likely is none."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.collection.relevance import Background, fit, write_calibrations
from retrieval.errors import OptionError
from tests.retrieval.collection.relevance.worlds import DIM, background, things, trials

KINDS, EACH = 12, 12


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[retrieval.Collection]:
    rng = np.random.default_rng(0)
    vectors, _ = things(rng, kinds=KINDS, each=EACH)
    with retrieval.create(tmp_path / "made", dim=DIM) as made:
        made.add(vectors)
        calibration = fit(trials(rng), error=0.05)
        write_calibrations(made.directory, made.space, background(rng), {"images": calibration})
        yield made


def kind(hit: retrieval.Hit) -> int:
    return hit.id // EACH


def test_hits_that_are_right_are_probable(photos: retrieval.Collection) -> None:
    answers = photos.search([retrieval.row(number) for number in range(0, KINDS * EACH, EACH)], k=20)

    right = [hit.match for number, hits in enumerate(answers) for hit in hits if kind(hit) == number]
    wrong = [hit.match for number, hits in enumerate(answers) for hit in hits if kind(hit) != number]
    assert all(match is not None and 0 <= match <= 1 for match in (*right, *wrong))
    assert np.mean(right) > 0.5  # usually 0.64
    assert np.mean(wrong) < 0.2  # usually 0.04


def test_the_same_without_what_was_asked_for_is_improbable(photos: retrieval.Collection) -> None:
    others = np.arange(KINDS * EACH) >= EACH

    hits = photos.search(0, k=10, mask=others)

    assert hits.likely == 0
    assert photos.search(0, k=10, mask=others, sure=True) == []


def test_among_few_images_it_is_not_known(photos: retrieval.Collection) -> None:
    hits = photos.search(0, k=3, ids=range(49))

    assert [hit.match for hit in hits] == [None] * 3
    assert all(hit.match is not None for hit in photos.search(0, k=3, ids=range(50)))
    with pytest.raises(OptionError, match="never measured among fewer than 50 images, and 49 are searched"):
        photos.search(0, k=3, ids=range(49), sure=True)


def test_it_depends_on_neither_k_nor_the_batch(photos: retrieval.Collection) -> None:
    ten = photos.search(5, k=10)
    (batched, _) = photos.search([retrieval.row(5), retrieval.row(40)], k=10)

    assert [hit.match for hit in photos.search(5, k=2)] == [hit.match for hit in ten[:2]]
    assert [hit.match for hit in batched] == [hit.match for hit in ten]
    assert [hit.match for hit in photos.search(5, k=10, min_score=0.1)] == [hit.match for hit in ten][
        : len(photos.search(5, k=10, min_score=0.1))
    ]


def test_sure_cuts_where_the_line_is(photos: retrieval.Collection) -> None:
    hits = photos.search(29, k=30)
    sure = photos.search(29, k=30, sure=True)

    assert 0 < len(sure) < len(hits)
    assert len(sure) == hits.likely == sure.likely
    assert list(sure) == list(hits[: len(sure)])


def test_a_hit_keeps_it(photos: retrieval.Collection) -> None:
    (hit,) = photos.search(5, k=1)

    assert hit["match"] == hit.match
    assert pickle.loads(pickle.dumps(hit)).match == hit.match  # noqa: S301 - our own


def test_combined_queries_have_none(photos: retrieval.Collection) -> None:
    both = retrieval.row(3) + retrieval.row(4)

    assert {hit.match for hit in photos.search(both)} == {None}
    assert photos.search(both).likely is None
    assert {hit.match for hit in photos.search(3, minus=retrieval.row(30))} == {None}
    with pytest.raises(OptionError, match="by words alone or by one picture"):
        photos.search(both, sure=True)


def test_without_a_calibration_there_is_none(photos: retrieval.Collection, tmp_path: Path) -> None:
    with retrieval.create(tmp_path / "other", dim=DIM) as other:
        other.add(photos.vectors())

        assert {hit.match for hit in other.search(0)} == {None}
        with pytest.raises(OptionError, match="was not calibrated"):
            other.search(0, sure=True)


def test_nothing_to_find_is_no_error(photos: retrieval.Collection) -> None:
    assert photos.search(0, ids=[0]) == []
    assert photos.search(0, ids=[], sure=True) == []


def test_a_new_calibration_is_seen_at_once(photos: retrieval.Collection) -> None:
    before = [hit.match for hit in photos.search(5)]
    rng = np.random.default_rng(9)

    write_calibrations(
        photos.directory,
        photos.space,
        Background(background(rng).vectors),
        {"images": fit(trials(rng, kinds=5), error=0.05)},
    )

    assert [hit.match for hit in photos.search(5)] != before
