"""What is misspelt in the training texts is no learned word; names and words of a dictionary are."""

from __future__ import annotations

import pytest

from retrieval.encoders.families.nano_text import words_of
from retrieval.encoders.spelling import Spelling
from retrieval.encoders.vocabulary import FREQUENT, Vocabulary
from tools.train_nano.inputs.corpus import Text
from tools.train_nano.words import vocabulary
from tools.train_nano.words.slips import FAR, dictionary, slips, suspects

INDEX = {
    "noun": "  1 A licence.\nbicycle n 1 0 1 1 00000001\nbutter n 1 0 1 1 00000002\nsea_otter n 1 0 1 1 00000003\nlaptop n 1 0 1 1 00000004\n",
    "verb": "run v 1 0 1 1 00000005\nbat v 1 0 1 1 00000006\n",
    "adj": "buttery a 1 0 1 1 00000007\n",
    "adv": "",
}
EXCEPTIONS = {"noun": "geese goose\n", "verb": "ran run\n", "adj": "", "adv": ""}
CAPTIONS = [
    *["a bicycle beside a butterfly, a laptop and the cross"] * FREQUENT,
    *["a lap and a top of butter"] * FREQUENT,
    "a bicylce and a labtop", "two batter with a Crocs shoe and crocs", "a bicycles and a biccycle", "a butterley",
]  # fmt: skip


@pytest.fixture
def wordnet(tmp_path):
    for part, lines in INDEX.items():
        (tmp_path / f"index.{part}").write_text(lines)
        (tmp_path / f"{part}.exc").write_text(EXCEPTIONS[part])
    return tmp_path


@pytest.fixture
def texts():
    return [
        *[Text(text=text, kind="caption") for text in CAPTIONS],
        Text(text="butterley", kind="name"),
        Text(text="a spliiced bicyclle", kind="spliced"),
    ]


def test_the_dictionary_has_parts_of_phrases_and_irregular_forms(wordnet) -> None:
    assert {"bicycle", "sea", "otter", "geese", "goose", "ran", "buttery"} <= dictionary(wordnet)


def test_suspected_is_what_no_dictionary_and_no_name_has(wordnet, texts) -> None:
    found = suspects(texts, dictionary(wordnet))

    assert {"bicylce", "biccycle", "labtop"} <= set(found)
    assert found["butterfly"] == FREQUENT
    # A label, inflections, a word that is written as a name, and what only parts of other texts have.
    assert not {"butterley", "bicycles", "batter", "crocs", "spliiced"} & set(found)


def test_a_slip_leads_to_a_far_commoner_word(wordnet, texts, tmp_path) -> None:
    draft = tmp_path / "words.txt"
    draft.write_text("bicycle\nbutterfly\nlaptop", encoding="ascii")
    found = suspects(texts, dictionary(wordnet))
    counts = found + type(found)({"bicycle": FAR, "laptop": FAR - 1})

    assert slips(found, counts, Spelling(draft)) == {"bicylce": "bicycle", "biccycle": "bicycle"}


def test_the_written_vocabulary_lacks_slips_and_has_what_is_rightly_formed(
    wordnet, texts, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "list_texts", lambda *_: texts)
    monkeypatch.setattr(vocabulary, "list_photos", lambda _: [])
    monkeypatch.setattr(vocabulary, "VOCABULARIES", tmp_path)
    said = vocabulary.write_vocabulary(tmp_path, wordnet, "9")
    learned = Vocabulary(tmp_path / "nano-9.u32", words_of)
    spelling = Spelling(tmp_path / "nano-9.txt")

    assert "without 3 misspelt ones, 1 formed" in said
    read = {word: spelling.read_as(word, learned)[0] for word in ("bicylce", "labtop", "butterly", "buttery")}
    assert read == {"bicylce": "bicycle", "labtop": "laptop", "butterly": "butterfly", "buttery": "buttery"}
    assert all(learned.holds(word) for word in ("buttery", "butterley", "crocs"))
    assert learned.has("butterly")
    assert not learned.holds("butterly")
