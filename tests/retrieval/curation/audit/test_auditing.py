"""The audit of a folder: each kind of trouble is found where it was put, and nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import retrieval
from retrieval.collection import Collection
from retrieval.curation.audit import CHECKS, Audit, audit, image_reading
from retrieval.errors import OptionError
from retrieval.testing import FakeEncoder
from tests.retrieval.curation.audit.conftest import photograph, write_troubled

PIXELS = ("blurry", "low_information", "dark", "light", "grayscale", "odd_aspect_ratio", "odd_size")


def found_in(report: Audit, name: str) -> list[str]:
    return sorted(image.path for image in report[name].images)


@pytest.fixture
def indexed(troubled: Path) -> Iterator[Collection]:
    retrieval.build_index(troubled, encoder=FakeEncoder(), progress=False)
    with retrieval.open(troubled) as photos:
        yield photos


@pytest.fixture(scope="module")
def troubles(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder = write_troubled(tmp_path_factory.mktemp("audit") / "troubled")
    retrieval.build_index(folder, encoder=FakeEncoder(), progress=False)
    return audit(folder, checks=["pixels"])


@pytest.mark.parametrize("name", PIXELS)
def test_each_kind_of_trouble_is_found_where_it_is(troubles: Audit, name: str) -> None:
    assert found_in(troubles, name) == [f"{name}.png"]
    assert troubles[name].looked_at == 19
    assert troubles[name].images[0].note


def test_pixels_are_read_once(indexed: Collection, troubled: Path) -> None:
    first = audit(indexed, checks=["pixels"])
    with mock.patch.object(image_reading, "read_pixel_facts", side_effect=AssertionError):
        again = audit(indexed, checks=["pixels"])

    assert again.to_json() == first.to_json()

    photograph(30).save(troubled / "new.png")
    retrieval.build_index(troubled, encoder=FakeEncoder(), progress=False)
    with (
        mock.patch.object(image_reading, "read_pixel_facts", wraps=image_reading.read_pixel_facts) as reading,
        retrieval.open(troubled) as photos,
    ):
        more = audit(photos, checks=["pixels"])

    assert reading.call_count == 1
    assert more["dark"].looked_at == 20


def test_the_folder_of_facts_may_be_deleted(indexed: Collection) -> None:
    first = audit(indexed, checks=["pixels"])
    shutil.rmtree(indexed.directory / image_reading.FOLDER)

    assert audit(indexed, checks=["pixels"]).to_json() == first.to_json()


def test_images_that_are_gone_are_counted(indexed: Collection, troubled: Path) -> None:
    (troubled / "fine-03.png").unlink()

    report = audit(indexed, checks=["pixels"])

    assert report.unread == {"vanished": 1}
    assert report["dark"].looked_at == 18


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Two splits of twenty pictures each; two of the first lie in the second, too."""
    for number in range(40):
        folder = tmp_path / "data" / ("train" if number < 20 else "test")
        folder.mkdir(parents=True, exist_ok=True)
        photograph(100 + number).save(folder / f"{number:02}.png")
    for number in (3, 4):
        shutil.copy(
            tmp_path / "data/train" / f"{number:02}.png", tmp_path / "data/test" / f"copy-{number}.png"
        )
    shutil.copy(tmp_path / "data/test/30.png", tmp_path / "data/test/copy-30.png")
    (tmp_path / "data/broken.png").write_bytes(b"no image")
    retrieval.build_index(tmp_path / "data", encoder=FakeEncoder(), progress=False)
    return tmp_path / "data"


def test_leaks_between_folders_are_found(split: Path) -> None:
    report = audit(split, checks=["duplicates"])

    assert report.splits is not None
    assert report.splits.counts == {"test": 23, "train": 20}
    assert found_in(report, "leaks") == [
        "test/copy-3.png",
        "test/copy-4.png",
        "train/03.png",
        "train/04.png",
    ]
    assert len(report["exact_duplicates"]) == 6
    assert report.skipped_by_reason == {"unreadable": 1}
    assert [one.path for one in report.skipped] == ["broken.png"]


def test_copies_with_different_labels_are_a_conflict(split: Path) -> None:
    labels = {f"train/{number:02}.png": "a" if number % 2 else "b" for number in range(20)}
    report = audit(
        split, checks=["duplicates"], labels={**labels, "test/copy-3.png": "b", "test/copy-4.png": "b"}
    )

    assert found_in(report, "label_conflicts") == ["test/copy-3.png", "train/03.png"]
    assert report.duplicates is not None
    assert report.classes is not None
    assert report.classes.counts == {"b": 12, "a": 10}
    assert report.classes.without == 21
    assert {report.duplicates[int(one.value) - 1].stays.path for one in report["label_conflicts"].images} == {
        "train/03.png"
    }
    assert audit(split, checks=[], labels=labels, under="test").classes is None
    assert report.suspects is not None
    assert len(report["doubtful_labels"]) == len(report.suspects)


def test_vectors_alone_have_what_can_be_said_of_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    near = rng.standard_normal(16) * 3
    with retrieval.create(tmp_path / "rows", dim=16) as rows:
        rows.add(np.concatenate([near + rng.standard_normal((80, 16)), -near[np.newaxis]]))
        report = audit(rows)

    assert report["outliers"].images[0].path == "80"
    assert report.hubness is not None
    assert report["rarely_found"].images[-1].path == "80"
    assert report["dark"].looked_at == 0
    assert sum(report.unread.values()) == 81


def test_nothing_is_changed(indexed: Collection) -> None:
    before = {path: path.read_bytes() for path in indexed.directory.glob("*") if path.is_file()}

    audit(indexed)

    assert {path: path.read_bytes() for path in indexed.directory.glob("*") if path.is_file()} == before


def test_mistakes_are_told(indexed: Collection) -> None:
    with pytest.raises(OptionError, match="duplicates, pixels, outliers, hubness"):
        audit(indexed, checks=["colour"])
    with pytest.raises(OptionError, match="together"):
        audit(indexed, targets=("a, b", "c, d"))
    with pytest.raises(OptionError, match="was not looked for"):
        audit(indexed, checks=["pixels"])["leaks"]
    assert set(CHECKS) == {"duplicates", "pixels", "outliers", "hubness"}
