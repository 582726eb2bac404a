"""What relations are told from says whether light changed evenly, and whether what disagrees is one block."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from retrieval.matching import features
from retrieval.matching.comparison import evidence
from retrieval.matching.signs import SIGNS

pytest.importorskip("cv2", reason="comparing pictures needs OpenCV")


def picture() -> np.ndarray:
    """Return a picture that shows something everywhere, ``(256, 256)``."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(40, 200, (36, 36), np.uint8))
    return np.asarray(small.resize((256, 256), Image.Resampling.BICUBIC), np.float64)


def signs_of(altered: np.ndarray) -> dict[str, float]:
    one, other = (
        features(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))) for pixels in (picture(), altered)
    )
    return dict(zip(SIGNS, next(evidence(one, other)).signs.tolist(), strict=True))


def test_light_that_changes_evenly_is_told_from_light_that_does_not() -> None:
    even = signs_of(0.7 * picture() + 30)
    uneven = signs_of(picture() * np.linspace(0.4, 1.2, 256))

    assert even["spread of gains"] < np.log(0.05) < np.log(0.2) < uneven["spread of gains"]
    assert even["tone of all"] > 0.98 > uneven["tone of all"] + 0.2


def test_a_block_is_told_from_scattered_changes_of_the_same_size() -> None:
    bar, scattered = picture(), picture()
    noise = np.random.default_rng(1).integers(0, 256, (256, 256))
    bar[:64] = noise[:64]
    for row in range(0, 256, 64):
        for column in range(0, 256, 64):
            scattered[row : row + 32, column : column + 32] = noise[row : row + 32, column : column + 32]
    one, other = signs_of(bar), signs_of(scattered)

    assert one["bad neighbours"] > other["bad neighbours"] + 0.1
    assert abs(one["share above 0.9"] - other["share above 0.9"]) < 0.25
    assert one["clear share above 0.9"] < 0.9


def test_a_copy_has_no_doubt_about_it() -> None:
    same = signs_of(picture())

    assert same["clear share above 0.9"] == same["tone of all"] == 1.0
    assert same["bad neighbours"] == 0.0


def grainy(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 8, (256, 256))


def test_a_thing_that_moved_is_found_beside_its_place_and_what_a_sticker_hides_is_not() -> None:
    moved, covered = picture(), picture()
    moved[100:150, 100:150] = picture()[110:160, 112:162]
    covered[100:150, 100:150] = np.kron(np.random.default_rng(3).integers(0, 256, (10, 10)), np.ones((5, 5)))
    one, other = signs_of(moved), signs_of(covered)

    assert one["apart"] > 0
    assert other["apart"] > 0
    assert one["moved"] > 0.5 > other["moved"]


def test_near_and_far_things_that_moved_apart_sway_and_noise_does_not() -> None:
    rows, columns = np.mgrid[:256, :256].astype(np.float64)
    shifts = 1.5 * np.sin(columns / 40) * np.cos(rows / 50)
    inside = np.clip(columns + shifts, 0, 255).astype(int)
    swayed, noisy = np.take_along_axis(picture(), inside, axis=1), picture() + grainy(1)

    assert signs_of(swayed)["sway"] > signs_of(noisy)["sway"] + 0.1


def test_two_copies_of_one_exposure_share_its_noise_and_two_exposures_do_not() -> None:
    first, again = picture() + grainy(1), picture() + grainy(2)
    shared, own = (
        next(
            evidence(
                *(features(Image.fromarray(np.clip(one, 0, 255).astype(np.uint8))) for one in (first, other))
            )
        )
        for other in (0.9 * first + 10, again)
    )
    at = SIGNS.index("fine")

    assert shared.signs[at] < own.signs[at] - 0.5  # usually -3.9 and -2.9
