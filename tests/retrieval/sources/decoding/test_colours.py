"""Every mode and depth becomes RGB of 8 bits, and transparent is white."""

import numpy as np
import pytest
from PIL import Image

from retrieval.sources.decoding.decoder import decode
from tests.retrieval.pictures import encoded, png, scene
from tests.retrieval.sources.differences import difference


def test_alpha_lies_over_white() -> None:
    rgba = np.zeros((2, 3, 4), dtype=np.uint8)
    rgba[..., 0] = 200  # red; the hidden colour of a transparent pixel must not show
    rgba[0, :, 3] = (0, 128, 255)
    rgba[1, :, 3] = (0, 64, 255)

    pixels = np.asarray(decode(png(Image.fromarray(rgba))))

    expected = 255 - (255 - np.array([200, 0, 0])) * (rgba[..., 3:] / 255)
    assert np.abs(pixels - expected).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La", "RGBa"])
def test_every_mode_with_alpha_lies_over_white(mode: str) -> None:
    rgba = scene().convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(rgba.size))
    image = {"La": rgba.convert("LA"), "RGBa": rgba}.get(mode, rgba).convert(mode)

    pixels = np.asarray(decode(image), dtype=int)

    assert pixels[0].min() >= 250  # transparent: white
    straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, mode)).convert("RGBA").convert("RGB")
    assert np.abs(pixels[-1] - np.asarray(straight, dtype=int)[-1]).max() <= 2  # opaque: its own colours


def test_transparent_palette_entries_and_colours_are_white() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((0, 0), 0)
    grey, colour = Image.new("L", (4, 4), 90), Image.new("RGB", (4, 4), (1, 2, 3))
    grey.putpixel((0, 0), 7)
    colour.putpixel((0, 0), (9, 9, 9))

    for data, rest in [
        (png(palette, transparency=0), (40, 50, 60)),
        (png(palette, transparency=b"\x00\xff"), (40, 50, 60)),
        (encoded(palette, "GIF", transparency=0), (40, 50, 60)),
        (png(grey, transparency=7), (90, 90, 90)),
        (png(colour, transparency=(9, 9, 9)), (1, 2, 3)),
    ]:
        image = decode(data)
        assert image.getpixel((0, 0)) == (255, 255, 255)
        assert image.getpixel((3, 3)) == rest


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_are_scaled_not_clipped(form: str, order: str) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(order)[np.newaxis].repeat(4, axis=0)  # (h, w)
    if form == "PNG" and order == ">u2":
        pytest.skip("PNG has one byte order")

    pixels = np.asarray(decode(encoded(Image.fromarray(ramp), form)))

    assert np.array_equal(pixels[0, :, 0], np.arange(256))
    assert (pixels == pixels[..., :1]).all()


def test_sixteen_bit_grey_with_a_transparent_value() -> None:
    values = np.array([[1000, 65535], [32768, 0]], dtype=np.uint16)
    image = Image.fromarray(values)
    image.info["transparency"] = 1000

    assert np.asarray(decode(image))[..., 0].tolist() == [[255, 255], [128, 0]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.0, 0.5, 1.0]], [0, 128, 255]),
        ([[0.0, 100.0, 255.0]], [0, 100, 255]),
        ([[0.0, 25700.0, 65535.0]], [0, 100, 255]),
        ([[-1.0, 0.0, 1.0]], [0, 128, 255]),
        ([[float("nan"), float("inf"), 1.0]], [0, 0, 255]),
        ([[-3e38, 0.0, 3e38]], [0, 128, 255]),
        ([[-5.0, -5.0, -5.0]], [0, 0, 0]),
    ],
)
def test_floats_take_the_range_that_holds_them(values: list[list[float]], expected: list[int]) -> None:
    data = encoded(Image.fromarray(np.array(values, dtype=np.float32)), "TIFF")

    assert np.abs(np.asarray(decode(data))[0, :, 0].astype(int) - expected).max() <= 1


def test_integers_of_32_bits() -> None:
    data = encoded(Image.fromarray(np.array([[0, 25700, 65535]], dtype=np.int32)), "TIFF")

    assert np.asarray(decode(data))[0, :, 0].tolist() == [0, 100, 255]


def test_cmyk_is_not_inverted() -> None:
    for form in ("JPEG", "TIFF"):
        assert difference(decode(encoded(scene().convert("CMYK"), form)), scene()) < 4


@pytest.mark.parametrize(
    ("mode", "tolerance"), [("L", 0), ("1", 0), ("P", 12), ("YCbCr", 2), ("HSV", 6), ("LAB", 4)]
)
def test_other_modes(mode: str, tolerance: float) -> None:
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        source = ImageCms.applyTransform(scene(), ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    else:
        source = scene().quantize(256) if mode == "P" else scene().convert(mode)
    expected = source.convert("RGB") if mode in ("L", "1") else scene()

    assert difference(decode(source), expected) <= tolerance
