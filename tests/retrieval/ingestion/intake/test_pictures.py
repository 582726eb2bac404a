"""What a build does with pictures that are too large, cut short, or without a vector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import EncoderError
from retrieval.progress import Progress
from retrieval.sources.skipped_list import read_skipped
from tests.retrieval.folders import CountingEncoder
from tests.retrieval.ingestion.galleries import build, paths
from tests.retrieval.pictures import encoded, jpeg, png, scene


class BlindToBlack(CountingEncoder):
    """Gives no vector for a black image: zeros, or numbers that are not finite."""

    value = 0.0

    def encode_pixels(self, batch: np.ndarray) -> np.ndarray:
        vectors = super().encode_pixels(batch)
        vectors[batch.reshape(len(batch), -1).max(axis=1) <= -0.45] = self.value
        return vectors


def black(number: int, *, size: int = 20) -> bytes:
    """Return a black picture whose file differs from that of another number."""
    return png(Image.new("RGB", (size + number, size)))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), -float("inf")])
def test_an_image_without_a_vector_is_skipped_by_name(photos: Path, value: float) -> None:
    encoder = BlindToBlack()
    encoder.value = value
    (photos / "a/3x.png").write_bytes(black(1))
    (photos / "b/copy.png").write_bytes(black(1))
    (photos / "b/other.png").write_bytes(black(2))

    report = build(photos, encoder)

    assert (report.images, report.skipped_by_reason) == (12, {"no-vector": 3})
    skipped = read_skipped(photos / ".retrieve")
    assert set(skipped) == {b"a/3x.png", b"b/copy.png", b"b/other.png"}
    assert "the encoder fake gives no vector" in skipped[b"a/3x.png"].detail
    before = encoder.encoded
    assert build(photos, encoder).skipped == 3
    assert encoder.encoded == before  # not tried again


def test_a_row_whose_file_has_no_vector_any_more_goes(photos: Path) -> None:
    encoder = BlindToBlack()
    build(photos, encoder)
    (photos / "a/0.png").write_bytes(black(1))

    report = build(photos, encoder)

    assert (report.images, report.skipped_by_reason) == (11, {"no-vector": 1})
    assert "a/0.png" not in paths(photos, encoder)


def test_an_encoder_without_a_vector_for_any_image_of_a_collection_is_an_error(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(black(number))

    with pytest.raises(EncoderError, match=r"encoder fake: no vector .* for any of 3 images"):
        build(tmp_path, BlindToBlack())


def test_many_images_in_a_row_without_a_vector_are_an_error_and_what_was_good_stays(photos: Path) -> None:
    encoder = BlindToBlack()
    build(photos, encoder)
    for number in range(120):
        (photos / f"c{number:03}.png").write_bytes(black(number))

    with pytest.raises(EncoderError, match=r"encoder fake: no vector .* for 100 images in a row.*c099.png"):
        build(photos, encoder)

    assert len(paths(photos, encoder)) == 12


def test_some_among_many_are_no_error(tmp_path: Path) -> None:
    for number in range(130):
        data = black(number) if number % 60 else png(scene(40, 30, seed=number))
        (tmp_path / f"{number:03}.png").write_bytes(data)

    report = build(tmp_path, BlindToBlack())

    assert (report.images, report.skipped) == (3, 127)


def test_the_limit_of_pixels_is_an_option_and_a_higher_one_tries_again(
    photos: Path, encoder: CountingEncoder
) -> None:
    (photos / "large.png").write_bytes(png(scene(300, 200)))
    (photos / "no suffix").write_bytes(png(scene(300, 200, seed=1)))

    assert build(photos, encoder, max_pixels=50_000).skipped_by_reason == {"too-large": 2}
    detail = read_skipped(photos / ".retrieve")[b"large.png"].detail
    assert "--max-pixels 60000 reads it" in detail
    assert build(photos, encoder, max_pixels=50_001).images == 12
    assert build(photos, encoder, max_pixels=60_000).images == 14
    assert build(photos, encoder).images == 14


def test_a_picture_with_a_small_part_missing_is_indexed_and_noted(
    photos: Path, encoder: CountingEncoder
) -> None:
    data = jpeg(scene(320, 240), quality=90)
    (photos / "whole.jpg").write_bytes(data[:-2])
    (photos / "nearly.jpg").write_bytes(data[:-60])
    (photos / "half.jpg").write_bytes(data[: len(data) // 2])
    events: list[Progress] = []

    report = build(photos, encoder, progress=events.append)

    assert (report.images, report.skipped_by_reason) == (14, {"truncated": 1})
    messages = [event.message for event in events if "missing" in event.message]
    assert len(messages) == 1
    assert messages[0].startswith("note: nearly.jpg is cut short: ")
    assert "of the picture is missing" in read_skipped(photos / ".retrieve")[b"half.jpg"].detail


MEASURED = """
import sys
import retrieval
from tests.retrieval.folders import CountingEncoder
retrieval.build_index(sys.argv[1], encoder=CountingEncoder())
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(line.split()[1]) >> 10)
"""


@pytest.mark.slow
def test_huge_images_and_broken_giants_stay_within_400_mb(tmp_path: Path) -> None:
    """Usual: 330 to 400 MB, of which 100 are the libraries."""
    flat = Image.new("RGB", (8000, 8000), (90, 120, 200))
    (tmp_path / "rgb.png").write_bytes(encoded(flat, "PNG", compress_level=1))
    (tmp_path / "grey.png").write_bytes(
        encoded(Image.new("L", (16_000, 16_000), 80), "PNG", compress_level=1)
    )
    (tmp_path / "palette.png").write_bytes(
        encoded(Image.new("P", (15_000, 15_000), 3), "PNG", compress_level=1)
    )
    (tmp_path / "bilevel.png").write_bytes(encoded(Image.new("1", (16_000, 16_000)), "PNG"))
    (tmp_path / "progressive.jpg").write_bytes(encoded(flat, "JPEG", progressive=True))
    (tmp_path / "panorama.jpg").write_bytes(encoded(Image.new("RGB", (65_500, 4200)), "JPEG", quality=30))
    (tmp_path / "plain.bmp").write_bytes(encoded(Image.new("RGB", (7000, 7000)), "BMP"))
    (tmp_path / "plain.webp").write_bytes(encoded(Image.new("RGB", (4000, 4000)), "WEBP", method=0))
    (tmp_path / "deep.png").write_bytes(encoded(Image.new("I;16", (16_000, 16_000)), "PNG", compress_level=1))

    measured = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert int(measured.stdout.split()[-1]) <= 400
    assert set(read_skipped(tmp_path / ".retrieve")) == {b"deep.png", b"plain.bmp"}


@pytest.mark.parametrize("trouble", ["the image tower runs in torch: onnx is missing", None])
def test_what_is_amiss_with_an_encoder_is_told_once(photos: Path, trouble: str | None) -> None:
    class Slow(CountingEncoder):
        pass

    told: list[Progress] = []
    encoder = Slow()
    encoder.trouble = trouble  # type: ignore[attr-defined]
    build(photos, encoder, progress=told.append)
    notes = [entry.message for entry in told if entry.message and "runs in torch" in entry.message]

    assert notes == ([] if trouble is None else [f"note: {trouble}"])
