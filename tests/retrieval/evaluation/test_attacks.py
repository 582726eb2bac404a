from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from retrieval.evaluation.attacks import ATTACKS, attack, reencoded
from tests.retrieval.pictures import scene

SIZES = {
    "rotation 90": (64, 96),
    "crop 0.5": (68, 45),
    "resize 0.5": (68, 45),
    "meme": (96, 78),
    "screenshot": (96, 154),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_same_seed_gives_the_same_copy_and_leaves_the_image_alone(name):
    image = scene()
    before = image.tobytes()
    once, again = attack(name, image, seed=7), attack(name, image, seed=7)

    assert once.mode == "RGB"
    assert once.tobytes() == again.tobytes()
    assert image.tobytes() == before
    assert (once.tobytes() == before) == (name == "none")
    if name in SIZES:
        assert once.size == SIZES[name]


@pytest.mark.parametrize("name", ["screenshot", "meme", "chain"])
def test_another_seed_gives_another_copy(name):
    copies = {attack(name, scene(), seed=seed).tobytes() for seed in range(12)}

    assert len(copies) > 2


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("size", [(1, 1), (5, 300), (2, 2)])
def test_tiny_and_long_images_survive_their_attacks(name, size):
    for seed in range(3):
        copy = attack(name, scene(96, 64).resize(size), seed=seed)

        assert min(copy.size) >= 1


def test_attacks_do_what_their_names_say():
    image = scene()
    pixels = np.asarray(image).astype(float)
    mean = {name: np.asarray(attack(name, image, seed=0)).astype(float) for name in ATTACKS}

    assert mean["brightness 0.5"].mean() == pytest.approx(pixels.mean() / 2, abs=1)
    assert mean["brightness 2"].mean() > 1.5 * pixels.mean()
    assert mean["contrast 0.5"].std() < 0.6 * pixels.std()
    assert mean["contrast 2"].std() > 1.3 * pixels.std()
    np.testing.assert_array_equal(mean["rotation 90"], np.rot90(pixels))
    assert np.abs(np.diff(mean["blur"], axis=1)).mean() < np.abs(np.diff(pixels, axis=1)).mean()
    np.testing.assert_array_equal(mean["jpeg 50"], np.asarray(reencoded(image, 50)))


def test_hue_turns_by_a_fifth_of_the_circle():
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    turned = np.asarray(attack("hue 0.2", red, seed=0).convert("HSV"))[0, 0]

    assert turned[0] == pytest.approx(51, abs=1)


@pytest.mark.parametrize("size", [(20, 66_000), (66_000, 20)])
@pytest.mark.parametrize("name", ATTACKS)
def test_pictures_as_long_as_no_jpeg_are_altered_too(name, size):
    assert max(attack(name, Image.new("RGB", size, "teal"), seed=1).size) < 65_500
