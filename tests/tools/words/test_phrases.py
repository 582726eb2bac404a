"""Everyday queries: their truth is what people said, and a ranking is judged by its first five."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="training needs torch")

from tools.train_nano.inputs.data import Photo
from tools.train_nano.words.phrases import CHECKED, TYPES, Phrase, by_sort, checked, first_right, phrases


def photo(*sentences, label="", group="flickr"):
    caption, *more = sentences or ("",)
    return Photo(file="a", group=group, label=label, caption=caption, split="held", more=tuple(more))


def test_counts_and_colours_need_one_sentence_and_things_two():
    pairs = [photo("Two brown dogs run.", "Dogs play with a ball.", "Animals.")] * 5
    once = [photo("A dog.", "An animal with a ball.", "Dogs and balls.")] * 5
    one = [photo("A dog in a brown field.")] * 5
    found = {phrase.words: phrase for phrase in phrases([*pairs, *once, *one])}

    assert found["a pair of dogs"].right.tolist() == [True] * 5 + [False] * 10
    assert "3 dogs" not in found
    assert "dog whose fur is brown" not in found  # "dogs" are several, and the field is brown
    assert found["both a dog and a ball"].right.tolist() == [False] * 5 + [True] * 5 + [False] * 5
    brown = phrases([photo("A large brown dog sits.", "A dog.")] * 5)
    assert "dog whose fur is brown" in {phrase.words for phrase in brown}


def test_words_for_kinds_are_right_by_labels_and_rare_ones_are_not_asked():
    tench = [photo(label="tench", group="imagenette")] * 5
    found = phrases([*tench, photo(label="tulip", group="flowers")])

    assert [(phrase.words, phrase.sort) for phrase in found] == [("fish", "kind")]
    assert found[0].right.tolist() == [True] * 5 + [False]


def test_objects_are_right_by_the_list_of_all_of_them():
    shown = [photo(label="tv, chair", group="coco_objects")] * 5
    others = [photo(label="person, dog", group="coco_objects"), photo(label="chair", group="caltech101")]
    found = {phrase.words: phrase for phrase in phrases([*shown, *others])}

    assert set(found) == {"household electronics", "thing made for sitting"}
    assert found["thing made for sitting"].sort == "object"
    assert found["thing made for sitting"].right.tolist() == [True] * 5 + [False] * 2


def test_photographs_that_were_looked_at_are_right_by_their_names():
    shown = checked()
    assert all(len(shown[what]) >= 5 for what in CHECKED)
    grey = [
        Photo(file=file, group="flickr", label="", caption="", split="held")
        for file in sorted(shown["without colour"])[:5]
    ]
    found = {phrase.words: phrase for phrase in phrases([*grey, photo()])}

    assert found["greyscale shot"].sort == "real type"
    assert found["greyscale shot"].right.tolist() == [True] * 5 + [False]
    assert set(found) == set(CHECKED["without colour"][1])


def test_the_first_five_are_counted_by_sort():
    images = np.eye(6, dtype=np.float32)
    words = np.array([[6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]], np.float32)
    right = [np.array([True, True, False, False, False, False])] * 2
    found = first_right(words, images, right)

    assert found.tolist() == [0.4, 0.2]
    asked = [Phrase(words="a", sort="count", right=right[0]), Phrase(words="b", sort="kind", right=right[1])]
    assert by_sort(asked, found)["kind"] == {"precision_5": 0.2, "queries": 1, "chance": pytest.approx(1 / 3)}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_changes_the_picture_and_keeps_its_size(name):
    numbers = np.random.default_rng(0)
    picture = Image.fromarray(numbers.integers(0, 256, (40, 50, 3), np.uint8))
    changed = TYPES[name][0](picture)

    assert (changed.size, changed.mode) == ((50, 40), "RGB")
    assert np.abs(np.asarray(changed, float) - np.asarray(picture)).mean() > 5
