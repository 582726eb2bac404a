"""Shipped words trained further by made pictures: what they learn from."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")

from retrieval.encoders.families.nano_text import TextTower
from tools.train_nano.inputs.corpus import Text
from tools.train_nano.inputs.data import Photo
from tools.train_nano.measure import unit
from tools.train_nano.words.made import Made
from tools.train_oca.further import SHIPPED
from tools.train_oca.words.made_words import SHARE, with_made

WIDTH = 383


def test_words_stay_and_made_captions_are_drawn_to_where_their_pictures_lie():
    numbers = np.random.default_rng(0)
    tower = TextTower(SHIPPED / "text.safetensors")
    photos = [
        Photo(file=f"{i}", group="flickr", label="", caption=said, split="train", more=("Again.",))
        for i, said in enumerate(("A dog runs.", "A cat sleeps."))
    ]
    seen = unit(numbers.standard_normal((2, WIDTH)))
    texts = [
        Text(text="zebra", kind="name", about="zebra"),
        Text(text="A dog runs.", kind="caption", about="0"),
        Text(text="A cat sleeps.", kind="caption", about="1"),
    ]
    pixels = np.zeros((4, 4, 3), np.uint8)
    made = [
        Made(pixels=pixels, caption=said, sort=sort)
        for said, sort in (("grey", "a"), ("grey", "a"), ("two cats", "b"))
    ]
    rows = unit(numbers.standard_normal((3, WIDTH)))
    found = with_made(photos, seen, texts, tower, made, rows)

    assert [text.text for text in found.texts] == [
        "zebra",
        "A dog runs.",
        "A cat sleeps.",
        "grey",
        "two cats",
    ]
    kept = unit(tower.encode(["zebra"])[:, :-1])
    np.testing.assert_allclose(found.targets[:1], kept, atol=1e-6)
    before = unit(tower.encode(["grey"])[:, :-1])[0]
    assert found.targets[3] @ rows[:2].mean(0) > before @ rows[:2].mean(0) + 0.1
    assert [found.texts[i].text for i in found.caption_text] == [
        "A dog runs.",
        "A cat sleeps.",
        "grey",
        "grey",
        "two cats",
    ]
    np.testing.assert_allclose(found.images[found.caption_image], np.concatenate([seen, rows]), atol=1e-6)
    # Made captions have their share, and each sort of them alike.
    np.testing.assert_allclose(found.caption_weights, [(1 - SHARE) / 2] * 2 + [SHARE / 4] * 2 + [SHARE / 2])
    assert found.weights.sum() == pytest.approx(1)
