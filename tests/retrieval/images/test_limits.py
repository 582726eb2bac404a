"""What is too large is refused, and giants take turns."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from retrieval import images
from retrieval.decode_budget import Budget
from retrieval.errors import ImageError
from retrieval.images import decode, read_file
from tests.retrieval.pictures import jpeg, png, scene


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
        file.truncate(4 * images.MAX_PIXELS + 1)  # sparse: takes no room

    with pytest.raises(ImageError) as caught:
        read_file(path)
    assert caught.value.reason == "too-large"


@pytest.mark.parametrize("error", [MemoryError(), OSError("out of memory error when reading image file")])
def test_running_out_of_memory_is_not_laid_to_the_file(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_image: Image.Image, **_: object) -> Image.Image:
        raise error

    monkeypatch.setattr(images, "rgb", fail)
    for source in (png(), scene()):
        with pytest.raises(ImageError) as caught:
            decode(source, name="a.png")
        assert caught.value.reason == "out-of-memory"


def test_giants_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "DECODED_BYTES", Budget(96 * 64 * 6))  # one scene fits, two do not
    inside, most, lock = 0, 0, threading.Lock()
    original = images.rgb

    def counted(image: Image.Image, **options: object) -> Image.Image:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        result = original(image.resize((500, 500)), **options)
        with lock:
            inside -= 1
        return result

    monkeypatch.setattr(images, "rgb", counted)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [png()] * 20))

    assert most == 1
