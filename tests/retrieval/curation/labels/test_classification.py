"""Labels of images without one are guessed, and labels that neighbours contradict are found."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from retrieval.collection import Collection
from retrieval.curation.labels import classify, suspects
from retrieval.errors import OptionError
from tests.retrieval.curation.labels.conftest import DIM, KINDS, labels_of


@pytest.mark.parametrize("each", [1, 2, 8])
def test_the_rest_gets_the_label_of_its_group(animals: Collection, each: int) -> None:
    known = labels_of(range(4 * each))

    found = classify(animals, known, least=0)

    truth = labels_of(range(120))
    assert [one.path for one in found] == [path for path in truth if path not in known]
    assert np.mean([one.best == truth[one.path] for one in found]) > 0.95  # usually 1
    assert (found.choice.accuracy is None) == (each == 1)


def test_who_voted_is_said_nearest_first(animals: Collection) -> None:
    first = classify(animals, labels_of(range(40)))[0]

    assert first.label == KINDS[first.id % 4]
    assert [voter.label for voter in first.voters] == [first.label] * 5
    vectors = animals.vectors([first.id, *(voter.id for voter in first.voters)])
    np.testing.assert_allclose([voter.score for voter in first.voters], vectors[1:] @ vectors[0], atol=1e-3)


def test_an_image_that_is_like_nothing_gets_no_label(animals: Collection) -> None:
    animals.add(np.r_[-np.ones(DIM // 2), np.ones(DIM // 2)][np.newaxis], ["odd.jpg"])

    odd = classify(animals, labels_of(range(80)))[-1]

    assert (odd.path, odd.label, odd.reason) == ("odd.jpg", None, "nothing near")


def test_an_image_of_which_nothing_is_sure_gets_no_label(animals: Collection) -> None:
    unsure = [one for one in classify(animals, labels_of(range(40)), least=1) if one.reason == "unsure"]

    assert unsure
    assert all(one.label is None and one.probability < 1 for one in unsure)


def test_labels_come_from_a_file_or_a_column(animals: Collection, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    lines = [*(f"{file},{label}" for file, label in labels_of(range(8)).items()), "010.jpg,", "gone.jpg,cat"]
    path.write_text("\n".join(["file,label", *lines]))

    of_file, of_column = classify(animals, path), classify(animals, column="kind")

    assert [one.to_json() for one in of_file] == [one.to_json() for one in of_column]
    assert (of_file.labelled, of_file.unknown, of_column.unknown) == (8, 1, 0)


def test_only_what_passes_the_filters_gets_a_label(animals: Collection) -> None:
    found = classify(animals, labels_of(range(40)), glob="05*.jpg")

    assert [one.id for one in found] == list(range(50, 60))


def test_the_csv_can_be_read_as_labels_again(animals: Collection, tmp_path: Path) -> None:
    found = classify(animals, labels_of(range(40)))
    path = tmp_path / "guessed.csv"
    path.write_text(found.to_csv())

    again = classify(animals, path, least=0)

    assert again.labelled == found.guessed
    assert [row["voters"].split() for row in csv.DictReader(io.StringIO(found.to_csv()))] == [
        [str(voter.id) for voter in one.voters] for one in found
    ]


@pytest.mark.parametrize("wrong", [[5], [5, 6, 50, 100]])
def test_wrong_labels_are_suspected_first(animals: Collection, wrong: list[int]) -> None:
    labels = labels_of(range(120))
    for number in wrong:
        labels[f"{number:03}.jpg"] = KINDS[(number + 1) % 4]

    found = suspects(animals, labels)

    assert {one.id for one in found[: len(wrong)]} == set(wrong)
    assert all(one.likely == KINDS[one.id % 4] for one in found[: len(wrong)])
    assert (found.judged, found.alone) == (120, 0)
    assert [one.probability for one in found] == sorted(one.probability for one in found)


def test_a_label_of_one_image_cannot_be_doubted(animals: Collection) -> None:
    found = suspects(animals, labels_of(range(40)) | {"041.jpg": "horse"}, least=0)

    assert (found.judged, found.alone) == (40, 1)
    assert 41 not in {one.id for one in found}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "one of both"),
        ({"labels": {"000.jpg": "cat"}, "column": "kind"}, "one of both"),
        ({"labels": {"000.jpg": "cat", "./000.jpg": "dog"}}, "has two labels, cat and dog"),
        ({"labels": {"000.jpg": "cat", "001.jpg": "cat"}}, "all images have the label cat"),
        ({"labels": {"gone.jpg": "cat"}}, "gives no image"),
        ({"column": "breed"}, "gives no image .* there are the columns kind"),
        ({"labels": "/nowhere.csv"}, "no such file"),
        ({"column": "kind", "least": 2}, "give a probability"),
    ],
)
def test_what_cannot_be_used_is_refused(animals: Collection, given: dict[str, object], message: str) -> None:
    for function in (classify, suspects):
        with pytest.raises(OptionError, match=message):
            function(animals, **given)  # type: ignore[arg-type]
