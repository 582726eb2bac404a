"""Recognising: an image is what its first bytes say."""

from __future__ import annotations

import io
import os
import random
import struct
from pathlib import Path

import pytest
from PIL import Image

from retrieval.sources.folders.signatures import FIRST_BYTES, first_bytes, recognise

FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "MPO", "DIB"]


def saved(form: str, mode: str = "RGB", **options: object) -> bytes:
    data = io.BytesIO()
    Image.new(mode, (5, 3)).save(data, form, **options)
    return data.getvalue()


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "DIB"])
def test_every_format_that_is_read_is_an_image(form: str) -> None:
    data = saved(form)

    assert recognise(data[:FIRST_BYTES], size=len(data)) == "image"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bitmaps_of_every_depth_are_images(mode: str) -> None:
    data = saved("BMP", mode)

    assert recognise(data[:FIRST_BYTES], size=len(data)) == "image"


def test_a_bitmap_with_the_short_header_is_an_image() -> None:
    data = struct.pack("<2sIHHIIHHHH", b"BM", 0, 0, 0, 26, 12, 4, 4, 1, 24) + bytes(48)

    assert recognise(data[:FIRST_BYTES], size=len(data)) == "image"


@pytest.mark.parametrize(
    "text",
    [
        "BMW cars and their prices in the year 2024, by model and country of sale\n",
        "BM,name,value\n1,2,3\n" * 10,
        "BM\0\0" * 20,
        "BM" + "\0" * 80,
        "BM" + "\1" * 80,
    ],
)
def test_a_text_that_begins_with_bm_is_none(text: str) -> None:
    data = text.encode()

    assert recognise(data[:FIRST_BYTES], size=len(data)) == "no image"


@pytest.mark.parametrize(
    "field", [(10, 4, 2**31), (14, 4, 39), (18, 4, 0), (22, 4, 0), (26, 2, 2), (28, 2, 7)]
)
def test_a_bitmap_of_impossible_fields_is_none(field: tuple[int, int, int]) -> None:
    data = bytearray(saved("BMP"))
    start, length, value = field
    data[start : start + length] = value.to_bytes(length, "little")

    assert recognise(bytes(data[:FIRST_BYTES]), size=len(data)) == "no image"


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (b"II*\0\x10\0\0\0CR\2\0", "cr2"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "cr3"),
        (b"FUJIFILMCCD-RAW 0201", "raf"),
        (b"8BPS\0\1" + bytes(20), "psd"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
        (b"qoif" + bytes(20), "qoi"),
    ],
)
def test_images_that_are_not_read_are_named(data: bytes, suffix: str) -> None:
    assert recognise(data + bytes(40), size=100) == suffix


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"%PDF-1.7\n" + bytes(60),
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(40),
        b"\0\0\0\x14ftypqt  \0\0\2\0qt  " + bytes(40),
        b"RIFF\x24\0\0\0WAVEfmt " + bytes(40),
        b"PK\3\4" + bytes(60),
        b"\0\5\x16\7" + bytes(60),
        b"#!/bin/sh\n" + bytes(60),
    ],
)
def test_other_files_are_no_images(data: bytes) -> None:
    assert recognise(data[:FIRST_BYTES], size=len(data)) == "no image"


def test_random_bytes_never_fail() -> None:
    random.seed(0)
    for _ in range(5000):
        data = random.randbytes(random.randint(0, FIRST_BYTES))
        assert isinstance(recognise(b"BM" + data[2:], size=len(data)), str)
        assert isinstance(recognise(data[:4] + b"ftyp" + data[8:], size=1000), str)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert first_bytes(tmp_path / "pipe") is None
    assert first_bytes(tmp_path) is None
