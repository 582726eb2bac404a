"""What the benchmark of copies counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from benchmarks.copies.pairs import false_pairs
from benchmarks.copies.photographs import truth
from benchmarks.copies.run import Run
from benchmarks.copies.searches.peers import recalls
from retrieval.matching import compare, features
from retrieval.matching.comparison import evidence
from tools.fit_matching.alterations import PLAIN
from tools.fit_matching.drawings import designed, drawn


def test_copies_are_counted_above_the_threshold_of_the_precision() -> None:
    """Two photographs, nine alterations; all copies of the second look like a third photograph but those of the last way."""
    ways, number = len(PLAIN), 2
    own = np.tile(np.arange(number), ways)
    scores = np.zeros((len(own), 4))
    scores[np.arange(len(own)), own] = np.where(own == 0, 0.9, 0.5)
    scores[own == 1, 2] = 0.6
    scores[-1] = (0, 0.95, 0, 0)
    doubles = np.zeros(scores.shape, np.bool_)
    found = recalls(scores, own, doubles, number)

    assert found["all"] == round((ways + 1) / (2 * ways), 4)
    assert [found[way] for way in PLAIN] == [0.5] * (ways - 1) + [1.0]
    doubles[:, 2] = True  # the third is the second under another name

    assert recalls(scores, own, doubles, number)["all"] == 1


def test_pairs_that_were_looked_at_are_known_either_way_round() -> None:
    relation, one, other = truth.JUDGED.read_text().splitlines()[0].split("\t")[:3]

    assert truth.relation_of(one, other) == truth.relation_of(other, one) == relation
    assert truth.relation_of(one, "images/none.webp") == ""


def drawings(number: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    ground = Image.new("RGB", (64, 64), "grey")
    return [drawn(designed(rng), rng, ground=ground) for _ in range(number)]


def test_a_copy_agrees_in_part_at_least_and_another_drawing_does_not() -> None:
    one, other = (features(image) for image in drawings(2))
    copy = features(ImageOps.mirror(drawings(1)[0]))
    agree = [
        any(false_pairs.agrees(found.pixels) for found in evidence(a, b))
        for a, b in ((copy, one), (one, other))
    ]

    assert compare(copy, one).verified
    assert agree == [True, False]


def test_the_likest_pairs_are_compared_first_and_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = dict(zip("abcde", drawings(5), strict=True))
    monkeypatch.setattr(false_pairs, "HITS", 3)
    monkeypatch.setattr(false_pairs, "BANDS", (2, 4))
    monkeypatch.setattr(false_pairs, "opened", lambda _, name: images[name])
    rows = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    run = Run(data=tmp_path, number=0, work=tmp_path, minutes=1.0)
    likest = false_pairs.likest_pairs(rows)
    whole = list(false_pairs.compared(run, list(images), likest, []))
    pairs = [frozenset((line.query, other)) for line in whole for other in line.others]
    again = list(false_pairs.compared(run, list(images), likest, whole[:2]))
    products = rows @ rows.T
    np.fill_diagonal(products, -np.inf)
    nearest = np.argsort(-products, axis=1)[:, :3]

    assert likest.named.sum() == 5 * 3
    assert set(pairs) == {
        frozenset((one, other)) for one, others in enumerate(nearest.tolist()) for other in others
    }
    assert len(pairs) == len(set(pairs)) == len(likest.pairs)
    assert set(pairs[:2]) == {frozenset(pair) for pair in likest.pairs[:2].tolist()}
    assert (np.diff(likest.cosines) <= 0).all()
    assert [pair for line in again for pair in line.others] == [
        pair for line in whole[2:] for pair in line.others
    ]
