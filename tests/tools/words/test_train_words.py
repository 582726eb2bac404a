"""Teaching nano's text tower: what texts aim at, how they are varied, and how what was learnt is stored."""

from __future__ import annotations

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")
pytest.importorskip("safetensors", reason="export needs safetensors")

from retrieval.encoders.families.nano_text import TextTower  # noqa: E402
from retrieval.encoders.families.nano_torch import MEANING  # noqa: E402
from tools.train_nano.export import save_tensors  # noqa: E402
from tools.train_nano.inputs import corpus  # noqa: E402
from tools.train_nano.inputs.corpus import Text  # noqa: E402
from tools.train_nano.inputs.data import DRAWN, Photo  # noqa: E402
from tools.train_nano.measure import unit  # noqa: E402
from tools.train_nano.targets.asked import asked_axes, middle, scores_off  # noqa: E402
from tools.train_nano.targets.joint import text_targets  # noqa: E402
from tools.train_nano.words.text import (  # noqa: E402
    TextStudent,
    misspell,
    quantised,
    unquantised,
    with_article,
)
from tools.train_nano.words.text_run import caption_shares, fit_querybank  # noqa: E402


def test_a_bank_of_texts_finds_popular_what_lies_near_many(tmp_path):
    torch.manual_seed(0)
    save_tensors(quantised(TextStudent()), tmp_path / "text.safetensors")
    tower = TextTower(tmp_path / "text.safetensors")
    words = ["dog", "cat", "bus", "red car", "tree", "sea"]
    texts = [Text(text=f"{a} {b}", kind=kind) for kind in ("name", "spliced") for a in words for b in words]
    rows = unit(tower.encode([text.text for text in texts])[:, :MEANING])
    middle = unit(rows.mean(0)[None])
    photos = np.concatenate([middle, -middle, unit(np.random.default_rng(0).standard_normal((200, MEANING)))])

    bank = fit_querybank(tower, [*texts, Text(text="a rare word", kind="rare")], photos)
    popularity = bank.popularity(torch.from_numpy(photos))[:, 0]

    assert float(popularity.mean()) == pytest.approx(0, abs=1e-5)
    assert popularity.argmax() == 0
    assert popularity.argmin() == 1


def test_all_sentences_of_a_photograph_are_drawn_as_often_as_it():
    photos = [
        Photo(file="", group=group, label="", caption="a dog", split="train", more=more)
        for group, more in (("captions", ()), ("flickr", ("dogs", "two dogs", "a cat")), ("food", ("cake",)))
    ]

    assert caption_shares(photos).tolist() == [4.0, DRAWN["flickr"] / 4, 1.0 / 2]


def test_what_texts_ask_is_how_far_their_scores_are_off():
    numbers = np.random.default_rng(0)
    directions = unit(numbers.standard_normal((50, 8)) * [3, 1, 1, 1, 1, 0.1, 0.1, 0.1])
    weights = numbers.random(50)
    weights /= weights.sum()
    photos, answers = numbers.standard_normal((2, 20, 8)).astype(np.float32)
    centre = middle(photos, np.full(20, 1 / 20))
    off = (unit(answers) - unit(photos)) @ directions.T  # by text
    apart = (unit(photos) - centre) @ directions.T

    found = scores_off(
        torch.from_numpy(answers), torch.from_numpy(photos),
        torch.from_numpy(asked_axes(directions, weights)), torch.from_numpy(centre),
    )  # fmt: skip

    assert float(found) == pytest.approx((off**2 @ weights).sum() / (apart**2 @ weights).sum(), rel=1e-4)


def test_quantised_tables_stay_near_the_trained_ones():
    torch.manual_seed(0)
    student = TextStudent()
    tensors = quantised(student)

    back = tensors["words"] * tensors["words.scale"].astype(np.float32)[:, None]
    assert np.abs(back - student.words.weight.detach().numpy()).max() < 0.005


def test_training_of_words_goes_on_from_shipped_tensors():
    torch.manual_seed(0)
    tensors = quantised(TextStudent())
    again = quantised(unquantised(tensors))

    assert tensors.keys() == again.keys()
    for name, array in tensors.items():
        np.testing.assert_allclose(again[name].astype(np.float32), array.astype(np.float32), atol=1e-6)


def test_a_misspelt_name_is_one_change_away():
    for seed in range(20):
        wrong = misspell("elephant", random.Random(seed))

        assert abs(len(wrong) - len("elephant")) <= 1
        assert len(set(wrong) & set("elephant")) >= 5


def test_a_longer_list_of_texts_embeds_only_what_is_new(tmp_path, monkeypatch):
    listed, asked = [["a", "b"], ["b", "c", "a"]], []

    def vectors(texts, *, note):
        asked.append(list(texts))
        return np.array([[ord(text)] * corpus.SENTENCE_DIM for text in texts], np.float32)

    monkeypatch.setattr(corpus, "sentence_vectors", vectors)
    for said in listed:
        texts = [Text(text=text, kind="word") for text in said]
        monkeypatch.setattr(corpus, "list_texts", lambda *_, texts=texts: texts)
        rows = corpus.embedded_texts(tmp_path, tmp_path, [], tmp_path)[1]

        assert rows[:, 0].tolist() == [ord(text) for text in said]
    assert asked == [["a", "b"], ["c"]]


def test_names_in_templates_have_the_article_that_people_write():
    assert with_article("a photo of a astronaut") == "a photo of an astronaut"
    assert with_article("a apple on a table") == "an apple on a table"
    for right in ("a dog", "a small unicorn", "a one", "papa elephant", "an owl"):
        assert with_article(right) == right


def test_texts_aim_at_the_photographs_that_mean_the_same():
    numbers = np.random.default_rng(0)
    words = numbers.standard_normal((600, 24)).astype(np.float32)
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    rows = words @ numbers.standard_normal((24, 32)).astype(np.float32)
    rows += 0.2 * numbers.standard_normal(rows.shape).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    aims = text_targets(words[:100], words, rows, np.ones(600))

    np.testing.assert_allclose(np.linalg.norm(aims, axis=1), 1, atol=1e-5)
    assert ((aims @ rows.T).argmax(1) == np.arange(100)).mean() > 0.95
