"""What is done about the images of one collection is done about those of a sharded one, with the same result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import retrieval
from retrieval.collection import Collection
from retrieval.curation.audit import hubness as hubness_module
from retrieval.testing import FakeEncoder
from tests.retrieval.curation.coloured import COLOURS, write_coloured


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The coloured pictures, indexed as one collection and as three shards."""
    root = tmp_path_factory.mktemp("sharded")
    write_coloured(root / "photos")
    retrieval.build_index(root / "photos", index=root / "one", encoder=FakeEncoder())
    retrieval.build_index(root / "photos", index=root / "many", encoder=FakeEncoder(), shards=3)
    return root


@pytest.fixture
def pair(folder: Path) -> Iterator[tuple[Collection, Collection]]:
    with (
        retrieval.open(folder / "one", encoder=FakeEncoder()) as one,
        retrieval.open(folder / "many", encoder=FakeEncoder()) as many,
    ):
        yield one, many


def labels(names: tuple[str, ...] = tuple(COLOURS)) -> dict[str, str]:
    return {f"{name}/{place:02}.png": name for name in names for place in range(4)}


def test_labels_are_guessed(pair: tuple[Collection, Collection]) -> None:
    one, many = ({guess.path: guess.label for guess in each.classify(labels())} for each in pair)

    assert many == one
    assert len(many) == 15
    assert all(path.startswith(str(label)) for path, label in many.items() if label)


def test_only_filtered_images_get_a_label(pair: tuple[Collection, Collection]) -> None:
    found = pair[1].classify(labels(), under="red")

    assert sorted(guess.path for guess in found) == [f"red/{place:02}.png" for place in range(4, 12)]


def test_wrong_labels_are_found(pair: tuple[Collection, Collection]) -> None:
    wrong = labels() | {"red/04.png": "blue"}

    one, many = ([suspect.path for suspect in each.suspects(wrong, least=0.0)] for each in pair)

    assert many == one
    assert many[0] == "red/04.png"
    assert [suspect.path for suspect in pair[1].suspects(wrong, least=0.0, under="green")] == []


def test_examples_find_what_is_like_them(pair: tuple[Collection, Collection]) -> None:
    one, many = (
        each.search(
            each.query_by_examples(
                retrieval.row(each.id_of("red/00.png")), retrieval.row(each.id_of("blue/00.png"))
            ),
            k=8,
        )
        for each in pair
    )

    assert {hit.path for hit in many} == {hit.path for hit in one}
    assert all(hit.path.startswith("red/") for hit in many)
    assert [hit.score for hit in many] == pytest.approx([hit.score for hit in one], abs=1e-3)


def test_the_state_of_all_shards_is_told(pair: tuple[Collection, Collection]) -> None:
    one, many = (each.audit(labels=labels()) for each in pair)

    assert many.images == one.images == 27
    assert [issue.name for issue in many.issues] == [issue.name for issue in one.issues]
    for mine, other in zip(many.issues, one.issues, strict=True):
        assert {image.path for image in mine.images} == {image.path for image in other.images}
    assert many.classes == one.classes


def test_images_are_found_as_often(
    pair: tuple[Collection, Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubness_module, "K", 4)
    counts = []
    for each in pair:
        hubs = hubness_module.hubness(each, each.mask())
        assert hubs is not None
        keys = [each.key_of(number) for number in hubs.ids.tolist()]
        counts.append(dict(zip(keys, hubs.counts.tolist(), strict=True)))
    one, many = counts

    assert sum(many.values()) == 27 * 4
    assert sum(abs(many[key] - one[key]) for key in one) <= 4  # near ties may be ordered otherwise


def test_sets_of_folders_are_compared(pair: tuple[Collection, Collection]) -> None:
    found = pair[1].audit(
        checks=("outliers",), targets=[Path("red"), Path("green")], attributes=["red", "green"]
    )

    assert found.association is not None
    assert found.association.effect > 1


def test_encoders_are_compared_over_all_shards(pair: tuple[Collection, Collection], folder: Path) -> None:
    retrieval.build_index(
        folder / "photos", index=folder / "other", encoder=FakeEncoder(dim=32, name="other")
    )

    one, many = (each.compare(folder / "other", k=3) for each in pair)

    assert many.images == one.images == 27
    assert many.overlap.value == pytest.approx(one.overlap.value, abs=0.05)
    with retrieval.open(folder / "other") as other:
        assert other.compare(pair[1], k=3).overlap.value == pytest.approx(many.overlap.value, abs=0.01)
