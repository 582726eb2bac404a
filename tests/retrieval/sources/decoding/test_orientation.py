"""Pictures come upright, whatever their EXIF says."""

import io
import os
import struct

import pytest
from PIL import Image, ImageOps

from retrieval.sources.decoding.decoder import decode
from tests.retrieval import pictures
from tests.retrieval.pictures import encoded, jpeg, jpeg_with_exif, scene
from tests.retrieval.sources.differences import difference


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    stored = pictures.stored_turned(scene(), orientation)
    options = {"quality": 95} if form != "TIFF" else {}

    image = decode(encoded(stored, form, exif=exif, **options))

    assert difference(image, scene()) < 5  # a wrong turn differs by more than 40


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_as_pillow_has_it_and_with_a_scaled_decode(orientation: int) -> None:
    data = jpeg(scene(960, 640), orientation=orientation)

    assert difference(decode(data), ImageOps.exif_transpose(Image.open(io.BytesIO(data)))) == 0
    scaled = decode(data, decode_size=160)
    assert min(scaled.size) == 160
    assert (scaled.width > scaled.height) == (orientation < 5)


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0"],
)
def test_malformed_exif_means_upright(exif: bytes) -> None:
    assert difference(decode(jpeg_with_exif(exif)), scene()) < 3


@pytest.mark.parametrize(
    ("kind", "count", "value"),
    [
        (2, 2, b"6\0\0\0"),
        (5, 1, struct.pack("<I", 8)),
        (3, 1, struct.pack("<HH", 99, 0)),
        (3, 0, bytes(4)),
        (7, 4, b"\6\0\0\0"),
    ],
)
def test_a_nonsensical_orientation_means_upright(kind: int, count: int, value: bytes) -> None:
    entry = struct.pack("<HHI", pictures.ORIENTATION, kind, count) + value
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + bytes(4)

    assert decode(jpeg_with_exif(exif)).size == scene().size


def test_gps_data_and_a_maker_note_do_no_harm() -> None:
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    exif.get_ifd(0x8825)[2] = (47.0, 22.0, 33.5)
    exif.get_ifd(0x8769)[0x927C] = os.urandom(500)
    stored = pictures.stored_turned(scene(), 6)

    assert difference(decode(encoded(stored, "JPEG", quality=95, subsampling=0, exif=exif)), scene()) < 3


def test_a_pillow_image_with_orientation_is_turned() -> None:
    stored = pictures.stored_turned(scene(), 6)

    assert difference(decode(Image.open(io.BytesIO(jpeg(stored, orientation=6)))), scene()) < 3
