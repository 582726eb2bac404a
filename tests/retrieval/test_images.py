"""Decoding: every kind of good file gives the upright picture, every kind of bad one a reason."""

import io
import os
import socket
import struct
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from retrieval import images
from retrieval.errors import ImageError
from retrieval.images import content_hash, decode, read_file
from tests.retrieval import pictures
from tests.retrieval.pictures import encoded, jpeg, png, scene


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


@pytest.mark.parametrize(
    ("form", "tolerance"),
    [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("JPEG", 3), ("WEBP", 4), ("AVIF", 4), ("GIF", 8)],
)
def test_every_format_gives_the_picture(form: str, tolerance: float) -> None:
    image = decode(encoded(scene(), form))

    assert image.mode == "RGB"
    assert difference(image, scene()) <= tolerance


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


def jpeg_with_exif(exif: bytes) -> bytes:
    plain = jpeg()
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]


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


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_single_pixel(form: str) -> None:
    image = decode(encoded(Image.new("RGB", (1, 1), (200, 200, 200)), form), decode_size=448)

    assert image.size == (1, 1)
    assert abs(image.getpixel((0, 0))[0] - 200) < 8


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_an_animation_gives_its_first_frame(form: str) -> None:
    red, _green, blue = decode(pictures.animated(form)).getpixel((16, 12))

    assert red > 200
    assert blue < 30


def test_a_scaled_decode_keeps_enough_pixels_and_looks_the_same() -> None:
    big = scene(1600, 1200)
    data = jpeg(big)

    image = decode(data, decode_size=256)

    assert image.size == (400, 300)
    small = (100, 75)
    assert (
        difference(
            image.resize(small, Image.Resampling.BICUBIC),
            decode(data).resize(small, Image.Resampling.BICUBIC),
        )
        < 1
    )
    assert decode(data, decode_size=601).size == (1600, 1200)
    assert decode(encoded(big.convert("L"), "JPEG"), decode_size=256).size == (400, 300)
    assert decode(encoded(big.convert("CMYK"), "JPEG"), decode_size=256).size == (400, 300)


def test_a_picture_named_wrongly_is_still_a_picture(tmp_path: object) -> None:
    path = os.path.join(str(tmp_path), "photo.jpg")
    with open(path, "wb") as file:
        file.write(png())

    assert difference(decode(path), scene()) == 0


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


@settings(max_examples=300, deadline=None)
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
        assert error.reason in {"truncated", "unreadable", "too-large"}  # noqa: PT017 -- both outcomes are right
    else:
        assert image.mode == "RGB"


def test_the_pixel_cap_is_ours_and_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)

    assert decode(png()).size == scene().size  # Pillow's own cap warns at this, and refuses at twice
    assert decode(jpeg()).size == scene().size
    with pytest.raises(ImageError, match="96 x 64 pixels, the limit is 6,143") as caught:
        decode(png(), max_pixels=96 * 64 - 1)
    assert caught.value.reason == "too-large"
    assert decode(png(), max_pixels=96 * 64).size == (96, 64)


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

    monkeypatch.setattr(images, "plugin_for", fail)
    with pytest.raises(Bug):
        decode(png())


def test_every_kind_of_source_gives_the_same(tmp_path: object) -> None:
    data = png()
    path = os.path.join(str(tmp_path), "a b\n\N{SNOWMAN}.png")
    with open(path, "wb") as file:
        file.write(data)
    opened = Image.open(io.BytesIO(data))
    with open(path, "rb") as file:
        results = [
            decode(path),
            decode(data),
            decode(bytearray(data)),
            decode(file),
            decode(opened),
            decode(np.asarray(scene())),
        ]

    assert [difference(result, scene()) for result in results] == [0] * len(results)
    for result in results:
        result.putpixel((0, 0), (1, 1, 1))
    assert difference(opened, scene()) == 0  # what the caller gave is not what the caller got


def test_a_pillow_image_with_orientation_is_turned() -> None:
    stored = pictures.stored_turned(scene(), 6)

    assert difference(decode(Image.open(io.BytesIO(jpeg(stored, orientation=6)))), scene()) < 3


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), float),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
        np.zeros(5, np.uint8),
    ],
)
def test_arrays_of_another_shape_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="uint8") as caught:
        decode(array)
    assert caught.value.reason == "unsupported"


def test_files_that_cannot_be_read(tmp_path: object) -> None:
    folder = str(tmp_path)
    pipe, plug = os.path.join(folder, "pipe.jpg"), os.path.join(folder, "socket.jpg")
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(plug)
        for path, reason in [
            (os.path.join(folder, "gone.jpg"), "vanished"),
            (folder, "not-a-file"),
            (pipe, "not-a-file"),
            (plug, "not-a-file"),
            ("/dev/zero", "not-a-file"),
        ]:
            with pytest.raises(ImageError) as caught:
                decode(path)
            assert caught.value.reason == reason
            assert path in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file(tmp_path: object) -> None:
    path = os.path.join(str(tmp_path), "secret.jpg")
    with open(path, "wb") as file:
        file.write(jpeg())
    os.chmod(path, 0)

    with pytest.raises(ImageError) as caught:
        read_file(path)
    assert caught.value.reason == "permission"


def test_a_file_too_large_to_read_is_not_read(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.path.join(str(tmp_path), "huge.jpg")
    with open(path, "wb") as file:
        file.truncate(images.MAX_BYTES + 1)  # sparse: takes no room

    with pytest.raises(ImageError) as caught:
        read_file(path)
    assert caught.value.reason == "too-large"


def test_names_in_messages_stay_on_one_line_and_printable(tmp_path: object) -> None:
    name = os.path.join(os.fsencode(str(tmp_path)), b"new\nline\x1b[31m \xff\xc3\xa9.jpg")
    with open(name, "wb") as file:
        file.write(b"no image")

    with pytest.raises(ImageError) as caught:
        decode(os.fsdecode(name))

    message = str(caught.value)
    assert message.isprintable()
    assert "new\\nline" in message
    assert "\\xff\N{LATIN SMALL LETTER E WITH ACUTE}.jpg" in message


HEIC_HEADER = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic"


def test_heic_without_its_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)

    with pytest.raises(ImageError, match=r"retrieval\[heif\]") as caught:
        decode(HEIC_HEADER + bytes(100), name="a.heic")
    assert caught.value.reason == "needs-heif"


def test_heic_is_read_upright() -> None:
    pytest.importorskip("pi_heif", reason="the extra `heif` is not installed")

    assert difference(decode(pictures.heic(), decode_size=16), scene(48, 32)) < 6


def test_broken_heic_is_unreadable() -> None:
    pytest.importorskip("pi_heif", reason="the extra `heif` is not installed")

    with pytest.raises(ImageError) as caught:
        decode(HEIC_HEADER + bytes(100))
    assert caught.value.reason in {"unreadable", "truncated"}


def test_giants_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_LARGE", 1000)
    inside, most, lock = 0, 0, threading.Lock()
    original = images._rgb

    def counted(image: Image.Image) -> Image.Image:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        result = original(image.resize((500, 500)))
        with lock:
            inside -= 1
        return result

    monkeypatch.setattr(images, "_rgb", counted)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [png()] * 20))

    assert most == 1


def test_the_content_hash_is_of_the_bytes() -> None:
    assert content_hash(b"") == bytes.fromhex(
        "cae66941d9efbd404e4d88758ea67670"
    )  # RFC 7693's BLAKE2b with 16 bytes
    assert content_hash(jpeg()) == content_hash(bytes(jpeg()))
    assert content_hash(jpeg()) != content_hash(png())
    assert len(content_hash(png())) == 16
