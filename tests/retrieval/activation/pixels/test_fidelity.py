from __future__ import annotations

import math

import numpy as np
import pytest

from retrieval.activation.pixels.fidelity import linf, psnr, ssim
from retrieval.activation.pixels.visibility import LUMA, noticeable
from retrieval.errors import ShapeError

metrics = pytest.importorskip("skimage.metrics", reason="the definitions are scikit-image's")


def noisy(shape, *, seed=0, noise=9):
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    return one, np.clip(one + rng.integers(-noise, noise + 1, one.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(64, 80), (7, 7), (101, 33)])
@pytest.mark.parametrize("noise", [1, 9, 60])
def test_the_definitions_are_scikit_images(shape, noise):
    one, other = noisy(shape, noise=noise)

    assert psnr(one, other) == pytest.approx(
        metrics.peak_signal_noise_ratio(one, other, data_range=255), abs=1e-9
    )
    expected = metrics.structural_similarity(one, other, channel_axis=2, data_range=255)
    assert ssim(one, other) == pytest.approx(expected, abs=1e-9)


def test_flat_pictures_are_compared_without_losing_digits():
    one = np.full((90, 70, 3), 200, np.uint8)
    other = one.copy()
    other[40, 30] = 203
    expected = metrics.structural_similarity(one, other, channel_axis=2, data_range=255)

    assert ssim(one, other) == pytest.approx(expected, abs=1e-9)


def test_equal_pictures():
    one, _ = noisy((20, 20))

    assert (psnr(one, one), ssim(one, one), linf(one, one)) == (math.inf, 1.0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (6, 6)])
def test_tiny_pictures_are_compared_in_smaller_windows(shape):
    one, other = noisy(shape, noise=30)

    assert -1 <= ssim(one, other) < 1


def test_the_largest_difference_does_not_wrap_around():
    black, white = np.zeros((3, 3, 3), np.uint8), np.full((3, 3, 3), 255, np.uint8)

    assert linf(black, white) == linf(white, black) == 255


def test_pictures_of_two_sizes_are_refused():
    one, _ = noisy((9, 9))

    for measure in (psnr, ssim, linf):
        with pytest.raises(ShapeError, match="one size"):
            measure(one, one[:8])


def slowly(pixels):
    """The map's formulas, pixel by pixel."""
    luma = np.pad(pixels @ np.array(LUMA), 2, mode="edge")
    kernel = [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 2, 0, 2, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]]
    result = np.zeros(pixels.shape[:2])
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            near = luma[y : y + 5, x : x + 5]
            mean = (near * kernel).sum() / 32
            adapted = (
                17 * (1 - math.sqrt(mean / 127 + 1e-3)) + 3 if mean <= 127 else 3 / 128 * (mean - 127) + 3
            )
            three = near[1:4, 1:4]
            across = (three * [[1, 0, -1], [2, 0, -2], [1, 0, -1]]).sum()
            down = (three * [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]).sum()
            slope = math.hypot(across, down)
            masked = 0.117 * 16 * slope**2.4 / (slope**2 + 26**2)
            result[y, x] = max(adapted + masked - 0.3 * min(adapted, masked), 5)
    return result


def test_the_map_follows_its_formulas():
    pixels, _ = noisy((11, 14))
    pixels[:5] //= 8

    np.testing.assert_allclose(noticeable(pixels), slowly(pixels), rtol=1e-4)


def test_texture_and_darkness_hide_more_than_even_grey():
    grey = np.full((20, 20, 3), 127, np.uint8)
    dark = np.full((20, 20, 3), 5, np.uint8)
    texture, _ = noisy((20, 20))

    assert noticeable(grey).max() == 5  # the floor
    assert noticeable(dark).min() > 12
    assert noticeable(texture).mean() > 12
