"""PNG files are read whatever their texts and extras hold, and what ``tRNS`` names is white at every depth."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from retrieval.activation.originals import read_original
from retrieval.sources.decoding.decoder import decode
from retrieval.sources.decoding.file_formats.png_chunks import readable_png
from tests.retrieval.pictures import png, scene
from tests.retrieval.sources.differences import difference

HUGE = 3 << 20
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(added, *, last):
    data = png(scene())
    place = len(data) - 12 if last else 33
    return data[:place] + added + data[place:]


TEXTS = {
    "tEXt": chunk(b"tEXt", b"Comment\0" + b"x" * HUGE),
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * HUGE)),
    "iTXt": chunk(b"iTXt", b"Comment\0\0\0\0\0" + b"x" * HUGE),
    "packed iTXt": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"x" * HUGE)),
    "many": chunk(b"tEXt", b"Comment\0" + b"x" * (1 << 19)) * 150,
    "profile": chunk(b"iCCP", b"name\0\0" + zlib.compress(os.urandom(HUGE))),
    "bomb": chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(100 << 20))),
    "wrong checksum": chunk(b"tEXt", b"Comment\0hello")[:-1] + b"\0",
    "wrong checksum of another": chunk(b"pHYs", bytes(9))[:-1] + b"\0",
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_texts_and_extras_do_not_stand_in_the_way(name, last):
    assert difference(decode(with_chunk(TEXTS[name], last=last)), scene()) == 0


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_the_orientation_that_a_long_text_states_counts(last, packed):
    text = XMP + b" " * HUGE
    head = b"XML:com.adobe.xmp\0" + (b"\1" if packed else b"\0") + b"\0\0\0"
    data = with_chunk(chunk(b"iTXt", head + (zlib.compress(text) if packed else text)), last=last)

    assert difference(decode(data), scene().transpose(Image.Transpose.ROTATE_270)) == 0


def test_a_copy_keeps_a_long_text_and_a_long_profile():
    profile = os.urandom(2 << 20)
    added = chunk(b"iCCP", b"name\0\0" + zlib.compress(profile)) + chunk(
        b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP + b" " * HUGE
    )

    original = read_original(with_chunk(added, last=False), name="a.png")

    assert original.icc == profile
    assert original.xmp.startswith(XMP)
    assert original.orientation == 6


def test_a_file_without_such_chunks_is_left_alone():
    data = png(scene(), dpi=(72, 72))

    assert readable_png(data) == (data, {})
    assert readable_png(data)[0] is data


def drawn(values, depth, *, transparent):
    """Return a grey PNG of one row, made by hand."""
    packed = "".join(format(value, f"0{depth}b") for value in values)
    row = int(packed.ljust(-(-len(packed) // 8) * 8, "0"), 2).to_bytes(-(-len(packed) // 8), "big")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", len(values), 1, depth, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", transparent))
        + chunk(b"IDAT", zlib.compress(b"\0" + row))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_white_at_every_depth(depth):
    top = 2**depth - 1
    values = sorted({0, 1, top // 3, top // 2, top - 1, top})
    for transparent in values:
        shown = np.asarray(decode(drawn(values, depth, transparent=transparent)))[0, :, 0]
        expected = [255 if value == transparent else round(value * 255 / top) for value in values]
        assert np.abs(shown.astype(int) - expected).max() <= 0, transparent


def test_a_transparent_colour_of_sixteen_bits_is_white():
    colours = [(1000, 2000, 3000), (40_000, 2000, 3000), (1000, 2000, 65_535), (0, 0, 0)]
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, 16, 2, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">3H", *colours[0]))
        + chunk(b"IDAT", zlib.compress(b"\0" + b"".join(struct.pack(">3H", *colour) for colour in colours)))
        + chunk(b"IEND", b"")
    )

    assert np.asarray(decode(data))[0].tolist() == [[255, 255, 255], [156, 7, 11], [3, 7, 255], [0, 0, 0]]
