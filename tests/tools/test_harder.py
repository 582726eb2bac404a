"""Harder measures: each is right of vectors that are right, and says what chance gives."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="the tools import it")

from retrieval.evaluation.attacks import LISTS
from tools.train_nano.inputs.data import Photo
from tools.train_nano.words.phrases import TOGETHER, TYPES
from tools.train_oca import harder
from tools.train_oca.harder import Harder

THINGS = list(TOGETHER)


def photo(*things):
    said = " and ".join(f"a {thing}" for thing in things)
    return Photo(file="a", group="flickr", label="", caption=said, split="held")


def axes(*numbers):
    row = np.zeros(len(THINGS) + 8, np.float32)
    row[list(numbers)] = 1
    return row


def found(**parts):
    empty = np.empty((0, 4), np.float32)
    return Harder(
        **(
            {
                "attacked": {},
                "made": np.empty((0, 1, 4)),
                "things": empty,
                "types": empty,
                "without": np.empty((0, 2, 4)),
            }
            | parts
        )
    )


def test_copies_are_counted_by_attack():
    gallery = np.eye(4, dtype=np.float32)
    asked = found(attacked={"none": gallery[[1, 2]], "blur": gallery[[1, 3]]})

    assert harder.attacked_first(asked, gallery, np.array([1, 2])) == {"none": 1.0, "blur": 0.5, "mean": 0.75}


def test_a_photograph_and_words_find_the_photograph_of_that_type():
    plain, types = np.eye(8, dtype=np.float32)[:3], np.eye(8, dtype=np.float32)[4:6]
    made = plain[:, None] + 0.5 * types[None]
    result = harder.retyped(found(made=made, types=types), plain)

    assert (result["right"], result["photograph"], result["type"]) == (1.0, 1.0, 1.0)
    assert result["image_alone"] == 0.5  # one of two types
    no_words = harder.retyped(found(made=made, types=np.zeros_like(types)), plain)
    assert no_words["right"] == no_words["image_alone"] == 0.5


def test_a_photograph_of_one_thing_and_words_for_a_second_find_both():
    dog, ball = THINGS.index("dog"), THINGS.index("ball")
    photos = [photo("dog")] * 6 + [photo("dog", "ball")] * 5 + [photo("ball")] * 6
    gallery = np.stack([axes(dog)] * 6 + [axes(dog, ball)] * 5 + [axes(ball)] * 6)
    words = np.stack([axes(i) for i in range(len(THINGS))])
    result = harder.with_thing(found(things=words), photos, gallery)

    assert result["precision_5"] == 1.0
    assert result["queries"] == 12
    assert result["image_alone"] == 0.0  # five others of the same thing alone come first
    assert result["words_alone"] == 0.0


def test_what_is_denied_is_counted_among_the_first_five():
    dog, ball = THINGS.index("dog"), THINGS.index("ball")
    photos = [photo("dog")] * 5 + [photo("dog", "ball")] * 5
    gallery = np.stack([axes(dog)] * 5 + [axes(dog, ball)] * 5)
    assert harder.pairs_of(photos) == [(dog, ball)]
    words = np.stack([axes(dog, ball), axes(dog)])[None]
    result = harder.denied(found(without=words), photos, gallery)

    assert result == {"plain": 1.0, "without": 0.0, "queries": 1}


def test_scenes_share_what_their_nearest_shows():
    photos = [photo("dog", "ball")] * 2 + [photo("horse", "snow")] * 2 + [photo("boat")] * 4
    right = np.repeat(np.eye(3, dtype=np.float32), [2, 2, 4], axis=0)
    result = harder.shared_things(photos, right)

    assert result == {"shared": 1.0, "chance": pytest.approx(0.25), "scenes": 4}


def test_a_hub_is_found_by_all_and_a_lonely_row_by_none():
    numbers = np.random.default_rng(0)
    gallery = numbers.standard_normal((60, 8)).astype(np.float32)
    even = harder.hubness(gallery, gallery, same=True)
    gallery[:, 0] += 3  # all lie toward one side
    gallery[0] = [1, 0, 0, 0, 0, 0, 0, 0]
    gallery[1] = [-1, 0, 0, 0, 0, 0, 0, 0]
    uneven = harder.hubness(gallery, gallery, same=True)

    assert uneven["skew"] > even["skew"] + 0.5
    assert uneven["most"] > 0.5
    assert uneven["never"] >= 1 / 60
    exact = harder.hubness(np.ones((5, 8), np.float32), gallery, same=False)
    assert exact["most"] == 1.0
    assert exact["never"] == pytest.approx(50 / 60)


def test_what_64_components_keep_is_a_ratio():
    def at(value):
        return {
            "nearest_mean": value, "nearest": {"groceries": value}, "copies": {"mean": value}, "attacks": {"mean": 2 * value}
        }  # fmt: skip

    assert harder.kept_at({64: at(0.4), 384: at(0.5)}, 64, 384) == pytest.approx(
        {"classes": 0.8, "products": 0.8, "copies": 0.8, "attacks": 0.8}
    )


def test_every_attack_and_type_is_embedded():
    class Mean:
        def preprocess(self, image):
            return np.asarray(image.resize((4, 4)), np.float32)

        def encode_pixels(self, batch):
            return batch.reshape(len(batch), -1)

        def encode_text(self, texts):
            return np.ones((len(texts), 48), np.float32)

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    asked = harder.answer(
        [picture, picture], [picture], [photo("dog")] * 5 + [photo("dog", "ball")] * 5, Mean()
    )

    assert list(asked.attacked) == list(LISTS["attacks-1"])
    assert {rows.shape for rows in asked.attacked.values()} == {(2, 48)}
    assert asked.made.shape == (1, len(TYPES), 48)
    assert asked.without.shape == (1, 2, 48)
    assert (len(asked.things), len(asked.types)) == (len(TOGETHER), len(TYPES))
