"""A collection keeps its encoder's vectors of probes, and refuses an encoder that gives others."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes.generation import MANIFEST, read_manifest, write_manifest
from retrieval.encoders.registry import registry
from retrieval.errors import SpaceMismatch
from retrieval.testing import FakeEncoder
from tests.retrieval.drift import drift, mild_view
from tests.retrieval.family import Family
from tests.retrieval.folders import PROBES, CountingEncoder, fill, picture, without_probes

NAMES = [f"{number}.png" for number in range(6)]
FIXTURES = Path(__file__).parents[3] / "fixtures"


class Shifted(FakeEncoder):
    """The fingerprint of a `FakeEncoder`, and another normalisation of its pixels."""

    def preprocess(self, image):
        return np.ascontiguousarray(super().preprocess(image)[::-1, :, ::-1] + np.float32(0.4))


def manifest_of(folder):
    return read_manifest(folder / ".retrieve")


def probes_of(folder):
    return manifest_of(folder).probes


@pytest.fixture
def photos(tmp_path):
    folder = fill(tmp_path / "photos", NAMES)
    retrieval.build_index(folder, encoder=FakeEncoder())
    return folder


def test_the_first_build_records_its_encoder(photos):
    recorded = probes_of(photos)[FakeEncoder().space.fingerprint]

    assert recorded.keys() == {"edition", "image", "text"}


def test_another_encoder_of_the_fingerprint_is_refused_with_the_first_image_that_it_encodes(photos, tmp_path):
    with retrieval.open(photos, encoder=Shifted()) as collection:
        assert collection.search(0)  # no encoder answers this
        with pytest.raises(
            SpaceMismatch, match="made image another vector than when this collection was built"
        ):
            collection.search(picture(70))


def test_a_named_encoder_is_compared_too(photos, monkeypatch):
    """Its runtime may have gone wrong, or its package changed."""
    family = Family("fakes", "fakes:any", lambda model: FakeEncoder())
    monkeypatch.setitem(registry.BUILT_IN, "fakes", "tests.retrieval.collection.queries.test_encoder_check")
    monkeypatch.setattr("tests.retrieval.collection.queries.test_encoder_check.FAMILY", family, raising=False)
    write_manifest(photos / ".retrieve", replace(manifest_of(photos), encoder="fakes:any"))
    with retrieval.open(photos) as collection:
        assert collection.search(picture(70))
    monkeypatch.setattr(
        "tests.retrieval.collection.queries.test_encoder_check.FAMILY",
        Family("fakes", "fakes:any", lambda model: Shifted()),
    )

    with (
        retrieval.open(photos) as collection,
        pytest.raises(SpaceMismatch, match="use the encoder that built"),
    ):
        collection.search(picture(70))
    fill(photos, ["new.png"], first=50)
    with pytest.raises(SpaceMismatch, match="use the encoder that built"):
        retrieval.build_index(photos)
    with retrieval.open(photos) as collection:
        assert len(collection) == len(NAMES)


def test_each_object_is_asked_once_with_a_batch_that_it_encodes_anyway(photos):
    encoder = CountingEncoder()
    for _ in range(3):
        with retrieval.open(photos, encoder=encoder) as collection:
            collection.search("lake")
            collection.search(picture(70))
            collection.search(picture(71))

    assert encoder.encoded == 6 + PROBES


def test_the_object_that_built_is_not_asked_again(tmp_path):
    folder = fill(tmp_path / "photos", NAMES)
    encoder = CountingEncoder()
    retrieval.build_index(folder, encoder=encoder)
    with retrieval.open(folder, encoder=encoder) as collection:
        collection.search(picture(70))

    assert encoder.encoded == len(NAMES) + PROBES + 1


def test_a_collection_of_an_earlier_version_gets_them_by_the_next_build_that_encodes(photos):
    without_probes(photos)
    retrieval.build_index(photos, encoder=FakeEncoder())
    assert probes_of(photos) == {}  # nothing was encoded
    fill(photos, ["new.png"], first=50)
    with pytest.raises(SpaceMismatch, match="another vector than the collection holds"):
        retrieval.build_index(photos, encoder=Shifted())
    assert probes_of(photos) == {}

    retrieval.build_index(photos, encoder=FakeEncoder())

    assert set(probes_of(photos)) == {FakeEncoder().space.fingerprint}
    with retrieval.open(photos, encoder=Shifted()) as collection, pytest.raises(SpaceMismatch):
        collection.search(picture(70))


def test_a_later_build_keeps_what_was_recorded(photos):
    before = probes_of(photos)
    fill(photos, ["new.png"], first=50)
    retrieval.build_index(photos, encoder=FakeEncoder())

    assert probes_of(photos) == before


def test_a_class_and_a_name_are_taken_wherever_an_encoder_is(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(FIXTURES / "loaders")
    folder = fill(tmp_path / "photos", NAMES)
    retrieval.build_index(folder, encoder=FakeEncoder)
    with retrieval.open(folder, encoder=FakeEncoder) as collection:
        assert collection.search("lake")
    named = fill(tmp_path / "named", NAMES)
    retrieval.build_index(named, encoder="colours")

    with retrieval.open(named) as collection:
        assert collection.search(0)[0].path
    with retrieval.open(named, encoder="colours", device="cpu") as collection:
        assert collection.search(picture(70))


def test_an_empty_collection_made_for_an_encoder_records_it(tmp_path):
    with retrieval.create(tmp_path, encoder=FakeEncoder()) as collection:
        collection.add_images([picture(1), picture(2)])

    with retrieval.open(tmp_path, encoder=FakeEncoder()) as collection:
        assert len(collection.search(picture(1), k=1)) == 1
    with retrieval.open(tmp_path, encoder=Shifted()) as collection, pytest.raises(SpaceMismatch):
        collection.add_images([picture(3)])


def test_vectors_from_elsewhere_record_nothing(tmp_path):
    retrieval.sync_vectors(tmp_path, np.eye(4, 64), list("abcd"), space=FakeEncoder().space)

    assert "probes" not in json.loads((tmp_path / ".retrieve" / MANIFEST).read_text())


@pytest.mark.parametrize(("dim", "most"), [(256, 1_600), (1024, 6_000)])
def test_they_keep_the_manifest_small(tmp_path, dim, most):
    folder = fill(tmp_path / "photos", NAMES)
    retrieval.build_index(folder, encoder=FakeEncoder(dim=dim))
    whole = (folder / ".retrieve" / MANIFEST).stat().st_size
    without_probes(folder)

    assert whole - (folder / ".retrieve" / MANIFEST).stat().st_size < most
    assert whole < 8_000


def test_an_upgrade_carries_those_of_both_encoders_until_it_cannot_be_taken_back(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN, "drift", "tests.retrieval.drift")
    monkeypatch.setattr("retrieval.upgrades.trial.sample.view_of", mild_view)
    folder = fill(tmp_path / "photos", [f"{number}.png" for number in range(60)])
    retrieval.build_index(folder, encoder=drift("old"))
    old, new = (drift(name).space.fingerprint for name in ("old", "new"))
    first = probes_of(folder)[old]

    retrieval.upgrade(folder, encoder=drift("new"), old_encoder=drift("old"), force=True)
    assert set(probes_of(folder)) == {old, new}
    retrieval.backfill(folder)
    assert set(probes_of(folder)) == {old, new}
    retrieval.rollback(folder)
    assert probes_of(folder) == {old: first}
    assert manifest_of(folder).space.fingerprint == old

    retrieval.upgrade(folder, encoder=drift("new"), old_encoder=drift("old"), force=True)
    retrieval.backfill(folder)
    retrieval.finish_upgrade(folder)
    assert set(probes_of(folder)) == {new}


def test_the_new_encoder_of_an_upgrade_is_compared_while_it_is_under_way(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.BUILT_IN, "drift", "tests.retrieval.drift")
    monkeypatch.setattr("retrieval.upgrades.trial.sample.view_of", mild_view)
    folder = fill(tmp_path / "photos", [f"{number}.png" for number in range(60)])
    retrieval.build_index(folder, encoder=drift("old"))
    retrieval.upgrade(folder, encoder=drift("new"), old_encoder=drift("old"), force=True)
    changed = drift("new")
    monkeypatch.setattr(changed, "_frame", -changed._frame)

    with retrieval.open(folder, encoder=changed) as collection, pytest.raises(SpaceMismatch):
        collection.search(picture(70))
    fill(folder, ["added.png"], first=70)
    with pytest.raises(SpaceMismatch):
        retrieval.build_index(folder, encoder=changed)
