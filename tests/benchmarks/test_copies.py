"""What the benchmark of copies counts."""

from __future__ import annotations

import numpy as np

from benchmarks.copies import truth
from benchmarks.copies.peers import recalls
from tools.fit_matching.alterations import PLAIN


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
