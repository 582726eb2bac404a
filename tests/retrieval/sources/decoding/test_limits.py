"""What is too large is refused, and giants take turns."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import ImageError
from retrieval.sources.decoding import colours, decoder
from retrieval.sources.decoding.budget import Budget
from retrieval.sources.decoding.decoder import decode, read_file
from tests.retrieval.pictures import ORIENTATION, encoded, jpeg, png, scene
from tests.retrieval.sources.differences import difference


def test_the_pixel_cap_is_ours_and_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)

    assert decode(png()).size == scene().size  # Pillow's own cap warns at this, and refuses at twice
    assert decode(jpeg()).size == scene().size
    with pytest.raises(ImageError, match="96 x 64 pixels, the limit is 6,143") as caught:
        decode(png(), max_pixels=96 * 64 - 1)
    assert caught.value.reason == "too-large"
    assert decode(png(), max_pixels=96 * 64).size == (96, 64)


def test_a_file_too_large_to_read_is_not_read(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.path.join(str(tmp_path), "huge.jpg")
    with open(path, "wb") as file:
        file.truncate(4 * decoder.MAX_PIXELS + 1)  # sparse: takes no room

    with pytest.raises(ImageError) as caught:
        read_file(path)
    assert caught.value.reason == "too-large"


@pytest.mark.parametrize("error", [MemoryError(), OSError("out of memory error when reading image file")])
def test_running_out_of_memory_is_not_laid_to_the_file(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_image: Image.Image, **_: object) -> Image.Image:
        raise error

    monkeypatch.setattr(decoder, "rgb", fail)
    for source in (png(), scene()):
        with pytest.raises(ImageError) as caught:
            decode(source, name="a.png")
        assert caught.value.reason == "out-of-memory"


def test_giants_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "DECODED_BYTES", Budget(96 * 64 * 6))  # one scene fits, two do not
    inside, most, lock = 0, 0, threading.Lock()
    original = decoder.rgb

    def counted(image: Image.Image, **options: object) -> Image.Image:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        result = original(image.resize((500, 500)), **options)
        with lock:
            inside -= 1
        return result

    monkeypatch.setattr(decoder, "rgb", counted)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [png()] * 20))

    assert most == 1


PANORAMA = (6400, 400)


def test_the_limit_counts_what_is_decoded() -> None:
    """A JPEG is decoded at a fraction, and grey has one byte a pixel."""
    most = PANORAMA[0] * PANORAMA[1] // 16
    data = jpeg(scene(*PANORAMA))

    assert decode(data, decode_size=100, max_pixels=most).size == (1600, 100)
    with pytest.raises(ImageError, match=r"6400 x 400 pixels.*--max-pixels 2560000 reads it") as caught:
        decode(data, max_pixels=most)
    assert caught.value.reason == "too-large"
    assert decode(data, max_pixels=2_560_000).size == PANORAMA
    grey = png(scene(*PANORAMA).convert("L"))
    assert decode(grey, decode_size=100, max_pixels=640_000).size == (1600, 100)
    with pytest.raises(ImageError, match="--max-pixels 640000 reads it"):
        decode(grey, decode_size=100, max_pixels=639_999)


def test_a_progressive_jpeg_counts_its_coefficients() -> None:
    data = encoded(scene(*PANORAMA), "JPEG", progressive=True)

    with pytest.raises(ImageError, match="--max-pixels") as caught:
        decode(data, decode_size=100, max_pixels=1_000_000)
    assert caught.value.reason == "too-large"
    assert decode(data, decode_size=100, max_pixels=2_600_000).size == (1600, 100)


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGB", "RGBA", "LA", "I;16", "F", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_made_smaller_band_by_band_looks_the_same(
    mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = scene(900, 601)
    if mode in ("RGBA", "LA"):
        image = image.convert("RGBA")
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    if mode in ("I;16", "F"):
        deep = np.asarray(image.convert("L")).astype(np.float32) / 255
        image = Image.fromarray(deep if mode == "F" else (deep * 65535).astype(np.uint16))
    else:
        image = image.quantize(64) if mode == "P" else image.convert(mode)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(image, "PNG" if mode not in ("F", "CMYK") else "TIFF", exif=exif)
    whole = decode(data, decode_size=100)
    monkeypatch.setattr(decoder, "DECODED_BYTES", Budget(1 << 20))
    monkeypatch.setattr(colours, "_BAND", 5000)

    small = decode(data, decode_size=100)

    assert whole.size == ((900, 601) if orientation == 1 else (601, 900))
    assert small.size == ((150, 101) if orientation == 1 else (101, 150))
    size = (50, 50)
    assert difference(small.resize(size, Image.Resampling.BOX), whole.resize(size, Image.Resampling.BOX)) < 3


def test_the_decoder_of_a_large_image_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(1 << 20)
    monkeypatch.setattr(decoder, "DECODED_BYTES", budget)
    done = threading.Event()
    data = png(scene(500, 500))  # 1,000,000 bytes

    with budget.hold(100_000):
        thread = threading.Thread(target=lambda: (decode(data), done.set()))
        thread.start()
        assert not done.wait(0.2)
    thread.join(5)

    assert done.is_set()
