"""`retrieval.cluster`: groups of a collection, their names, what stands for each, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.errors import CapabilityMissing, OptionError
from retrieval.testing import FakeEncoder
from tests.retrieval.curation.coloured import COUNTS


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("blue\n\ngreen\nred\nwhite\nred\n", encoding="utf-8")
    return path


@pytest.fixture
def found(coloured: Path, words: Path) -> retrieval.Groups:
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        return retrieval.cluster(collection, words=words)


def test_groups_are_compared_by_value(found: retrieval.Groups) -> None:
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own
    assert found != found.groups


def test_each_colour_is_a_group_of_its_name(found: retrieval.Groups) -> None:
    assert {group.name: group.size for group in found} == COUNTS
    assert [group.number for group in found] == [1, 2, 3]
    assert found.estimated
    for group in found:
        assert {image.path.split("/")[0] for image in group.representatives} == {group.name}
        assert group.words[0][0] == group.name


def test_every_image_is_in_one_group_with_its_cosine(coloured: Path, found: retrieval.Groups) -> None:
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        vectors = collection.vectors(found.ids)
        folders = [collection.key_of(one).split("/")[0] for one in found.ids]

    assert [found[label - 1].name for label in found.labels] == folders
    for group in found:
        own = vectors[found.labels == group.number]
        mean = own.mean(axis=0)

        assert np.allclose(
            found.scores[found.labels == group.number], own @ mean / np.linalg.norm(mean), atol=1e-5
        )
        assert group.cohesion == pytest.approx(float(found.scores[found.labels == group.number].mean()))
        scores = [image.score for image in group.odd]
        assert scores == sorted(scores)


def test_representatives_and_odd_ones_differ(found: retrieval.Groups) -> None:
    for group in found:
        telling = {image.id for image in group.representatives}

        assert len(telling) == 5
        assert not telling & {image.id for image in group.odd}


def test_groups_lie_together_in_levels(coloured: Path) -> None:
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        found = retrieval.cluster(collection, n_groups=9)

    assert not found.estimated
    assert [len(level) for level in found.levels()] == [4, 2]
    for level in [*found.levels(), found.level(9), found.level(1)]:
        assert sorted(one for some in level for one in some) == list(range(1, 10))
    three = found.level(3)
    colours = [
        {image.path.split("/")[0] for one in some for image in found[one - 1].representatives}
        for some in three
    ]
    assert sorted(map(sorted, colours)) == [["blue"], ["green"], ["red"]]


@pytest.mark.parametrize("number", [0, 4])
def test_a_level_needs_a_possible_number(found: retrieval.Groups, number: int) -> None:
    with pytest.raises(OptionError, match=f"`number` is {number}; give 1 to 3"):
        found.level(number)


def test_json_and_csv_say_the_same(found: retrieval.Groups) -> None:
    facts = json.loads(json.dumps(found.to_json()))
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))

    assert facts["images"] == len(rows) == sum(COUNTS.values())
    for group in facts["groups"]:
        assert sum(row["group"] == str(group["group"]) for row in rows) == group["size"]
    assert {row["path"].split("/")[0] for row in rows if row["name"] == "blue"} == {"blue"}


def test_filters_leave_out_other_images(coloured: Path) -> None:
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        found = retrieval.cluster(collection, under="blue", n_groups=2)

        assert len(found.ids) == COUNTS["blue"]
        with pytest.raises(OptionError, match=r"no image passes `under=.blue.` and `glob=.nothing\*.`"):
            retrieval.cluster(collection, under="blue", glob="nothing*")


def test_vectors_without_words_have_groups_without_names(tmp_path: Path, words: Path) -> None:
    numbers = np.random.default_rng(0)
    with retrieval.create(tmp_path / "rows", dim=16) as rows:
        rows.add(np.repeat(np.eye(16)[:2], 20, axis=0) + 0.05 * numbers.standard_normal((40, 16)))
        found = retrieval.cluster(rows)

        assert [(group.name, group.size) for group in found] == [("", 20), ("", 20)]
        assert found.unnamed
        assert found.title(1) == "group 1"
        with pytest.raises(CapabilityMissing):
            retrieval.cluster(rows, words=words)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_groups": 0}, "n_groups"),
        ({"n_groups": 28}, "`n_groups` is 28, and there are 27 images; give fewer groups"),
        ({"n_groups": 1001}, "n_groups"),
        ({"words": "no such file"}, "no such file: cannot be read as a list of words"),
    ],
)
def test_what_cannot_be_is_refused(coloured: Path, options, message: str) -> None:
    with (
        retrieval.open(coloured, encoder=FakeEncoder()) as collection,
        pytest.raises(OptionError, match=message),
    ):
        retrieval.cluster(collection, **options)


def test_words_need_one_name_at_least(tmp_path: Path, coloured: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n", encoding="utf-8")

    with (
        retrieval.open(coloured, encoder=FakeEncoder()) as collection,
        pytest.raises(OptionError, match="has 0 names"),
    ):
        retrieval.cluster(collection, words=empty)


def test_the_page_shows_groups_and_links_to_images(
    tmp_path: Path, coloured: Path, found: retrieval.Groups
) -> None:
    found.write_page(tmp_path / "groups.html")

    text = (tmp_path / "groups.html").read_text(encoding="utf-8")
    assert "<h1>3 groups</h1>" in text
    assert text.count("<section") == 3
    shown = sum(len(group.representatives) + len(group.odd) for group in found)
    assert text.count('<img src="data:image/jpeg') == shown
    assert text.count('class="frame" href=') == shown
    assert "<script" not in text


def test_a_name_cannot_become_markup(tmp_path: Path, coloured: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("<b>red</b>\n", encoding="utf-8")
    with retrieval.open(coloured, encoder=FakeEncoder()) as collection:
        retrieval.cluster(collection, words=words).write_page(tmp_path / "groups.html")

    text = (tmp_path / "groups.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;red&lt;/b&gt;" in text
    assert "<b>" not in text
