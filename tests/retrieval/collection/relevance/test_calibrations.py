"""Which calibration a collection has: its own, or that of the package."""

from pathlib import Path

import numpy as np
import pytest

from indexes.vectors import Space
from retrieval.collection import Collection
from retrieval.collection.relevance import (
    GREATEST_ERROR,
    calibrated,
    check_calibration,
    fit,
    write_calibrations,
)
from retrieval.collection.relevance.calibration import LINE
from retrieval.collection.relevance.calibrations import FOLDER
from retrieval.collection.relevance.match_signals import VERSION
from retrieval.encoders.families.nano import open_nano
from retrieval.errors import StoreCorrupt
from tests.retrieval.collection.relevance.worlds import DIM, background, trials

SPACE = Space(name="made", dim=DIM, fingerprint="made-1")


@pytest.mark.parametrize("version", ["1", "2"])
def test_nano_has_one_for_words_and_for_images(tmp_path: Path, version: str) -> None:
    space = open_nano(version).space

    found = calibrated(tmp_path, space)

    assert found is not None
    assert set(found.kinds) == {"words", "images"}
    assert found.background.vectors.shape[1] == space.dim
    assert all(0 < one.error <= GREATEST_ERROR for one in found.kinds.values())


def test_another_encoder_has_none(tmp_path: Path) -> None:
    assert calibrated(tmp_path, SPACE) is None


def test_a_collection_has_its_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = trials(rng, kinds=6)
    usual = background(rng)

    write_calibrations(tmp_path, SPACE, usual, {"images": fit(made, error=0.05)})
    found = calibrated(tmp_path, SPACE)
    other = Space(name="other", dim=DIM, fingerprint="other-1")

    assert found is not None
    assert list(found.kinds) == ["images"]
    np.testing.assert_allclose(found.background.vectors, usual.vectors, atol=0.006)
    assert calibrated(tmp_path, other) is None


def test_what_is_not_calibrated_well_enough_is_not_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = trials(rng, kinds=6)

    write_calibrations(tmp_path, SPACE, background(rng), {"images": fit(made, error=0.11), "words": fit(made, error=0.1)})  # fmt: skip
    found = calibrated(tmp_path, SPACE)

    assert found is not None
    assert list(found.kinds) == ["words"]


def test_what_was_calibrated_with_other_signals_is_not_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_calibrations(tmp_path, SPACE, background(rng), {"images": fit(trials(rng, kinds=6), error=0.05)})
    kept = tmp_path / FOLDER / "calibration.json"
    kept.write_text(kept.read_text().replace(f'"signals": {VERSION}', '"signals": 1'))

    assert calibrated(tmp_path, SPACE) is None


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b'{"fingerprint": "made-1", "signals": 2, "kinds": {"words": {}}}']
)
def test_a_damaged_one_is_an_error(tmp_path: Path, damage: bytes) -> None:
    rng = np.random.default_rng(0)
    write_calibrations(tmp_path, SPACE, background(rng), {"images": fit(trials(rng, kinds=6), error=0.05)})
    (tmp_path / FOLDER / "calibration.json").write_bytes(damage)

    with pytest.raises(StoreCorrupt, match="makes it anew"):
        calibrated(tmp_path, SPACE)


def test_verify_names_a_background_that_is_damaged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    none = check_calibration(tmp_path)
    write_calibrations(tmp_path, SPACE, background(rng), {"images": fit(trials(rng, kinds=6), error=0.05)})
    whole = check_calibration(tmp_path)
    (tmp_path / FOLDER / "background.npz").write_bytes(b"junk")
    damaged = check_calibration(tmp_path)

    assert none == []
    assert [(check.path, check.ok) for check in whole] == [(FOLDER, True)]
    assert [(check.path, check.ok) for check in damaged] == [(FOLDER, False)]
    with pytest.raises(StoreCorrupt) as raised:
        calibrated(tmp_path, SPACE)
    assert damaged[0].cure in str(raised.value)
    assert "load" not in str(raised.value)  # numpy advises to load it unsafely


def test_sure_says_where_the_line_is() -> None:
    said = " ".join((Collection.search.__doc__ or "").split())

    assert f"those before the first hit whose `match` is below {LINE}" in said
