"""Every kind of broken file gives a reason, and neither noise nor a hidden bug."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from retrieval.errors import ImageError
from retrieval.sources.decoding import image_files
from retrieval.sources.decoding.decoder import decode
from tests.retrieval import pictures
from tests.retrieval.pictures import encoded, jpeg_with_exif, png, scene


@pytest.mark.parametrize("name", list(pictures.broken()))
def test_broken_files_give_a_reason_and_one_line(name: str) -> None:
    data, reason = pictures.broken()[name]

    with pytest.raises(ImageError) as caught:
        decode(data, name=f"folder/{name}")

    assert caught.value.reason == reason
    assert str(caught.value).startswith(f"folder/{name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_cut_anywhere_it_is_an_image_or_a_reason(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"compression": "tiff_lzw"} if form == "TIFF" else {}
    data = encoded(scene(), form, **options)
    reasons = set()
    for length in range(0, len(data), max(1, len(data) // 150)):
        try:
            image = decode(data[:length], decode_size=64)
        except ImageError as error:
            reasons.add(error.reason)
        else:
            assert length > len(data) * 0.9 or form == "TIFF"
            assert image.size == scene().size

    assert reasons <= {"empty", "truncated", "unreadable"}
    assert "truncated" in reasons
    assert capfd.readouterr() == ("", "")


FILES = [encoded(scene(24, 16), form) for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")]


@settings(max_examples=300)
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_corrupt_bytes_give_an_image_or_a_reason(data: bytes, changes: list[tuple[float, int]]) -> None:
    corrupt = bytearray(data)
    for place, value in changes:
        corrupt[int(place * len(corrupt))] = value
    try:
        image = decode(bytes(corrupt), max_pixels=1 << 20)
    except ImageError as error:
        kinds = {
            "truncated",
            "unreadable",
            "too-large",
            "out-of-memory",
            "unsupported",
        }  # a TIFF may now state another kind
        assert error.reason in kinds  # noqa: PT017 -- both outcomes are right
    else:
        assert image.mode == "RGB"


def test_warnings_are_neither_errors_nor_noise_and_filters_come_back() -> None:
    odd = png(Image.new("P", (4, 4)), transparency=b"\0" * 3)
    corrupt_exif = jpeg_with_exif(b"Exif\0\0II*\0\x08\0\0\0\x05\0" + b"\xff" * 20)
    before = list(warnings.filters)

    with ThreadPoolExecutor(8) as pool, warnings.catch_warnings():
        warnings.simplefilter("error")
        list(pool.map(decode, [odd, corrupt_exif] * 50))

    assert list(warnings.filters) == before


def test_our_own_bugs_propagate(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bug(Exception):
        pass

    def fail(_data: bytes) -> None:
        raise Bug

    monkeypatch.setattr(image_files, "plugin_for", fail)
    with pytest.raises(Bug):
        decode(png())
