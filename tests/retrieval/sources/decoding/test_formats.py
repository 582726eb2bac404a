"""Every format gives its picture, whole or scaled."""

import os

import pytest
from PIL import Image

from retrieval.sources.decoding.decoder import decode
from tests.retrieval import pictures
from tests.retrieval.pictures import encoded, jpeg, png, scene
from tests.retrieval.sources.differences import difference


@pytest.mark.parametrize(
    ("form", "tolerance"),
    [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("JPEG", 3), ("WEBP", 4), ("AVIF", 4), ("GIF", 8)],
)
def test_every_format_gives_the_picture(form: str, tolerance: float) -> None:
    image = decode(encoded(scene(), form))

    assert image.mode == "RGB"
    assert difference(image, scene()) <= tolerance


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_single_pixel(form: str) -> None:
    image = decode(encoded(Image.new("RGB", (1, 1), (200, 200, 200)), form), decode_size=448)

    assert image.size == (1, 1)
    assert abs(image.getpixel((0, 0))[0] - 200) < 8


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_an_animation_gives_its_first_frame(form: str) -> None:
    red, _green, blue = decode(pictures.animated(form)).getpixel((16, 12))

    assert red > 200
    assert blue < 30


def test_a_scaled_decode_keeps_enough_pixels_and_looks_the_same() -> None:
    big = scene(1600, 1200)
    data = jpeg(big)

    image = decode(data, decode_size=256)

    assert image.size == (400, 300)
    small = (100, 75)
    assert (
        difference(
            image.resize(small, Image.Resampling.BICUBIC),
            decode(data).resize(small, Image.Resampling.BICUBIC),
        )
        < 1
    )
    assert decode(data, decode_size=601).size == (1600, 1200)
    assert decode(encoded(big.convert("L"), "JPEG"), decode_size=256).size == (400, 300)
    assert decode(encoded(big.convert("CMYK"), "JPEG"), decode_size=256).size == (400, 300)


def test_a_picture_named_wrongly_is_still_a_picture(tmp_path: object) -> None:
    path = os.path.join(str(tmp_path), "photo.jpg")
    with open(path, "wb") as file:
        file.write(png())

    assert difference(decode(path), scene()) == 0
