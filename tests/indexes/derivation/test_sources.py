"""What a manifest says of its sources is kept by every build, and recorded as it is given."""

from __future__ import annotations

import pytest

from indexes.derivation.derivation import derive, publish_tail
from indexes.generation import HAND, Source
from indexes.generation.manifest import read_manifest
from indexes.store.store import VectorStore
from tests.indexes.search.test_generation import SPACE, build, fill, grow

FOLDER = Source(path="../photos", options={"exclude": ["*.gif"]})
HANDS = Source(type=HAND, number=1)


def publishes(directory, publish, **options):
    with VectorStore.open(directory, dim=32, writable=True) as store:
        return publish(directory, store, space=SPACE, encoder=None, **options)


@pytest.mark.parametrize("publish", [derive, publish_tail])
def test_sources_are_recorded_as_they_are_given_though_no_row_has_changed(tmp_path, publish):
    fill(tmp_path, 0, 300)
    build(tmp_path)
    manifest = publishes(tmp_path, publish, sources=(FOLDER, HANDS))

    assert manifest == read_manifest(tmp_path)
    assert (manifest.sources, manifest.format, manifest.generation) == ((FOLDER, HANDS), 4, 2)
    assert publishes(tmp_path, publish, sources=(FOLDER, HANDS)) == manifest


@pytest.mark.parametrize("publish", [derive, publish_tail])
def test_a_build_of_the_folder_keeps_the_other_sources(tmp_path, publish):
    fill(tmp_path, 0, 300)
    publishes(tmp_path, publish, sources=(FOLDER, HANDS))
    grow(tmp_path, 300, 310)

    kept = publishes(tmp_path, publish, root="../photos")
    assert (kept.sources, kept.count) == ((FOLDER, HANDS), 310)
    grow(tmp_path, 310, 320)
    again = publishes(tmp_path, publish, root=None, source_options={})
    assert again.sources == (Source(), HANDS)


def test_a_folder_joins_a_collection_without_one_by_its_options(tmp_path):
    fill(tmp_path, 0, 300)
    only = Source(type=HAND)
    publishes(tmp_path, derive, sources=(only,))
    grow(tmp_path, 300, 310)
    assert publishes(tmp_path, derive, root=None).sources == (only,)

    joined = publishes(tmp_path, derive, root="..", source_options={"follow_links": True})
    assert joined.sources == (only, Source(path="..", options={"follow_links": True}, number=1))
    assert joined.root == ".."
