"""Raw photographs are shown by their embedded preview, upright."""

import io

import pytest
from PIL import Image

from retrieval.errors import ImageError
from retrieval.sources.decoding import decode
from retrieval.sources.decoding.file_formats.raw_previews import preview
from tests.retrieval.sources.media.made import COLOURS, dng, quarter_colours, quarters

rawpy = pytest.importorskip("rawpy", reason="the extra `raw` is not installed")

PICTURE = Image.fromarray(quarters(320, 192))


@pytest.mark.parametrize(
    ("orientation", "order"), [(1, (0, 1, 2, 3)), (3, (3, 2, 1, 0)), (6, (2, 0, 3, 1)), (8, (1, 3, 0, 2))]
)
def test_a_preview_comes_out_upright(orientation, order):
    shown = decode(preview(dng(PICTURE, orientation=orientation), name="x.dng"))

    assert shown.size == ((320, 192) if orientation in (1, 3) else (192, 320))
    found = quarter_colours(shown)
    for at, colour in zip(order, found, strict=True):
        assert max(abs(one - two) for one, two in zip(COLOURS[at], colour, strict=True)) <= 6


def test_a_preview_that_states_its_own_orientation_is_not_turned_twice():
    class Stating:
        """A picture whose JPEG file says that it lies on its side."""

        width, height = PICTURE.size

        def save(self, target, kind, **options):
            exif = Image.Exif()
            exif[0x0112] = 6
            PICTURE.save(target, kind, exif=exif, **options)

    assert decode(preview(dng(Stating(), orientation=6), name="x.dng")).size == (192, 320)


@pytest.mark.parametrize("data", [b"no photograph" * 99, b"FUJIFILMCCD-RAW " + bytes(2000)])
def test_what_is_no_raw_photograph_is_an_error_with_a_reason(data):
    with pytest.raises(ImageError) as refused:
        preview(data, name="a.nef")

    assert refused.value.reason in ("unsupported", "unreadable", "truncated")
    assert str(refused.value).startswith("a.nef: ")


def test_photographs_cut_anywhere_give_a_preview_or_a_reason():
    whole, reasons = dng(PICTURE), set()
    for end in range(0, len(whole), 211):
        try:
            decode(preview(whole[:end], name="x.dng"))
        except ImageError as error:
            reasons.add(error.reason)

    assert reasons <= {"unsupported", "unreadable", "truncated"}


def test_pixels_without_a_file_format_become_a_png():
    from retrieval.sources.decoding.file_formats.raw_previews import _png

    assert decode(_png(quarters(320, 192), 6)).size == (192, 320)
    assert Image.open(io.BytesIO(_png(quarters(), 1))).format == "PNG"
