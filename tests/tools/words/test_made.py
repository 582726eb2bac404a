"""Made pictures show what their captions say."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="wordings share their articles with training, which needs torch")

from PIL import Image

from tools.train_nano.inputs.data import Photo
from tools.train_nano.words.made import NUMBERS, SIDE, TYPES, collage, hue_of, make, thing
from tools.train_nano.words.phrases import TYPES as ASKED, phrases


def labelled(i: int, label: str) -> Photo:
    return Photo(file=f"{i}", group="animals", label=label, caption="", split="train")


@pytest.fixture(scope="module")
def made():
    photos = [labelled(i, ("horse", "sheep", "ox")[i % 3]) for i in range(18)]
    pixels = np.random.default_rng(0).integers(0, 256, (18, SIDE, SIDE, 3), np.uint8)
    pixels[::3] = [250, 10, 10]
    return make(photos, pixels, np.arange(18), of_each=12)


def test_every_sort_is_made_and_said(made):
    sorts = {one.sort for one in made}

    assert sorts == {"count", "two things", "colour", *TYPES}
    assert all(one.pixels.shape == (SIDE, SIDE, 3) and one.pixels.dtype == np.uint8 for one in made)
    counts = {one.caption.split()[0] for one in made if one.sort == "count"}
    assert counts == set(NUMBERS)
    assert {one.caption.split(" ", 1)[1] for one in made if one.sort == "count"} <= {
        "horses",
        "sheep",
        "oxen",
    }
    assert {one.caption for one in made if one.sort == "colour"} == {"a red horse"}
    assert all(np.ptp(one.pixels, axis=2).max() <= 1 for one in made if one.sort == "grey")
    assert any("an ox" in one.caption for one in made)


def test_no_made_caption_is_a_query_of_the_report(made):
    asked = {words for _, several in ASKED.values() for words in several}
    asked |= {phrase.words for phrase in phrases([labelled(i, "horse") for i in range(9)])}
    wordings = {words for _, plain, of_thing in TYPES.values() for words in plain + of_thing}

    assert asked
    assert not asked & wordings
    assert not asked & {one.caption for one in made}


def test_a_collage_shows_as_many_parts_as_it_is_given():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    parts = [Image.new("RGB", (SIDE, SIDE), colour) for colour in colours]
    for count in (2, 3, 4):
        seen = np.asarray(collage(parts[:count])).reshape(-1, 3)
        assert {tuple(row) for row in np.unique(seen, axis=0).tolist()} == set(colours[:count])


def test_only_a_clear_hue_has_a_name_and_only_plain_labels_are_things():
    flat = np.zeros((SIDE, SIDE, 3), np.uint8)

    assert hue_of(flat + np.array([20, 40, 230], np.uint8)) == "blue"
    assert hue_of(flat + np.uint8(128)) == hue_of(flat) == ""
    assert thing(labelled(0, "horse")) == "horse"
    assert thing(labelled(0, "Motorbikes")) == "motorbike"
    assert thing(Photo(file="a", group="sports", label="judo", caption="", split="train")) == ""
