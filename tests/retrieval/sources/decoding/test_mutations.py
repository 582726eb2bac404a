"""Damaged images of every format are an image or a reason: no crash, no hang, no memory."""

import random
import time

import pytest

from retrieval.errors import ImageError
from retrieval.sources.decoding.decoder import decode
from tests.retrieval.mutations import mutated, originals

FILES = originals()
REASONS = {"truncated", "unreadable", "too-large", "unsupported", "empty"}


def peak():
    """Return the most memory that the process has held so far, in MB; 0 where the system does not tell."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) >> 10 for line in status if line.startswith("VmHWM"))
    except OSError:
        return 0


def outcome(data, size):
    """Return the mode of the decoded image, or the reason."""
    try:
        return decode(data, decode_size=size).mode
    except ImageError as error:
        return error.reason


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_sound(name):
    assert decode(FILES[name], name=name).mode == "RGB"


@pytest.mark.parametrize("rounds", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_damage_gives_an_image_or_a_reason(rounds):
    before, names = peak(), list(FILES)
    for number in range(rounds):
        rng = random.Random(f"{rounds} {number}")
        name = names[number % len(names)]
        began = time.monotonic()
        found = outcome(mutated(FILES[name], rng), rng.choice((None, 64, 448)))
        assert found in {"RGB", *REASONS}, (name, number)
        assert time.monotonic() - began < 10, (name, number)
    assert peak() - before < 400
