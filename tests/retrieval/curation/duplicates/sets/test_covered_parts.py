"""Pages of text are told from photographs and drawings; what was laid over a picture is measured."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from retrieval import matching
from retrieval.curation.duplicates.sets.covered_parts import is_page_of_text

pytest.importorskip("cv2", reason="comparing pictures needs OpenCV")


def page(number: int) -> Image.Image:
    """Return an invoice of lines and amounts."""
    rng = np.random.default_rng(number)
    made = Image.new("RGB", (620, 877), "white")
    draw = ImageDraw.Draw(made)
    draw.text((60, 60), "INVOICE", "black", font_size=40)
    for line in range(18):
        draw.text((60, 150 + 34 * line), f"item {line} of the usual order", "black", font_size=20)
        draw.text((450, 150 + 34 * line), f"{rng.integers(10, 999)}.00", "black", font_size=20)
    return made


def photograph(seed: int = 0) -> Image.Image:
    small = Image.fromarray(np.random.default_rng(seed).integers(20, 230, (30, 40, 3), np.uint8))
    return small.resize((640, 480), Image.Resampling.BICUBIC)


def product() -> Image.Image:
    """Return a thing on white."""
    made = Image.new("RGB", (600, 600), "white")
    made.paste(photograph().resize((260, 300)), (170, 150))
    return made


@pytest.mark.parametrize(
    ("picture", "expected"),
    [(page(1), True), (page(1).rotate(90, expand=True), True), (photograph(), False), (product(), False)],
)
def test_a_page_is_known_by_thin_ink_in_many_places(picture: Image.Image, expected: bool) -> None:
    assert is_page_of_text(matching.features(picture)) is expected


def captioned(image: Image.Image) -> Image.Image:
    made = image.copy()
    draw = ImageDraw.Draw(made)
    draw.rectangle((0, 420, 640, 480), "white")
    draw.text((20, 430), "the best day of all", "black", font_size=36)
    return made


def test_a_caption_is_one_block_and_compression_and_blur_are_none() -> None:
    image = photograph()
    one = matching.features(image)
    altered = [
        captioned(image),
        image.filter(ImageFilter.GaussianBlur(3)),
        image.resize((320, 240)).convert("L"),
    ]
    shares = [matching.covered_share(matching.features(copy), one) for copy in altered]

    assert shares[0] > 0.05
    assert shares[1:] == [0.0, 0.0]


def saved(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return Image.open(file)


@pytest.mark.parametrize(
    ("words", "size", "place", "colour"),
    [
        ("(c) 2024", 16, (560, 455), "white"),
        ("12:04", 20, (12, 450), "yellow"),
        ("Anna", 26, (12, 12), "white"),
        ("SOLD", 24, (290, 230), "black"),
        ("x", 24, (610, 445), "white"),
    ],
)
def test_small_words_are_seen_either_way_round(
    words: str, size: int, place: tuple[int, int], colour: str
) -> None:
    drawn = photograph()
    ImageDraw.Draw(drawn).text(place, words, colour, font_size=size)
    one, other = matching.features(saved(photograph(), 75)), matching.features(saved(drawn, 95))

    assert matching.is_drawn_on(one, other)
    assert matching.is_drawn_on(other, one)


def test_nothing_is_drawn_by_other_alterations() -> None:
    image = photograph()
    altered = {
        "quality 20": saved(image, 20),
        "quality 95": saved(image, 95),
        "half": saved(image.resize((320, 240)), 80),
        "quarter": saved(image.resize((160, 120)), 75),
        "blur": image.filter(ImageFilter.GaussianBlur(3)),
        "sharper": image.filter(ImageFilter.UnsharpMask(2, 100, 2)),
        "grey": image.convert("L"),
        "tones": ImageOps.autocontrast(image, cutoff=2),
        "brighter": ImageEnhance.Brightness(image).enhance(1.25),
        "mirrored": ImageOps.mirror(image),
        "turned": image.rotate(90, expand=True),
    }
    one = matching.features(saved(image, 85))

    assert [
        name for name, copy in altered.items() if matching.is_drawn_on(one, matching.features(copy))
    ] == []
