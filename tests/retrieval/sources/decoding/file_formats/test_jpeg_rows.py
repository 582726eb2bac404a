"""A JPEG that is cut short is read if its rows are there, noted if a few are missing, and refused if many are."""

import numpy as np
import pytest

from retrieval.errors import ImageError
from retrieval.sources.decoding.decoder import decode
from retrieval.sources.decoding.file_formats.jpeg_rows import coefficient_bytes, missing_part
from retrieval.sources.decoding.image_files import MOST_MISSING
from tests.retrieval.pictures import encoded, scene
from tests.retrieval.sources.differences import difference

PICTURE = scene(320, 240)
KINDS = {
    "plain": (PICTURE, {}),
    "full chroma": (PICTURE, {"subsampling": 0, "quality": 95}),
    "progressive": (PICTURE, {"progressive": True}),
    "restarts": (PICTURE, {"restart_marker_blocks": 3}),
    "grey": (PICTURE.convert("L"), {}),
    "CMYK": (PICTURE.convert("CMYK"), {}),
}


@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_without_its_end_marker_it_is_the_same_picture(kind, cut):
    image, options = KINDS[kind]
    data = encoded(image, "JPEG", **options)

    read = decode(data[:-cut])

    assert difference(read, decode(data)) == 0
    assert "incomplete" not in read.info
    assert difference(decode(data[:-cut], decode_size=60), decode(data, decode_size=60)) == 0


def outcome(data):
    """Return the picture, or the error."""
    try:
        return decode(data)
    except ImageError as error:
        return error


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "progressive"])
def test_how_much_is_missing_is_found_and_decides(kind):
    image, options = KINDS[kind]
    data = encoded(image, "JPEG", **options)
    whole = np.asarray(decode(data)).astype(int)
    outcomes = set()
    for kept in range(len(data) * 2 // 3, len(data) - 2, max(1, len(data) // 150)):
        read = outcome(data[:kept])
        if isinstance(read, ImageError):
            assert read.reason == "truncated"
            assert "of the picture is missing" in str(read)
            outcomes.add("refused")
            continue
        different = (np.abs(np.asarray(read) - whole).max(axis=2) > 24).mean()
        assert different <= MOST_MISSING + 0.02
        if different > 0.005 or "incomplete" in read.info:
            assert "of the picture is missing" in read.info["incomplete"]
            outcomes.add("noted")
    assert outcomes == {"noted", "refused"}


def test_a_progressive_one_is_read_by_the_scans_that_are_there():
    data = encoded(PICTURE, "JPEG", progressive=True, quality=90)
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]

    for kept in (scans[-1] + 40, scans[-1] - 3, scans[2], len(data) - 20):
        assert difference(decode(data[:kept]), PICTURE) < 12
    with pytest.raises(ImageError) as caught:
        decode(data[: scans[0] + 30])
    assert caught.value.reason == "truncated"


def test_half_a_picture_and_half_a_header_are_truncated():
    data = encoded(PICTURE, "JPEG")
    for kept in (20, 200, len(data) // 2):
        with pytest.raises(ImageError) as caught:
            decode(data[:kept])
        assert caught.value.reason == "truncated"


def test_a_grey_end_that_belongs_to_the_picture_is_not_missing():
    image = PICTURE.copy()
    image.paste((128, 128, 128), (0, 100, 320, 240))
    data = encoded(image, "JPEG")

    read = decode(data[:-2])

    assert difference(read, decode(data)) == 0
    assert "incomplete" not in read.info


def test_what_differs_is_missing_from_its_place_on():
    other = PICTURE.copy()
    assert missing_part(PICTURE, other, block=16) == 0
    other.paste((255, 0, 0), (160, 224, 176, 240))
    assert missing_part(PICTURE, other, block=16) == pytest.approx(0.5 / 15)


def test_only_a_jpeg_of_several_scans_is_held_whole_in_coefficients():
    plain, progressive = encoded(PICTURE, "JPEG"), encoded(PICTURE, "JPEG", progressive=True)

    assert coefficient_bytes(plain) == 0
    assert coefficient_bytes(progressive) == 2 * 320 * 240 * 1.5
    begin = progressive.index(b"\xff\xda")
    assert (
        coefficient_bytes(progressive[:begin] + progressive[begin:-2] * 60) is None
    )  # takes minutes to decode if large
