"""Small pictures are compared: cuts begin scenes, flashes and movement do not."""

import numpy as np

from retrieval.sources.media.scenes import Scenes, nearly_equal

DRAW = np.random.default_rng(5)
ONE, TWO = (DRAW.integers(0, 256, (32, 32, 3)).astype(np.int16) for _ in range(2))


def begins(pictures, step=0.1):
    scenes = Scenes()
    return [at for at, picture in enumerate(pictures) if scenes.begins(picture, at * step)]


def test_a_cut_begins_a_scene():
    assert begins([ONE] * 30 + [TWO] * 20) == [0, 30]


def test_fast_movement_begins_none():
    steps = [np.roll(ONE // 4, at, axis=1) for at in range(40)]

    assert begins(steps) == [0]


def test_a_slow_change_begins_a_scene_once_it_shows_something_else():
    mixed = [((100 - at) * ONE + at * TWO) // 100 for at in range(100)]

    assert begins(mixed + [TWO] * 100)[:2] == [0, 50]


def test_one_thing_that_appears_is_no_cut():
    shown = ONE // 4
    with_lamp = shown.copy()
    with_lamp[:12, :12] = 255

    assert begins([shown] * 10 + [with_lamp] * 10) == [0]


def test_a_cut_right_after_another_is_none():
    assert begins([ONE] * 30 + [TWO] * 2 + [ONE] * 2) == [0, 30]


def test_noise_is_nearly_equal_and_a_thing_that_moved_is_not():
    noisy = ONE + DRAW.normal(0, 1.5, ONE.shape).round().astype(np.int16)
    moved = ONE.copy()
    moved[4:6, 4:6] += 60

    assert nearly_equal(ONE, noisy)
    assert not nearly_equal(ONE, moved)
    assert not nearly_equal(ONE, ONE + 5)
