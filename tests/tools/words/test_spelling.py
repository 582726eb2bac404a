"""Names as people misspell and inflect them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="typos are those of training, which needs torch")

from tools.train_nano.words.spelling import COMMON, Right, by_way, inflected, spelled


def test_plurals_follow_the_rules_and_their_exceptions():
    forms = {
        word: inflected(word)
        for word in ("dog", "church", "tomato", "piano", "kangaroo", "lady", "toy", "sheep", "bus")
    }

    assert forms == {
        "dog": "dogs", "church": "churches", "tomato": "tomatoes", "piano": "pianos", "kangaroo": "kangaroos", "lady": "ladies", "toy": "toys",
        "sheep": None, "bus": "buses",
    }  # fmt: skip


def test_plurals_stay_and_irregular_words_have_their_own():
    plural = ("airplanes", "scissors", "satsumas", "carrots", "golden delicious", "asparagus", "sheep")
    assert [word for word in plural if inflected(word) is not None] == []
    irregular = {
        "musk ox": "musk oxen",
        "grand piano": "grand pianos",
        "octopus": "octopuses",
        "brass": "brasses",
        "person": "people",
    }
    assert {word: inflected(word) for word in irregular} == irregular


def test_every_way_differs_from_the_word_and_is_drawn_the_same_again():
    asked = spelled(["elephant", "cat", "sheep"])

    assert asked == spelled(["elephant", "cat", "sheep"])
    assert [(word, how) for word, how, _ in asked] == [
        ("elephant", "common"), ("elephant", "typo"), ("elephant", "inflected"), ("cat", "common"), ("cat", "inflected"),
        ("sheep", "common"), ("sheep", "typo"),
    ]  # fmt: skip
    assert all(word != said for word, _, said in asked)
    assert all(word != wrong for word, wrong in COMMON.items())


def test_precision_stands_beside_that_of_the_right_word():
    images = np.eye(10, dtype=np.float32)
    right = np.arange(10) < 5
    answers = {"elephant": Right(images=images, right=right, precision=1.0)}
    rows = np.stack([right, ~right, np.arange(10) < 3]).astype(np.float32)
    found = by_way(spelled(["elephant"]), rows, answers)

    assert found["common"] == {"precision_5": 1.0, "right_word": 1.0, "queries": 1}
    assert found["typo"]["precision_5"] == 0
    assert found["inflected"]["precision_5"] == 1.0  # ties by the smaller row
