"""Names are split into words as people would, and folded so that a query finds them."""

from __future__ import annotations

import random
import unicodedata

import pytest

from retrieval.names.words import AskedWord, asked_words, words_in, words_in_path


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (b"caltech101/grand_piano/0020.webp", {"caltech", "101", "caltech101", "grand", "piano", "0020"}),
        (b"2019-06 Summer in Paris/IMG_1234.JPG", {"2019", "06", "summer", "in", "pari", "img", "1234"}),
        ("Fotos/Müller-Häuser.png".encode(), {"foto", "muller", "hauser"}),
        (unicodedata.normalize("NFD", "Café.png").encode(), {"cafe"}),
        (b"GrandPiano/HTMLPage.png", {"grand", "piano", "grandpiano", "html", "page", "htmlpage"}),
        ("北京旅行/tokyo.jpg".encode(), {"北", "京", "旅", "行", "tokyo"}),
        ("🎄Weihnachten ☀️/👨‍👩‍👧 1.png".encode(), {"🎄", "weihnachten", "☀", "👨", "👩", "👧", "1"}),
        (b"films/clip.mp4#t=12.4", {"film", "clip", "mp", "4", "mp4"}),
        (b"https://example.org/my%20dog.jpg?token=secret", {"example", "org", "my", "dog"}),
        (b"notes.v2.png", {"note", "v", "2", "v2"}),
        (b"\xff\xfe.png", set()),
    ],
)
def test_a_path_gives_the_words_of_its_parts(key: bytes, words: set[str]) -> None:
    assert set(words_in_path(key)) == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("yoghurts", "yoghurt"),
        ("ponies", "pony"),
        ("churches", "churche"),
        ("glass", "glass"),
        ("bus", "bus"),
        ("Straße", "STRASSE"),
        ("Crème", "creme"),
    ],
)
def test_what_means_the_same_is_the_same_word(one: str, other: str) -> None:
    assert words_in(one) == words_in(other)


def test_the_fast_way_for_plain_names_gives_the_same_words() -> None:
    rng = random.Random(0)
    for _ in range(2_000):
        text = "".join(rng.choices("abcs0129_- ./", k=rng.randrange(1, 20)))

        assert sorted(words_in(text)) == sorted(word for word in words_in(f"{text} é") if word != "e")


def test_a_query_asks_for_each_telling_word_once() -> None:
    assert [word.text for word in asked_words("a photo of the Dog, dog and a CAT")] == ["photo", "Dog", "CAT"]


def test_a_query_of_nothing_but_function_words_asks_for_them() -> None:
    assert [word.text for word in asked_words("The Of")] == ["The", "Of"]


@pytest.mark.parametrize("query", ["", "  ", "!?", "\ud800"])
def test_a_query_without_letters_asks_for_no_name(query: str) -> None:
    assert asked_words(query) == []


def test_what_is_written_together_is_asked_for_both_ways() -> None:
    assert asked_words("iPhone") == [AskedWord("iPhone", (("iphone",), ("i", "phone")))]
    assert asked_words("d750") == [AskedWord("d750", (("d750",), ("d", "750")))]
    assert asked_words("北京") == [AskedWord("北京", (("北", "京"),))]


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("iphone", b"iPhone/1.png"),
        ("iPhone", b"iphone_photos/1.png"),
        ("grand piano", b"GrandPiano.png"),
        ("Bücher", b"bucher.png"),
        ("valio vanilla yoghurt", b"Valio-Vanilla-Yoghurts/0001.jpg"),
        ("北京", "北京旅行.jpg".encode()),
        ("🎄", "🎄 2019/1.jpg".encode()),
        ("🎄 2019", "🎄2019/1.jpg".encode()),
    ],
)
def test_each_word_of_the_query_finds_the_name(query: str, key: bytes) -> None:
    words = set(words_in_path(key))

    assert all(any(words.issuperset(way) for way in word.ways) for word in asked_words(query))
