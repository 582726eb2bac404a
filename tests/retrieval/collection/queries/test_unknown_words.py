"""Words that an encoder has never learned are named, and a query of nothing else is refused."""

from __future__ import annotations

import numpy as np
import pytest

import retrieval
from retrieval.encoders import VocabularyEncoder, load_encoder
from retrieval.encoders.families.nano_text import words_of
from retrieval.encoders.vocabulary import Vocabulary, pack
from retrieval.errors import QueryError, UnknownWords
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture

NANO = load_encoder("nano", device="cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = fill(tmp_path_factory.mktemp("c") / "photos", [f"{n}.png" for n in range(6)])
    retrieval.build_index(folder, encoder="nano")
    return folder


@pytest.fixture
def collection(photos):
    with retrieval.open(photos, encoder=NANO) as opened:
        yield opened


@pytest.mark.parametrize(
    "words",
    [
        "кот", "КОТ", "красный автобус", "猫", "红色的公共汽车", "ねこ", "고양이", "γάτα", "القط", "नमस्ते", "🐱", "🐱🐶", "❤️", "🇩🇪",
        "???", "->", "1234", "zxqv", "Sonnenuntergang", "xqzvw asdf",
    ],
)  # fmt: skip
def test_nothing_known_is_an_error_that_names_the_words(collection, words):
    with pytest.raises(UnknownWords, match=f"{NANO.space.name} has learned none of the words") as caught:
        collection.search(words)

    assert caught.value.words == tuple(words.split())
    assert isinstance(caught.value, QueryError)
    with pytest.raises(UnknownWords):
        collection.encode(words)


@pytest.mark.parametrize(
    "words",
    [
        "a red bus in snow", "CAT", "Café", "cafe", "naïve art", "dog's ball", "kittens", "lighthouses", "running", "biggest dog",
        "not a cat", "without snow", "the", "no", "2 dogs", "1990s car", "t-shirt", "snow-covered house", "sunglasses, hat!",
        "motorcylce", "bycicle", "elefant", "firetruck", "colour", "color", "«cat»", "cat…", "ｃａｔ", "Eiffel Tower",
    ],
)  # fmt: skip
def test_english_in_any_dress_is_known(collection, words):
    assert collection.search(words).unknown_words == ()


@pytest.mark.parametrize(
    ("words", "strange"),
    [
        ("a cat 🐱", ("🐱",)), ("cat🐱", ("🐱",)), ("кот on a table", ("кот",)), ("“кот”, dog", ("кот",)),
        ("teh cat", ("teh",)), ("zxqv dog zxqv", ("zxqv",)),
    ],
)  # fmt: skip
def test_what_is_unknown_among_known_words_is_named_once(collection, words, strange):
    hits = collection.search(words, k=3)

    assert hits.unknown_words == strange
    assert len(hits) == 3
    assert hits == list(hits)


def test_a_part_that_means_nothing_is_left_out_beside_others(collection):
    by_image = collection.search(picture(3), k=4)

    mixed = collection.search(retrieval.image(picture(3)) + "кот", k=4)
    assert [(hit.id, hit.score) for hit in mixed] == [(hit.id, hit.score) for hit in by_image]
    assert mixed.unknown_words == ("кот",)
    without = collection.search(picture(3), minus="🐱", k=4)
    assert [(hit.id, hit.score) for hit in without] == [(hit.id, hit.score) for hit in by_image]
    assert by_image.unknown_words == ()
    with pytest.raises(UnknownWords):
        collection.search(retrieval.text("кот") + "🐱")


def test_a_batch_says_it_of_each(collection):
    found = collection.search(["a cat", "a кот", "кот"], k=3)

    assert [hits.unknown_words for hits in found[:2]] == [(), ("кот",)]
    for hits, words in zip(found[:2], ("a cat", "a кот"), strict=True):
        alone = collection.search(words, k=3)
        assert [hit.id for hit in hits] == [hit.id for hit in alone]
        assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in alone], abs=1e-6)
    assert isinstance(found[2].error, UnknownWords)


def test_a_misspelt_word_is_read_as_the_one_that_was_meant(collection):
    misspelt, right = (
        collection.search(words, k=4) for words in ("two girafes, one girafe", "two giraffes, one giraffe")
    )

    assert misspelt.read_as == {"girafe": "giraffe", "girafes": "giraffes"}
    assert right.read_as == {}
    assert [hit.id for hit in misspelt] == [hit.id for hit in right]
    assert [hit.score for hit in misspelt] == pytest.approx([hit.score for hit in right], abs=1e-6)
    assert misspelt[:2].read_as == misspelt.read_as
    assert misspelt.query == "two girafes, one girafe"
    assert collection.search('"girafe"').read_as == {}
    batch = collection.search(["a girafe", "a cat", "кот"])
    assert [hits.read_as for hits in batch] == [{"girafe": "giraffe"}, {}, {}]
    np.testing.assert_array_equal(collection.encode("a girafe"), collection.encode("a giraffe"))


def test_a_word_that_names_have_is_not_corrected(tmp_path):
    retrieval.build_index(fill(tmp_path / "p", ["girafe.png", "b.png"]), encoder="nano")
    with retrieval.open(tmp_path / "p", encoder=NANO) as opened:
        assert opened.search("a girafe").read_as == {}
        assert opened.search("a zeebra").read_as == {"zeebra": "zebra"}
        assert opened.search("a girafe", names="off").read_as == {"girafe": "giraffe"}


def test_an_encoder_that_cannot_tell_answers_everything(tmp_path):
    encoder = FakeEncoder()
    retrieval.build_index(fill(tmp_path / "p", ["a.png", "b.png"]), encoder=encoder)
    with retrieval.open(tmp_path / "p", encoder=encoder) as opened:
        assert not isinstance(encoder, VocabularyEncoder)
        assert len(opened.search("кот")) == 2


def test_every_learned_word_is_known_and_random_ones_are_not(tmp_path):
    path = tmp_path / "v.u32"
    learned = {f"word{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10]}": 1 + 30 * (n % 2) for n in range(100)}
    path.write_bytes(pack(learned))
    vocabulary = Vocabulary(path, words_of)
    rng = np.random.default_rng(0)
    random = {"".join(rng.choice(list("qxzvkj"), 9)) for _ in range(500)}

    assert vocabulary.split(" ".join(learned)) == (list(learned), [])
    assert not any(vocabulary.split(word)[0] for word in random)
    assert vocabulary.split("") == ([], [])
    assert vocabulary.split("a" * 100_000) == ([], ["a" * 100_000])  # at once


@pytest.mark.parametrize("data", [b"", b"\x05\0\0\0\1\0\0\0"])
def test_a_vocabulary_that_is_cut_short_is_refused(tmp_path, data):
    (tmp_path / "v").write_bytes(data)
    with pytest.raises(ValueError):
        Vocabulary(tmp_path / "v", words_of)


def test_the_command_line_names_the_words_and_a_larger_encoder(photos, capsys):
    from retrieval.cli import main

    assert main(["query", "кот", "--index", str(photos)]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "'кот'" in err
    assert "--encoder open_clip:xlm-roberta" in err
    assert main(["query", "a zxqv cat", "--index", str(photos)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 6
    assert err == (
        f"note: {NANO.space.name} has never learned: zxqv; --encoder open_clip:ViT-B-32/laion2b_s34b_b79k knows more words\n"
    )
    assert main(["query", "a girafe", "--index", str(photos)]) == 0
    assert capsys.readouterr().err == (
        'note: girafe: read as giraffe; "girafe" in double quotes is taken as it is written\n'
    )
    assert main(["query", "кот", "--id", "1", "--index", str(photos)]) == 0
    assert "кот" in capsys.readouterr().err
