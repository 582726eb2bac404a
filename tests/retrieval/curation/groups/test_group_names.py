"""Names of groups: the nearest word, each once, of those that the encoder knows."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.curation.groups.group_names import name_groups
from retrieval.curation.groups.vocabulary import everyday_nouns
from retrieval.errors import CapabilityMissing
from retrieval.testing import FakeEncoder


class Learned(FakeEncoder):
    def known_words(self, text):
        return [word for word in text.split() if word != "red"]

    def unknown_words(self, text):
        return [word for word in text.split() if word == "red"]


def named(encoder, words, wanted):
    means = encoder.encode_text(wanted)
    return name_groups(encoder, words, 0.5 * means, means)


def test_no_two_groups_have_one_name() -> None:
    names, nearest = named(FakeEncoder(), ("red", "blue"), ["red", "red", "blue"])

    assert sorted(names) == ["", "blue", "red"]
    assert names[2] == "blue"
    assert [words[0][0] for words in nearest] == ["red", "red", "blue"]
    assert nearest[0][0][1] == pytest.approx(1)


def test_words_that_were_never_learned_name_nothing() -> None:
    names, nearest = named(Learned(), ("red", "blue", "green"), ["red", "blue"])

    assert names[1] == "blue"
    assert all(word != "red" for words in nearest for word, _ in words)
    with pytest.raises(CapabilityMissing, match="has learned none of the words"):
        named(Learned(), ("red",), ["blue"])


def test_a_word_near_to_all_images_names_no_group_that_another_fits() -> None:
    encoder = FakeEncoder()
    red, blue, white = encoder.encode_text(["red", "blue", "white"])
    both = np.stack([red + white, blue + white])
    both /= np.linalg.norm(both, axis=1, keepdims=True)

    names, _ = name_groups(encoder, ("white", "red", "blue"), both, both)

    assert names == ("red", "blue")


def test_the_nouns_are_sorted_and_each_is_there_once() -> None:
    nouns = everyday_nouns()

    assert list(nouns) == sorted(set(nouns))
    assert {"dog", "church", "sea"} <= set(nouns)
