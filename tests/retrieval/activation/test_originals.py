from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from retrieval.activation.originals import FORMATS, lossless, published, read_original
from retrieval.errors import ImageError
from retrieval.sources.decoding.decoder import decode
from tests.retrieval.pictures import ORIENTATION, animated, broken, encoded, heic, scene, stored_turned

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def with_metadata(orientation, form="JPEG"):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[306] = "2020:01:02 03:04:05"
    exif.get_ifd(0x8769)[36867] = "2019:01:02 03:04:05"
    picture = stored_turned(scene(), orientation)
    return encoded(
        picture, form, exif=exif, icc_profile=PROFILE, xmp=XMP, **({"quality": 95} if form == "JPEG" else {})
    )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_copy_keeps_orientation_and_metadata(form, orientation):
    original = read_original(with_metadata(orientation), name="x.jpg")
    copy = published(original, original.pixels, form=form, quality=None)
    image = opened(copy)
    exif = image.getexif()

    assert original.pixels.shape == (64, 96, 3)  # upright
    assert np.asarray(decode(copy)).shape == (64, 96, 3)
    assert (image.width > image.height) == (orientation < 5)  # stored as the original is
    assert exif.get(ORIENTATION) == orientation
    assert exif.get(306) == "2020:01:02 03:04:05"
    assert exif.get_ifd(0x8769)[36867] == "2019:01:02 03:04:05"
    assert image.info["icc_profile"] == PROFILE
    assert XMP.decode() in str(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"))
    if lossless(form, None):
        np.testing.assert_array_equal(np.asarray(decode(copy)), original.pixels)
    else:
        assert np.abs(np.asarray(decode(copy)).astype(int) - original.pixels).mean() < 2


@pytest.mark.parametrize("form", ["png", "webp"])
def test_an_alpha_channel_stays_and_is_seen_over_white(form):
    image = scene().convert("RGBA")
    alpha = np.full((64, 96), 255, np.uint8)
    alpha[:20, :30], alpha[30:, :] = 0, 128
    image.putalpha(Image.fromarray(alpha))
    original = read_original(encoded(image, "PNG"), name="x.png")
    copy = published(original, original.pixels, form=form, quality=None)

    np.testing.assert_array_equal(np.asarray(opened(copy).getchannel("A")), alpha)
    np.testing.assert_array_equal(np.asarray(decode(copy)), original.seen)
    assert (original.seen[:20, :30] == 255).all()


def test_a_jpeg_of_a_transparent_image_is_what_was_seen():
    image = scene().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    original = read_original(encoded(image, "PNG"), name="x.png")
    copy = published(original, original.pixels, form="jpeg", quality=100)

    assert np.abs(np.asarray(decode(copy)).astype(int) - original.seen).mean() < 1.5


@pytest.mark.parametrize("form", FORMATS)
def test_a_grey_image_stays_grey(form):
    original = read_original(encoded(scene().convert("L"), "PNG"), name="x.png")
    copy = np.asarray(decode(published(original, original.pixels, form=form, quality=None)))

    assert original.grey
    assert (copy[..., 0] == copy[..., 1]).all()
    assert (copy[..., 1] == copy[..., 2]).all()


def test_sixteen_bits_become_eight_and_are_reported():
    deep = Image.fromarray((np.arange(96 * 64).reshape(64, 96) * 10).astype(np.uint16))
    original = read_original(encoded(deep, "PNG"), name="x.png")

    assert original.notes == ("16 bits a channel became 8",)
    assert read_original(encoded(scene(), "PNG"), name="x.png").notes == ()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (animated("GIF"), "animated"),
        (animated("WEBP"), "animated"),
        (encoded(scene(), "TIFF", save_all=True, append_images=[scene(seed=1)]), "pages"),
        (encoded(scene().convert("CMYK"), "JPEG"), "colour-mode"),
        (encoded(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"), "colour-mode"),
        (encoded(scene(700, 20), "PNG"), "too-long"),
    ],
)
def test_what_a_copy_could_not_do_justice_to_is_refused_by_name(data, reason):
    with pytest.raises(ImageError, match=r"^some name: ") as caught:
        read_original(data, name="some name")
    assert caught.value.reason == reason


@pytest.mark.parametrize("name", broken())
def test_broken_files_are_refused_with_their_reason(name):
    data, reason = broken()[name]
    with pytest.raises(ImageError) as caught:
        read_original(data, name=name)
    assert caught.value.reason == reason


def test_heic_is_read():
    pytest.importorskip("pi_heif", reason="reads HEIC")
    original = read_original(heic(), name="x.heic")

    np.testing.assert_array_equal(
        np.asarray(decode(published(original, original.pixels, form="png", quality=None))), original.seen
    )


def test_tiff_keeps_what_it_tells_and_not_how_it_is_stored():
    original = read_original(encoded(scene(), "TIFF", description="a disc"), name="x.tif")
    exif = opened(published(original, original.pixels, form="png", quality=None)).getexif()

    assert exif[270] == "a disc"
    assert 273 not in exif  # StripOffsets
