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
