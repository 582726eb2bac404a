"""A hit is a dictionary of its facts that nothing changes."""

from __future__ import annotations

import copy
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.collection.answers.hit import Hit
from retrieval.errors import ImageError

BAD = os.fsdecode(b"a/b\xff.jpg")


def hit(**facts: object) -> Hit:
    return Hit(**({"rank": 1, "score": 0.75, "path": "a/b.jpg", "id": 7} | facts))


FACTS = {"rank": 1, "score": 0.75, "path": "a/b.jpg", "id": 7, "n_duplicates": 0, "duplicates": []}


def test_it_is_a_dictionary_of_its_facts() -> None:
    assert dict(hit()) == FACTS
    assert {**hit()} == FACTS
    assert list(hit()) == list(FACTS)
    assert json.loads(json.dumps(hit())) == FACTS
    assert json.loads(json.dumps([hit()], indent=1, sort_keys=True)) == [FACTS]


def test_attributes_say_the_same() -> None:
    one = hit(n_duplicates=2, duplicates=["c.jpg", "d.jpg"])

    assert (one.rank, one.score, one.path, one.id, one.n_duplicates) == (1, 0.75, "a/b.jpg", 7, 2)
    assert one.duplicates == ("c.jpg", "d.jpg")
    assert one["duplicates"] == ["c.jpg", "d.jpg"]
    assert one.columns == {}
    assert (one.ranked_by, one.space) == (None, None)


def test_while_the_encoder_changes_it_says_what_it_was_ranked_by() -> None:
    one = hit(ranked_by=0.5, space="new")

    assert (one.score, one.ranked_by, one.space) == (0.75, 0.5, "new")
    assert json.loads(json.dumps(one)) == FACTS | {"ranked_by": 0.5, "space": "new"}


def test_a_name_that_is_not_utf8_is_whole_as_an_attribute_and_text_in_json() -> None:
    one = hit(path=BAD, n_duplicates=2, duplicates=[BAD, "ö.jpg"])

    assert (one.path, one.duplicates) == (BAD, (BAD, "ö.jpg"))
    assert json.loads(json.dumps(one, ensure_ascii=False).encode()) == FACTS | {
        "path": "a/b%FF.jpg",
        "path_bytes": "YS9i/y5qcGc=",
        "n_duplicates": 2,
        "duplicates": ["a/b%FF.jpg", "ö.jpg"],
        "duplicates_bytes": ["YS9i/y5qcGc=", None],
    }


@pytest.mark.parametrize(
    "one",
    [
        hit(),
        hit(path=BAD, duplicates=[BAD], n_duplicates=300, root="/photos"),
        hit(ranked_by=0.5, space="s"),
    ],
    ids=["plain", "bytes", "ranked"],
)
def test_it_is_copied_pickled_and_compared(one: Hit) -> None:
    for other in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):  # noqa: S301
        assert type(other) is Hit
        assert (other, other.path, other.duplicates, other.link) == (one, one.path, one.duplicates, one.link)
        assert hash(other) == hash(one)
    assert one != hit(rank=2)
    assert len({one, copy.copy(one), hit(rank=2)}) == 2


def test_nothing_changes_it() -> None:
    one = hit()
    for change in (
        lambda: one.__setitem__("score", 1.0),
        lambda: one.update(score=1.0),
        lambda: one.pop("score"),
        one.clear,
    ):
        with pytest.raises(TypeError, match=r"a hit cannot be changed; dict\(hit\) gives"):
            change()
    with pytest.raises(AttributeError):
        one.score = 1.0
    with pytest.raises(AttributeError):
        one.note = "mine"

    assert dict(one) == FACTS


def test_old_names_answer_and_warn() -> None:
    one = hit(n_duplicates=3)

    with pytest.warns(DeprecationWarning, match=r"Hit\.copies is called Hit\.n_duplicates now"):
        assert one.copies == 3
    with pytest.warns(DeprecationWarning, match=r"Hit\.cosine is called Hit\.score now"):
        assert one.cosine is None
    with pytest.warns(DeprecationWarning, match="cosine"):
        assert hit(ranked_by=0.5, space="s").cosine == 0.75


def test_its_file_opens_upright_and_in_colour(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(np.zeros((4, 9), np.uint8)).save(tmp_path / "a/b.jpg", exif=exif)
    one = hit(root=str(tmp_path))

    assert one.file == tmp_path / "a/b.jpg"
    assert one.link == str(tmp_path / "a/b.jpg")
    assert (one.open().size, one.open().mode) == ((4, 9), "RGB")


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=str(tmp_path / "a/b.jpg")):
        hit(root=str(tmp_path)).open()


def test_a_name_guessed_wrong_is_answered_with_the_right_one() -> None:
    with pytest.raises(AttributeError, match="'Hit' object has no attribute 'distance'; use score"):
        hit().distance  # noqa: B018
