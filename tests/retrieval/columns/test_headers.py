"""What an image's file says of it: size, time, camera, place; whatever it says wrongly is left out."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from retrieval.columns import header_columns
from tests.retrieval.folders import picture


def encoded(form="JPEG", *, size=(60, 40), exif=None, **options):
    file = io.BytesIO()
    picture(1).resize(size).save(file, form, **({} if exif is None else {"exif": exif}), **options)
    return file.getvalue()


def facts(*, orientation=1, taken="2019:06:01 12:34:56", place=None, make="Canon", model="Canon EOS 5D"):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F], exif[0x0110] = make, model
    exif[0x8769] = {0x9003: taken}
    if place is not None:
        exif[0x8825] = place
    return exif


PLACE = {1: "S", 2: (10.0, 30.0, 0.0), 3: "E", 4: (20.0, 0.0, 36.0)}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_all_is_read_of_every_format(form, orientation):
    if form == "TIFF":  # Pillow writes no inner directories into it
        exif = Image.Exif()
        exif[0x0112], exif[0x010F], exif[0x0110] = orientation, "Canon", "Canon EOS 5D"
        more = {}
    else:
        exif = facts(orientation=orientation, place=PLACE)
        more = {"taken": "2019-06-01T12:34:56", "latitude": -10.5, "longitude": 20.01}
    data = encoded(form, exif=exif)

    width, height = (60, 40) if orientation == 1 else (40, 60)
    assert header_columns(data) == more | {
        "bytes": len(data),
        "width": width,
        "height": height,
        "camera": "Canon EOS 5D",
    }


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_a_file_that_says_nothing_has_its_size(form):
    data = encoded(form)

    assert header_columns(data) == {"bytes": len(data), "width": 60, "height": 40}


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff", encoded()[:30]])
def test_of_what_is_no_image_only_the_length_is_known(data):
    assert header_columns(data) == {"bytes": len(data)}


@pytest.mark.parametrize(
    "taken", ["", "0000:00:00 00:00:00", "2019-13-01 00:00:00", "yesterday", "2019:06:01"]
)
def test_a_time_that_is_none_is_left_out(taken):
    assert "taken" not in header_columns(encoded(exif=facts(taken=taken)))


def test_the_time_of_digitising_stands_in_for_that_of_the_photograph():
    exif = facts()
    exif[0x8769] = {0x9004: "1999:12:31 23:59:59", 0x9003: "    :  :     :  :  "}

    assert header_columns(encoded(exif=exif))["taken"] == "1999-12-31T23:59:59"


@pytest.mark.parametrize(
    "place",
    [
        {2: (91.0, 0.0, 0.0), 4: (20.0, 0.0, 0.0)},
        {2: (10.0, 0.0, 0.0)},
        {2: (10.0, 0.0, 0.0), 4: (IFDRational(1, 0), 0.0, 0.0)},
        {2: (10.0, 0.0), 4: (20.0, 0.0)},
        {1: "N", 3: "E"},
    ],
)
def test_half_a_place_or_an_impossible_one_is_none(place):
    found = header_columns(encoded(exif=facts(place=place)))

    assert "latitude" not in found
    assert "longitude" not in found


def test_a_place_without_signs_is_north_and_east():
    found = header_columns(encoded(exif=facts(place={2: (10.0, 0.0, 0.0), 4: (20.0, 0.0, 0.0)})))

    assert (found["latitude"], found["longitude"]) == (10.0, 20.0)


@pytest.mark.parametrize(
    ("make", "model", "named"),
    [
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple", "iPhone 11", "Apple iPhone 11"),
        ("", "X100", "X100"),
        ("FUJI\0\0", "  F10\t\x07 ", "FUJI F10"),
        ("Canon", "", "Canon"),
        ("x", "y" * 500, "x " + "y" * 98),
    ],
)
def test_maker_and_model_are_one_name(make, model, named):
    assert header_columns(encoded(exif=facts(make=make, model=model)))["camera"] == named


def test_the_scans_of_a_jpeg_are_not_looked_through_for_its_header(monkeypatch):
    monkeypatch.setattr("retrieval.sources.decoding.open_file", None)

    assert header_columns(encoded(exif=facts(orientation=6)))["height"] == 60


@given(st.data())
def test_no_damage_raises(data):
    whole = bytearray(encoded(exif=facts(place=PLACE)))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, min(len(whole) - 1, 600)))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])

    assert header_columns(cut)["bytes"] == len(cut)
