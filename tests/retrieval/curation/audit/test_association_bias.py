"""Association bias: effect, probability, interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.curation.audit import association
from retrieval.curation.audit.association_bias import Association, measure_association
from retrieval.errors import OptionError

NAMES = (("x", "y"), ("a", "b"))


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def measured(lean: float, *, members: int = 12, seed: int = 0) -> Association:
    """Two targets, of which the first leans to the first attribute."""
    rng = np.random.default_rng(seed)
    near_a, near_b = np.eye(2, 32)
    x = unit(rng.standard_normal((members, 32)) + lean * near_a)
    y = unit(rng.standard_normal((members, 32)) + lean * near_b)
    a, b = (unit(one + 0.1 * rng.standard_normal((5, 32))) for one in (near_a, near_b))
    return measure_association((x, y), (a, b), names=NAMES)


def test_a_strong_leaning_is_seen() -> None:
    found = measured(3.0)

    assert found.effect > 1.2
    assert found.p < 0.001
    assert found.interval[0] > 0
    assert found.interval[0] <= found.effect <= found.interval[1] + 0.2
    assert found.means[0][0] > found.means[0][1]
    assert found.found_first[0] > 0.9 > found.expected > 0.1 > found.found_first[1]


def test_without_leaning_p_is_even() -> None:
    chances = [measured(0.0, seed=seed).p for seed in range(8)]

    assert 0.3 < np.mean(chances) < 0.7


def test_the_other_way_round_the_sign_turns() -> None:
    rng = np.random.default_rng(4)
    x, y, a, b = (unit(rng.standard_normal((6, 16))) for _ in range(4))

    one = measure_association((x, y), (a, b), names=NAMES)
    other = measure_association((y, x), (a, b), names=NAMES)

    assert one.effect == pytest.approx(-other.effect)
    assert one.p + other.p >= 1  # both count the division that there is


def test_all_divisions_of_small_targets_are_tried() -> None:
    """Four members have six divisions into two and two: the best one is one of six."""
    a, b = np.eye(2, 4, dtype=np.float32)[:1], np.eye(2, 4, dtype=np.float32)[1:]
    x = unit(np.array([[5, 1, 0, 0], [4, 1, 0, 0]], float))
    y = unit(np.array([[1, 5, 0, 0], [1, 4, 0, 0]], float))

    assert measure_association((x, y), (a, b), names=NAMES).p == pytest.approx(1 / 6)


def test_sets_are_folders_rows_or_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    with retrieval.create(tmp_path / "rows", dim=8) as rows:
        rows.add(
            rng.standard_normal((8, 8)) + np.repeat(np.eye(2, 8), 4, axis=0) * 9,
            [f"{folder}/{number}.jpg" for folder in ("one", "two") for number in range(4)],
        )
        rows.add(np.eye(2, 8), ["a", "b"])
        found = association(rows, (Path("one"), [4, 5, 6, 7]), ([retrieval.row(8)], [retrieval.row(9)]))

        assert found.sizes == (4, 4, 1, 1)
        assert found.effect > 1
        with pytest.raises(OptionError, match="0 members"):
            association(rows, (Path("one"), [6, 7]), ([8], []))
        with pytest.raises(OptionError, match="2 at least"):
            association(rows, (Path("one"), [7]), ([8], [9]))
        with pytest.raises(OptionError, match="two"):
            association(rows, (Path("one"),), ([8], [9]))
