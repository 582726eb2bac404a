"""Comparisons of encoders: of two collections, and of a collection with an encoder that sees a sample."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import retrieval
from indexes.vectors import Space
from retrieval.collection import Collection
from retrieval.errors import CapabilityMissing, OptionError
from retrieval.testing import FakeEncoder


class GreyEncoder(FakeEncoder):
    """An encoder that sees no colours: it finds what is as light."""

    def __init__(self) -> None:
        super().__init__(dim=8, name="grey")
        self.seen = 0

    def encode_pixels(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.seen += len(batch)
        light = batch.reshape(len(batch), -1).mean(axis=1)
        turned = np.stack([np.cos(light * place) for place in range(1, 9)], axis=1)
        return (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def folder(coloured: Path, tmp_path: Path) -> Path:
    """Photographs of three colours, which an encoder of colours has indexed."""
    copy = tmp_path / "photos"
    shutil.copytree(coloured, copy)
    return copy


@pytest.fixture
def labels(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.parent.name for path in folder.glob("*/*.png")}


def test_an_encoder_that_sees_less_finds_other_neighbours_and_fewer_labels(
    folder: Path, labels: dict[str, str]
) -> None:
    found = retrieval.compare(folder, GreyEncoder(), labels=labels, k=3)

    assert (found.images, found.queries, found.labelled, found.encoded) == (27, 27, 27, True)
    assert found.chance < found.overlap.value < 0.9
    accuracy = found.quality[0]
    assert (accuracy.measure, accuracy.a.value) == ("knn_accuracy", 1.0)
    assert accuracy.b.value < 1.0
    assert accuracy.difference.value == pytest.approx(accuracy.b.value - accuracy.a.value, abs=1e-4)
    assert found.better == "a"


def test_examples_are_those_that_one_encoder_alone_gets_right(folder: Path, labels: dict[str, str]) -> None:
    found = retrieval.compare(folder, GreyEncoder(), labels=labels, k=3)

    assert found.wins == 0
    assert 0 < len(found.lost) <= found.losses
    assert [labels[one.a[0].path] for one in found.lost] == [one.label for one in found.lost]
    assert all(labels[one.b[0].path] != one.label for one in found.lost)


def test_groups_are_the_labels_and_those_agreed_least_about_come_first(
    folder: Path, labels: dict[str, str]
) -> None:
    found = retrieval.compare(folder, GreyEncoder(), labels=labels, k=3)

    overlaps = [group.overlap for group in found.groups]
    assert {group.name for group in found.groups} == {"red", "green", "blue"}
    assert overlaps == sorted(overlaps)
    mean = sum(group.overlap * group.queries for group in found.groups) / found.queries
    assert found.overlap.value == pytest.approx(mean, abs=1e-4)


def test_without_labels_groups_are_found_by_likeness(folder: Path) -> None:
    found = retrieval.compare(folder, GreyEncoder(), k=3)

    assert found.quality == ()
    assert found.better is None
    assert sum(group.queries for group in found.groups) <= found.queries
    assert len(found.groups) > 0


def test_two_collections_are_compared_by_the_images_that_both_have(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other", ignore=shutil.ignore_patterns(".retrieve"))
    (tmp_path / "other/red/00.png").unlink()
    Image.new("RGB", (20, 20), (1, 2, 3)).save(tmp_path / "other/red/01.png")
    Image.new("RGB", (20, 20), (9, 2, 3)).save(tmp_path / "other/new.png")
    retrieval.build_index(tmp_path / "other", encoder=GreyEncoder())

    found = retrieval.compare(folder, tmp_path / "other", k=3)

    assert (found.images, found.only_a, found.only_b, found.changed) == (25, 1, 1, 1)
    assert not found.encoded


def test_two_collections_and_an_encoder_give_the_same(folder: Path, tmp_path: Path) -> None:
    retrieval.build_index(folder, index=tmp_path / "grey", encoder=GreyEncoder())

    of_collection = retrieval.compare(folder, tmp_path / "grey", k=3)
    of_encoder = retrieval.compare(folder, GreyEncoder(), k=3)

    assert of_collection.overlap == of_encoder.overlap
    assert of_collection.groups == of_encoder.groups


def test_an_encoder_sees_the_sample_and_nothing_else(folder: Path) -> None:
    encoder = GreyEncoder()

    found = retrieval.compare(folder, encoder, k=3, sample=10)

    assert encoder.seen == found.images == found.queries == 10


def test_what_cannot_be_compared_is_refused(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "one.png")
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(tmp_path / "one.png", alone)
    retrieval.build_index(alone, encoder=GreyEncoder())

    with pytest.raises(OptionError, match="the same space"):
        retrieval.compare(folder, FakeEncoder())
    with pytest.raises(OptionError, match="no image in common"):
        retrieval.compare(folder, alone)
    with pytest.raises(OptionError, match="are needed at least"):
        retrieval.compare(folder, GreyEncoder(), k=26)
    with pytest.raises(OptionError, match="sample"):
        retrieval.compare(folder, GreyEncoder(), sample=0)


def test_vectors_without_files_are_compared_by_their_keys(tmp_path: Path) -> None:
    draws = np.random.default_rng(2)
    keys = [f"{number:03}" for number in range(60)]
    one = draws.standard_normal((60, 12))
    turn = np.linalg.qr(draws.standard_normal((12, 12)))[0]
    retrieval.sync_vectors(tmp_path / "a", one, keys, space=Space(name="a", dim=12, fingerprint="a"))
    retrieval.sync_vectors(tmp_path / "b", one @ turn, keys, space=Space(name="b", dim=12, fingerprint="b"))

    found = retrieval.compare(tmp_path / "a", tmp_path / "b")

    assert found.overlap.value > 0.99  # turning keeps every cosine but for rounding


def test_a_page_shows_both_sides_and_escapes_names(
    folder: Path, labels: dict[str, str], tmp_path: Path
) -> None:
    names = {path: f"<{label}>" for path, label in labels.items()}
    found = retrieval.compare(folder, GreyEncoder(), labels=names, k=3)

    found.write_page(tmp_path / "differences.html")

    text = (tmp_path / "differences.html").read_text(encoding="utf-8")
    assert "&lt;red&gt;" in text
    assert "<red>" not in text
    assert '<th scope="row">kNN accuracy</th>' in text
    assert text.count('class="pair"') == len(found.lost) + sum(len(group.images) for group in found.groups)


@pytest.fixture
def photos(folder: Path) -> Iterator[Collection]:
    with retrieval.open(folder, encoder=FakeEncoder()) as opened:
        yield opened


def test_words_are_asked_by_both(photos: Collection, labels: dict[str, str]) -> None:
    other = FakeEncoder(dim=32, name="other")

    found = photos.compare(other, labels=labels, k=3)

    words = found.words
    assert words is not None
    assert (words.words, found.wordless) == (3, "")
    (right,) = words.quality
    assert right.measure == "words_precision_at_3"
    assert (right.a.value, right.b.value) == (1.0, 1.0)
    assert words.chance == pytest.approx(3 / 27)
    assert {one.word for one in words.least} == {"red", "green", "blue"}
    for one in words.least:
        shared = {image.path for image in one.a} & {image.path for image in one.b}
        assert one.overlap == pytest.approx(len(shared) / 3)
        assert all(image.path.startswith(one.word) for image in (*one.a, *one.b))


def test_words_of_a_file_are_asked_and_those_without_a_label_are_not_judged(
    photos: Collection, labels: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("red\nunheard\n", encoding="utf-8")

    found = photos.compare(
        FakeEncoder(dim=32, name="other"), labels=labels, words=tmp_path / "words.txt", k=3
    )

    assert found.words is not None
    assert found.words.words == 2
    assert found.words.quality[0].a.value == 1.0


def test_everyday_nouns_are_asked_where_nothing_else_is_said(photos: Collection) -> None:
    found = photos.compare(FakeEncoder(dim=32, name="other"), k=3)

    assert found.words is not None
    assert found.words.words == 100
    assert found.words.quality == ()


def test_an_encoder_without_words_is_asked_none_and_that_is_said(
    photos: Collection, labels: dict[str, str], tmp_path: Path
) -> None:
    class Wordless(GreyEncoder):
        encode_text = None  # type: ignore[assignment]

    found = photos.compare(Wordless(), k=3)

    assert found.words is None
    assert "knows no words" in found.wordless
    (tmp_path / "words.txt").write_text("red\n", encoding="utf-8")
    with pytest.raises(CapabilityMissing, match="knows no words"):
        photos.compare(Wordless(), words=tmp_path / "words.txt", k=3)
