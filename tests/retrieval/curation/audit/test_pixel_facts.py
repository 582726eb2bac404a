"""What is read of pixels: sharp and blurred, dark and light, empty and full."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from retrieval.curation.audit.pixel_facts import PixelFacts, facts_of_pixels, read_pixel_facts
from retrieval.errors import ImageError
from tests.retrieval.curation.audit.conftest import photograph, scaled


def facts(image: Image.Image) -> PixelFacts:
    return facts_of_pixels(image, width=image.width, height=image.height)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()


def test_more_blur_is_told_as_more() -> None:
    sharp = photograph(1)

    told = [facts(sharp.filter(ImageFilter.GaussianBlur(radius))).blur for radius in (0, 1, 2, 4)]

    assert told == sorted(told)
    assert told[0] < 0.3
    assert told[-1] > 0.7


def test_contrast_is_no_sharpness() -> None:
    sharp = photograph(2)

    assert facts(scaled(sharp, 0.5)).blur == pytest.approx(facts(sharp).blur, abs=0.05)


def test_brightness_is_a_share_of_the_largest() -> None:
    even = facts(Image.new("RGB", (20, 10), (51, 51, 51)))

    assert (even.bright, even.dim) == (0.2, 0.2)


def test_an_empty_picture_has_no_information() -> None:
    assert str(facts(Image.new("RGB", (60, 40), "red")).information) == "0.0"
    assert facts(photograph(3)).information > 3


def test_colour_is_seen_through_what_compression_leaves() -> None:
    grey = photograph(4).convert("L").convert("RGB")

    assert facts(grey).colour == 0
    assert read_pixel_facts(saved(grey, "JPEG", quality=60), name="grey").colour <= 4
    assert facts(photograph(4)).colour > 60


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (5, 4), (9, 9), (3000, 2)])
def test_every_size_has_facts(size: tuple[int, int]) -> None:
    found = facts(Image.new("RGB", size, "green"))

    assert (found.width, found.height) == size
    assert 0 <= found.blur <= 1


def test_a_large_image_is_read_small_and_keeps_its_size() -> None:
    large = photograph(5, width=2400, height=1800)

    found = read_pixel_facts(saved(large, "JPEG", quality=90), name="large")

    assert (found.width, found.height) == (2400, 1800)


def test_a_turned_image_has_the_size_that_is_seen() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(photograph(6), "JPEG", exif=exif)

    found = read_pixel_facts(data, name="turned")

    assert (found.width, found.height) == (180, 240)


def test_facts_survive_being_written() -> None:
    found = facts(photograph(7))

    assert PixelFacts.from_bytes(found.to_bytes()) == found


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"version": 0}', b'{"version": 1}', b"\xff"])
def test_what_another_version_wrote_is_read_anew(data: bytes) -> None:
    assert PixelFacts.from_bytes(data) is None


def test_a_broken_image_is_an_error() -> None:
    with pytest.raises(ImageError):
        read_pixel_facts(b"no image", name="broken")


def test_the_array_is_left_as_it_was() -> None:
    image = photograph(8, width=900, height=700)
    before = np.asarray(image).copy()

    facts(image)

    assert np.array_equal(np.asarray(image), before)
