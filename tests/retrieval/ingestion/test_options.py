"""Encoders and options that do not fit are refused before anything is encoded."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.errors import OptionError, SpaceMismatch
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.ingestion.galleries import build, paths


def test_another_encoder_is_refused_by_name(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)

    with pytest.raises(SpaceMismatch, match="other"):
        build(photos, FakeEncoder(name="other", dim=32))

    assert len(paths(photos, encoder)) == 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target_recall": 2.0}, "target_recall"),
        ({"truncate_dim": 7}, "7"),
        ({"kind": "nonsense"}, "nonsense"),
        ({"kind": "IDMap,Flat"}, "leave IDMap out"),
        ({"truncate_dim": 0}, "use 1 to 64"),
        ({"truncate_dim": "wide"}, "wide"),
        ({"kind": "flat", "truncate_dim": 65}, "use 1 to 64"),
    ],
)
def test_bad_options_are_refused_before_anything_is_encoded(
    photos: Path, options: dict[str, object], words: str
) -> None:
    class Nested(CountingEncoder):
        def __init__(self) -> None:
            super().__init__(nesting=(32,))

    encoder = Nested()
    with pytest.raises(OptionError, match=words):
        build(photos, encoder, **options)

    assert encoder.encoded == 0
    assert not (photos / ".retrieve").exists()


def test_a_rotation_of_too_few_images_is_refused_before_anything_is_encoded(photos: Path) -> None:
    encoder = CountingEncoder()
    with pytest.raises(OptionError, match="at least 64 vectors, not 12"):
        build(photos, encoder, truncate_dim=16)

    assert encoder.encoded == 0
    assert not (photos / ".retrieve").exists()


def test_an_encoder_without_a_spec_does_not_take_the_recorded_one_away(
    photos: Path, encoder: CountingEncoder
) -> None:
    encoder.spec = "nano@1"
    build(photos, encoder)
    fill(photos, ["new.png"], first=100)

    build(photos, FakeEncoder())

    with retrieval.open(photos, encoder=encoder) as collection:
        assert collection.manifest.encoder == "nano@1"
