from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import OptionError
from retrieval.evaluation.attacks import CURRENT, LISTS, attack, chosen, reencoded
from tests.retrieval.pictures import scene

ATTACKS = LISTS[CURRENT]

SIZES = {
    "rotation 90": (64, 96),
    "crop 0.5": (68, 45),
    "resize 0.5": (68, 45),
    "crop 0.1": (30, 20),
    "part 0.1": (30, 20),
    "64 pixels": (64, 64),
    "meme": (96, 78),
    "screenshot": (96, 154),
    "collage": (198, 134),
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


@pytest.mark.parametrize(
    "name",
    [
        "screenshot",
        "meme",
        "chain",
        "border",
        "text",
        "emoji",
        "overlay",
        "collage",
        "screen photo",
        "part 0.1",
    ],
)
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
    np.testing.assert_array_equal(mean["flip"], pixels[:, ::-1])
    assert np.ptp(mean["grey"], axis=2).max() == 0


def test_words_emoji_and_a_veil_leave_the_rest_of_the_picture() -> None:
    image = scene(192, 128)
    pixels = np.asarray(image).astype(int)
    for name, least, most in (("text", 0.05, 0.7), ("emoji", 0.02, 0.5), ("overlay", 0.5, 1.0)):
        changed = [
            (np.abs(np.asarray(attack(name, image, seed=seed)) - pixels).max(axis=2) > 2).mean()
            for seed in range(20)
        ]

        assert least < np.mean(changed) < most, name
    veiled = np.asarray(attack("overlay", image, seed=1)).astype(float)
    assert np.corrcoef(veiled.ravel(), pixels.ravel())[0, 1] > 0.6


def test_a_collage_and_a_border_hold_the_whole_picture() -> None:
    image = scene()
    pixels = np.asarray(image)
    for name in ("collage", "border"):
        copy = np.asarray(attack(name, image, seed=5))
        windows = np.lib.stride_tricks.sliding_window_view(copy[..., 0], pixels.shape[:2])
        found = np.argwhere((windows == pixels[..., 0]).all(axis=(2, 3)))

        assert len(found) == 1, name


def test_a_photographed_screen_shows_the_picture_aslant() -> None:
    image = scene(192, 128)
    copy = attack("screen photo", image, seed=2)
    shown = np.asarray(copy.resize(image.size).convert("L")).astype(float)
    plain = np.asarray(image.convert("L")).astype(float)

    assert 0.2 < np.corrcoef(shown.ravel(), plain.ravel())[0, 1] < 0.999


def test_published_lists_are_part_of_the_newest_one() -> None:
    image = scene()
    for seed in range(3):
        for name in LISTS["attacks-1"]:
            assert attack(name, image, seed=seed, of="attacks-1") == attack(name, image, seed=seed)
    assert list(LISTS["attacks-1"])[1:] == [
        "contrast 0.5", "contrast 2", "brightness 0.5", "brightness 2", "hue 0.2", "blur", "jpeg 50", "rotation 25", "rotation 90",
        "crop 0.5", "resize 0.5", "screenshot", "meme", "chain",
    ]  # fmt: skip
    assert len(LISTS["nano-attacks-1"]) == 10
    assert set(LISTS["nano-attacks-1"].values()) < set(LISTS["attacks-2"].values())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (True, ("attacks-2", tuple(LISTS["attacks-2"]))),
        ("attacks-1", ("attacks-1", tuple(LISTS["attacks-1"]))),
        ("crop 0.2, flip,flip", ("attacks-2", ("crop 0.2", "flip"))),
        (["emoji"], ("attacks-2", ("emoji",))),
    ],
)
def test_attacks_are_chosen_by_name(names, expected):
    assert chosen(names) == expected


def test_an_unknown_attack_is_named_with_what_there_is() -> None:
    with pytest.raises(
        OptionError, match=r"no attack is called 'crop 0.3'; did you mean crop 0.*There are none, contrast"
    ):
        chosen("flip,crop 0.3")
    with pytest.raises(OptionError, match="no attack is named; there are none, contrast"):
        chosen([])


def test_hue_turns_by_a_fifth_of_the_circle():
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    turned = np.asarray(attack("hue 0.2", red, seed=0).convert("HSV"))[0, 0]

    assert turned[0] == pytest.approx(51, abs=1)


@pytest.mark.parametrize("size", [(20, 66_000), (66_000, 20)])
@pytest.mark.parametrize("name", ATTACKS)
def test_pictures_as_long_as_no_jpeg_are_altered_too(name, size):
    assert max(attack(name, Image.new("RGB", size, "teal"), seed=1).size) < 65_500
