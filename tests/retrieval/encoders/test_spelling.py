"""Misspelt words are read as a learned word where one is clearly meant, and right words stay."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from retrieval.encoders import SpellingEncoder, load_encoder
from retrieval.encoders.families.nano import VOCABULARIES
from retrieval.encoders.families.nano_text import words_of
from retrieval.encoders.spelling import SWAPPED, Spelling, cost
from retrieval.encoders.vocabulary import FREQUENT, Vocabulary, pack

NANO = load_encoder("nano", device="cpu")
LEARNED = ["elephant", "giraffe", "horse", "house", "tomato", "tomatoes", "bicycle", "street", "element"]


@pytest.fixture
def spelling(tmp_path):
    (tmp_path / "words.txt").write_text("\n".join(LEARNED), encoding="ascii")
    return Spelling(tmp_path / "words.txt")


@pytest.fixture
def vocabulary(tmp_path):
    (tmp_path / "words.u32").write_bytes(pack(dict.fromkeys(LEARNED, FREQUENT) | {"elegant": 1}))
    return Vocabulary(tmp_path / "words.u32", words_of)


words = st.text("abcdehiprs", min_size=1, max_size=9)


@given(words, words)
def test_a_cost_is_that_of_the_plain_recursion(a: str, b: str) -> None:
    """Optimal string alignment by its definition, with all costs of 1, bounds the weighted one from both sides."""
    plain = _plain(a, b)
    found = cost(a, b, 99)

    assert (found == 0) == (a == b)
    assert 0.55 * plain - 1e-9 <= found <= 2 * plain + 1.2 + 1e-9
    assert cost(a, b, found) == found
    if found:
        assert cost(a, b, found - 0.01) == float("inf")


def _plain(a: str, b: str) -> int:
    rows = [[i + j if not i or not j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            rows[i][j] = min(
                rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            )
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


def test_what_people_confuse_costs_less() -> None:
    assert cost("strete", "street", 9) == SWAPPED
    assert cost("girafe", "giraffe", 9) < cost("giraffe", "gitaffe", 9) < cost("giraffe", "giraxfe", 9)
    assert cost("ilephant", "elephant", 9) > cost("elephint", "elephant", 9)  # the first letter
    assert cost("elefant", "elephant", 9) < 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("elefant", "elephant"), ("girafe", "giraffe"), ("stretе", None), ("streat", "street"),
        ("hourse", None),  # horse or house
        ("tomatto", "tomato"),  # its plural is no rival
        ("hose", None), ("xx", None), ("", None), ("q" * 300, None), ("Girafe", None), ("élephant", None), ("gir4fe", None),
    ],
)  # fmt: skip
def test_only_a_clear_word_is_meant(spelling, written: str, meant: str | None) -> None:
    assert spelling.meant(written) == meant


def test_a_text_keeps_what_is_right_and_what_is_quoted(spelling, vocabulary) -> None:
    text, read = spelling.read_as("Girafe, elegant “elefant” in the streat", vocabulary)

    assert (text, read) == (
        "giraffe, elegant “elefant” in the street",
        {"Girafe": "giraffe", "streat": "street"},
    )
    for right in ("horses", "a Girafe", "a girafe's", 'the "girafe"', "кот 🐱", "", "the horsehouse"):
        assert spelling.read_as(right, vocabulary) == (right, {})
    assert spelling.read_as("a girafe", vocabulary, keep={"girafe"}) == ("a girafe", {})


def test_what_only_looks_formed_is_read_where_one_plain_slip_leads_to_a_word(tmp_path) -> None:
    learned = [
        "butter",
        "butterfly",
        "lap",
        "top",
        "laptop",
        "shell",
        "under",
        "foot",
        "wood",
        "underfoot",
        "peg",
        "piggy",
    ]
    (tmp_path / "words.txt").write_text("\n".join(learned), encoding="ascii")
    (tmp_path / "words.u32").write_bytes(pack(dict.fromkeys(learned, FREQUENT) | {"underwood": 1}))
    own, known = Spelling(tmp_path / "words.txt"), Vocabulary(tmp_path / "words.u32", words_of)

    assert own.read_as("a laptopp, a labtop: butterly", known) == (
        "a laptop, a laptop: butterfly",
        {"laptopp": "laptop", "labtop": "laptop", "butterly": "butterfly"},
    )
    # What is formed from the word itself, its inflections, more than a slip, and what was learned.
    for right in ("shelly", "peggy", "pierson", "laptops", "buttertop", "underwood", "a Labtop", '"labtop"'):
        assert own.read_as(right, known) == (right, {})
    assert own.slip("wooodfoot") is None


def test_a_word_with_a_digit_is_a_number_only_if_its_letters_are_few_or_known(vocabulary) -> None:
    assert vocabulary.split("a zzyzx7 horse")[1] == ["a", "zzyzx7"]
    assert vocabulary.split("31mzzyzx horse") == (["horse"], ["31mzzyzx"])
    for right in ("35mm horse", "horse 4x4", "horse street2", "2nd horse", "12 horses"):
        assert vocabulary.split(right)[1] == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [("pinapple", "pineapple"), ("butterly", "butterfly"), ("labtop", "laptop"), ("motorcyle", "motorcycle"), ("mountin", "mountain"), ("kitchin", "kitchen")],
)  # fmt: skip
def test_what_people_misspell_in_captions_is_corrected_too(written: str, meant: str) -> None:
    assert NANO.read_as(f"a {written}") == (f"a {meant}", {written: meant})


@pytest.mark.parametrize(
    "word",
    ["beech", "dessert", "buttery", "endlessly", "blackguard", "daschund", "bibimbap", "corgie", "hoodie"],
)
def test_rare_words_of_the_texts_and_right_formed_ones_stay(word: str) -> None:
    assert NANO.read_as(word) == (word, {})


def test_a_swap_is_found_at_its_own_cost() -> None:
    for a, b in (("ab", "ba"), ("abcd", "acbd"), ("xaby", "xbay")):
        assert cost(a, b, cost(a, b, 9)) < 9


def test_what_is_no_english_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(
        "retrieval.encoders.spelling.cost", lambda a, *rest: calls.append(a) or cost(a, *rest)
    )
    fresh = Spelling(VOCABULARIES / "nano-2.txt")
    letters = random.Random(1)
    strange = ["".join(letters.choices("aeioulrstn", k=9)) for _ in range(400)]

    assert fresh.read_as(" ".join(strange), NANO._vocabulary) == (" ".join(strange), {})
    assert calls == []
    for word in strange[:50] * 40:
        fresh.read_as(f"a {word}", NANO._vocabulary)
    assert len(calls) < 50 * 600  # usually 330: of the commonest letters; each word is looked for once
    assert set(calls) <= set(strange[:50])


def test_learned_words_are_never_changed() -> None:
    assert isinstance(NANO, SpellingEncoder)
    learned = NANO._spelling._words
    for word in random.Random(0).sample(learned, 300):
        assert NANO.read_as(word) == (word, {})


@pytest.mark.parametrize(
    "name",
    ["porsche", "ikea", "nikon", "toyota", "pikachu", "labradoodle", "kimchi", "macbook", "minecraft", "berlin", "ronaldo", "zebras", "firetruck"],
)  # fmt: skip
def test_names_and_brands_stay(name: str) -> None:
    assert NANO.read_as(name) == (name, {})


def test_earlier_versions_correct_nothing() -> None:
    assert load_encoder("nano@1", device="cpu").read_as("elefant") == ("elefant", {})
