"""Of the pages of a TIFF file the largest is shown, and damaged directories end."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import ImageError
from retrieval.sources.decoding.decoder import decode
from retrieval.sources.decoding.file_formats.tiff_pages import choose_page, read_pages
from tests.retrieval.pictures import encoded, scene
from tests.retrieval.sources.differences import difference

LARGE, SMALL = scene(96, 64), scene(24, 16, seed=3)


def pages_of(*pages, compression=None):
    options = {"compression": compression} if compression else {}
    return encoded(pages[0], "TIFF", save_all=True, append_images=list(pages[1:]), **options)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_the_largest_page_is_shown(compression):
    for pages in ([SMALL, LARGE], [LARGE, SMALL], [SMALL, SMALL, LARGE, SMALL]):
        assert difference(decode(pages_of(*pages, compression=compression)), LARGE) == 0


def test_of_equally_large_pages_the_first_is_shown():
    other = scene(96, 64, seed=9)

    assert difference(decode(pages_of(SMALL, LARGE, other)), LARGE) == 0
    assert difference(decode(pages_of(other, LARGE)), other) == 0


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("shown_below", [False, True])
def test_pages_below_another_one_count(big, order, shown_below):
    tifffile = pytest.importorskip("tifffile", reason="the extra `tiff` is not installed")
    first, below = (SMALL, LARGE) if shown_below else (LARGE, SMALL)
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=big, byteorder=order) as writer:
        writer.write(
            np.asarray(first),
            photometric="rgb",
            subifds=1,
            metadata=None,
            subfiletype=1 if shown_below else 0,
        )
        writer.write(np.asarray(below), photometric="rgb", metadata=None, subfiletype=0 if shown_below else 1)
    data = file.getvalue()

    assert len(read_pages(data)) == 2
    assert difference(decode(data), LARGE) == 0


def test_a_mask_and_a_reduced_version_are_not_shown_though_they_are_larger():
    tifffile = pytest.importorskip("tifffile", reason="the extra `tiff` is not installed")
    flat = np.asarray(LARGE.convert("1"))
    for kind, values, colours in ((1, np.asarray(LARGE), "rgb"), (4, flat, "minisblack")):
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            writer.write(values, photometric=colours, metadata=None, subfiletype=kind)
            writer.write(np.asarray(SMALL), photometric="rgb", metadata=None)
        assert difference(decode(file.getvalue()), SMALL) == 0


def test_a_chain_of_pages_that_bites_its_tail_ends():
    data = bytearray(pages_of(SMALL, LARGE))
    pages = read_pages(bytes(data))
    last = pages[-1].place
    count = struct.unpack_from("<H", data, last)[0]
    struct.pack_into("<I", data, last + 2 + 12 * count, pages[0].place)

    assert len(read_pages(bytes(data))) == 2
    assert difference(decode(bytes(data)), LARGE) == 0


def test_a_directory_beyond_the_file_is_no_page():
    with pytest.raises(ImageError) as caught:
        decode(b"II*\0" + struct.pack("<I", 1 << 30) + bytes(100))
    assert caught.value.reason == "truncated"
    assert choose_page([]) is None


def test_the_orientation_of_the_page_that_is_shown_counts():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = pages_of(SMALL, LARGE)
    turned = encoded(LARGE, "TIFF", exif=exif)

    assert decode(data).size == (96, 64)
    assert decode(turned).size == (64, 96)
