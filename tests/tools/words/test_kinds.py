"""Shipped words learn which kinds have which members."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")

from retrieval.encoders.families.nano_text import TextTower, map_tensors
from tests.tools.words.test_hypernyms import DATA, INDEX
from tools.train_nano.export import save_tensors
from tools.train_nano.inputs.data import Photo
from tools.train_nano.measure import unit
from tools.train_nano.words.text import TextStudent, quantised, unquantised
from tools.train_oca.further import Looked
from tools.train_oca.words.kinds import kinds_of, with_kinds, words_with_kinds

AXES = {"tench": 0, "goldfish": 1, "pug": 2, "fish": 7, "animal": 6}


class Words:
    """A text tower that gives each word an axis of its own."""

    def encode(self, texts):
        rows = np.zeros((len(texts), 9), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[AXES.get(text, 5)] = 1
        rows[:, -1] = 0.5
        return rows


@pytest.fixture
def folders(tmp_path):
    """The files that `kinds_of` reads: WordNet's, and the teachers' lists of names."""
    (tmp_path / "data.noun").write_text(DATA, encoding="utf-8")
    (tmp_path / "index.noun").write_text(INDEX, encoding="utf-8")
    (tmp_path / "teachers").mkdir()
    for file in ("clip_text_names.npz", "clip_lvis.npz"):
        names = ["goldfish", "pug", "crane", "sky", "sea", "ice", "mud", "fog"]
        np.savez(tmp_path / "teachers" / file, name=np.array(names))
    (tmp_path / "teachers" / "imagenet_labels.txt").write_text("none\ntench, Tinca tinca\n", encoding="utf-8")
    return tmp_path


def photo(label: str, caption: str = "") -> Photo:
    """Give a photograph with a label or a sentence."""
    return Photo(file="", group="all", label=label, caption=caption, split="train")


def test_a_kind_lies_where_its_members_names_and_photographs_lie(folders) -> None:
    photos = [photo("tench"), photo("tench"), photo("pug"), photo("pug")]
    rows = unit(np.eye(8)[[3, 3, 4, 4]] + 0.01)
    found = kinds_of(folders, folders, photos, Words(), rows, least=2)

    assert {"fish", "sea fish", "animal"} <= set(found)
    assert "goldfish" not in found  # one name is no kind
    fish = found["fish"]
    assert fish[0] > 0.3
    assert fish[1] > 0.3  # by their names
    assert fish[3] > 0.3  # by photographs of one of them
    assert fish[4] < 0  # and not by others
    assert abs(fish[7]) < 1e-6  # what is seldom said goes where its members are


@pytest.mark.parametrize(("caption", "least", "most"), [("a fish", 0.8, 1.0), ("a crane", -0.01, 0.5)])
def test_a_kind_that_is_often_said_stays_near(folders, caption: str, least: float, most: float) -> None:
    photos = [photo("", caption=caption)] * 60 + [photo("tench")] * 4
    rows = unit(np.random.default_rng(0).standard_normal((64, 8)) * [1, 1, 1, 1, 1, 1, 1, 0.01])
    found = kinds_of(folders, folders, photos, Words(), rows, least=2)

    assert least <= found["fish"][7] <= most
    assert found["sea fish"][7] < 0.5


def test_a_word_for_a_kind_is_read_from_its_table(tmp_path) -> None:
    student = TextStudent(8)
    plain, wide = tmp_path / "plain.safetensors", tmp_path / "wide.safetensors"
    save_tensors(quantised(student), plain)
    place = unit(np.random.default_rng(0).standard_normal((2, 8)))
    tensors = with_kinds(
        {k: np.array(v) for k, v in map_tensors(plain).items()}, {"fish": place[0], "big cat": place[1]}
    )
    save_tensors(tensors, wide)
    before, after = TextTower(plain), TextTower(wide)

    for text, row in (("Fish", 0), ("a fish", 0), ("the fishs", 0), ("big cats", 1)):
        found = after.encode([text])[0]
        assert found[:-1] @ place[row] > 0.999 * np.linalg.norm(found[:-1])
        assert np.linalg.norm(found) == pytest.approx(1, abs=0.01)
    others = ["a fish in a bowl", "cat", "", "big"]
    np.testing.assert_array_equal(after.encode(others), before.encode(others))
    again = unquantised(map_tensors(wide))
    assert set(again.state_dict()) == set(student.state_dict())


def test_a_table_of_before_does_not_hide_that_words_lie_badly(folders, tmp_path) -> None:
    plain, wide = tmp_path / "plain.safetensors", tmp_path / "wide.safetensors"
    save_tensors(quantised(TextStudent(8)), plain)
    photos = [photo("tench"), photo("tench"), photo("pug"), photo("pug")] * 3
    seen = unit(np.random.default_rng(0).standard_normal((12, 9)))
    known = Looked(photos=photos, pixels=np.empty(0), seen=seen, old=np.empty(0), train=np.arange(12))
    found = words_with_kinds(folders, folders, known, plain, least=2)
    save_tensors(found, wide)
    again = words_with_kinds(folders, folders, known, wide, least=2)

    assert found["kinds"].tobytes().decode().split("\n")[:1] != [""]
    for name, array in found.items():
        np.testing.assert_array_equal(array, again[name])
