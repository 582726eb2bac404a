"""Words for kinds find the members that WordNet has below them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")

from tools.train_nano.measure import unit
from tools.train_nano.words.hypernyms import kind_targets, meanings_of, members, read_nouns

# Meanings: animal > fish > tench, goldfish; animal > dog > pug; a word "fish" that is food, too; a crane that lifts, and one that flies; shoe, and the state of being in
# somebody's shoes.
DATA = """  1 A licence.
00000001 03 n 01 animal 0 000 | lives
00000002 05 n 02 fish 0 sea_fish 0 001 @ 00000001 n 0000 | swims
00000003 05 n 02 tench 0 Tinca_tinca 0 001 @ 00000002 n 0000 | green
00000004 05 n 02 goldfish 0 Carassius_auratus 0 001 @ 00000002 n 0000 | gold
00000005 05 n 01 dog 0 001 @ 00000001 n 0000 | barks
00000006 05 n 01 pug 0 001 @ 00000005 n 0000 | small
00000007 13 n 01 fish 0 000 | eaten
00000008 06 n 01 crane 0 000 | lifts
00000009 05 n 01 crane 0 001 @ 00000001 n 0000 | flies
00000010 06 n 01 shoe 0 000 | worn
00000011 26 n 01 shoes 0 000 | a state
00000012 26 n 01 calm 0 000 | a state
"""
INDEX = """  1 A licence.
animal n 1 0 1 1 00000001
fish n 2 0 2 2 00000007 00000002
sea_fish n 1 0 1 0 00000002
tench n 1 1 @ 1 0 00000003
tinca_tinca n 1 1 @ 1 0 00000003
goldfish n 1 1 @ 1 0 00000004
dog n 1 1 @ 1 1 00000005
pug n 1 1 @ 1 0 00000006
crane n 2 0 2 2 00000008 00000009
shoe n 1 0 1 1 00000010
shoes n 1 0 1 1 00000011
calm n 1 0 1 1 00000012
"""
CLASSES = [["tench", "Tinca tinca"], ["goldfish"], ["pug"], ["crane"], ["no such word"], ["shoes"], ["calm"]]


@pytest.fixture
def nouns(tmp_path):
    (tmp_path / "data.noun").write_text(DATA)
    (tmp_path / "index.noun").write_text(INDEX)
    return read_nouns(tmp_path)


def test_a_kind_has_the_classes_below_it_and_a_word_the_widest_of_its_meanings(nouns):
    found = members(nouns, CLASSES)

    assert found["fish"].tolist() == found["sea fish"].tolist() == [0, 1]
    assert found["animal"].tolist() == [0, 1, 2, 3]  # cranes, too
    assert "dog" not in found  # one class is no kind
    assert "tench" not in found


def test_names_for_one_thing_decide_what_is_meant(nouns):
    assert meanings_of(nouns, ["crane"]) == ["00000008", "00000009"]
    assert meanings_of(nouns, ["Tinca tinca", "crane", "tench"]) == ["00000003"]
    assert meanings_of(nouns, ["no such word"]) == []


def test_what_no_photograph_shows_is_meant_only_where_nothing_else_is(nouns):
    assert meanings_of(nouns, ["Shoes"]) == ["00000010"]
    assert meanings_of(nouns, ["calm"]) == ["00000012"]


def test_a_kind_lies_where_any_member_does_and_the_commonest_is_not_the_kind():
    apart = np.eye(8, dtype=np.float32)
    rows = np.concatenate(
        [np.tile(apart[:1], (50, 1)), np.tile(apart[1:2], (5, 1)), np.tile(apart[4:5], (80, 1))]
    )
    shares = np.zeros((len(rows), 3), np.float32)
    shares[:50, 0] = shares[50:55, 1] = shares[55:, 2] = 1
    found = kind_targets(shares, unit(rows), {"fish": np.array([0, 1]), "rare": np.array([], int)})

    assert set(found) == {"fish"}
    near = rows @ found["fish"]
    assert near[:55].min() > near[55:].max()
    plain = unit((shares[:, :2].sum(1) @ rows / 55 - rows.mean(0))[None])[0]
    assert found["fish"][1] > plain[1]
