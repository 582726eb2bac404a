"""Grey levels of a copy follow from the original's; those of another thing of its kind do not."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.matching.levels import LEVELS, levels_followed

pytest.importorskip("cv2")

SIDE = 120
PLACES = np.array([12, 0, 0])
EVERY = np.ones((10, 10), np.float32)  # tiles that agree


def picture() -> np.ndarray:
    """Return smooth patches with some noise, 20 to 220."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(20, 200, (10, 10)).repeat(12, axis=0).repeat(12, axis=1)
    return (coarse + rng.uniform(0, 20, (SIDE, SIDE))).astype(np.float32)


def measured(still: np.ndarray, warped: np.ndarray, tiles: np.ndarray = EVERY) -> dict[str, float]:
    mask = np.ones(still.shape, np.float32)
    found = levels_followed(still, warped, mask, PLACES, tiles, agrees=0.8)
    return dict(zip(LEVELS, found.tolist(), strict=True))


def test_levels_of_a_copy_follow_whatever_was_done_to_its_brightness() -> None:
    one = picture()

    same, brighter = measured(one, one), measured((255 * (one / 255) ** 0.6).astype(np.float32), one)

    assert same["levels within 2"] == 1.0
    assert same["turned tiles"] == 0.0
    assert brighter["levels within 5"] > 0.95
    assert brighter["cells off"] < 0.02


def test_levels_do_not_follow_where_parts_have_other_colours() -> None:
    one = picture()
    other = one.copy()
    other[:, 60:] = 240 - other[:, 60:]
    tiles = EVERY.copy()
    tiles[:, 5:] = -1.0

    found = measured(other, one, tiles)

    assert found["levels within 10"] < 0.75
    assert found["turned tiles"] == 0.5
    assert found["cells off"] > 0.3


def test_light_that_falls_otherwise_is_off_over_areas_and_noise_is_not() -> None:
    one = picture()
    light = (one * np.linspace(0.8, 1.2, SIDE, dtype=np.float32)).astype(np.float32)
    noise = (one + np.random.default_rng(5).normal(0, 12, one.shape)).astype(np.float32)

    assert measured(light, one)["off as neighbours"] > measured(noise, one)["off as neighbours"] + 0.3
    assert measured(light, one)["off over areas"] > measured(noise, one)["off over areas"]


def test_an_overlap_of_few_cells_says_nothing() -> None:
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[:8, :8] = 1

    found = levels_followed(picture(), picture(), mask, PLACES, EVERY, agrees=0.8)

    assert found.shape == (len(LEVELS),)
    assert not found.any()
