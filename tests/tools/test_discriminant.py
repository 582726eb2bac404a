"""Texts are aimed where photographs differ, not where they all lie."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="the teachers need onnx")
from tools.train_nano.measure import unit
from tools.train_nano.targets.discriminant import fit_discriminant, words_of

THINGS = ["dog", "cat", "bus", "boat", "kite", "clock", "horse", "pizza"]


@pytest.fixture(scope="module")
def scenes():
    """400 photographs of two things each, beneath four directions that differ most and mean nothing."""
    numbers = np.random.default_rng(0)
    shown = np.array([numbers.choice(len(THINGS), 2, replace=False) for _ in range(400)])
    meaning = numbers.standard_normal((len(THINGS), 32))
    rows = meaning[shown].sum(1) + 3 * numbers.standard_normal((400, 4)) @ numbers.standard_normal((4, 32))
    rows = unit(rows + 0.3 * numbers.standard_normal(rows.shape))
    captions = [f"A {THINGS[a]} beside two {THINGS[b]}s" for a, b in shown]
    return rows, captions, shown


def found(texts, rows, shown):
    """Share of the ten nearest of each thing's text that show it."""
    nearest = np.argsort(-(texts @ rows.T), axis=1)[:, :10]
    return np.mean([(shown[nearest[i]] == i).any(1).mean() for i in range(len(texts))])


def test_sharpened_texts_find_more_of_other_photographs(scenes):
    rows, captions, shown = scenes
    places = np.stack([rows[:200][(shown[:200] == i).any(1)].mean(0) for i in range(len(THINGS))])
    learnt = fit_discriminant(rows[:200], captions[:200], rows[:200])
    sharp = learnt.sharpen(THINGS, places)

    np.testing.assert_allclose(np.linalg.norm(sharp, axis=1), 1, atol=1e-5)
    before, after = found(unit(places), rows[200:], shown[200:]), found(sharp, rows[200:], shown[200:])
    assert after > before + 0.2


def test_a_text_of_unknown_words_is_only_divided_by_the_spread(scenes):
    rows, captions, _ = scenes
    learnt = fit_discriminant(rows, captions, rows)
    place = unit(rows[:1])

    expected = unit(place + unit(place @ learnt.divided))
    np.testing.assert_allclose(learnt.sharpen(["unheard of"], place), expected, atol=1e-6)
    assert np.abs(learnt.sharpen(["some dogs"], place) - expected).max() > 0.01


def test_plurals_are_their_singulars():
    said = "Two Buses, puppies and ties; benches, glasses on grass, dogs of women"
    assert words_of(said) == {
        "two", "bus", "puppy", "and", "tie", "bench", "glass", "on", "grass", "dog", "of", "woman",
    }  # fmt: skip
    assert words_of("a bus is his") == {"a", "bus", "is", "his"}
