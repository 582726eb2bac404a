"""Sheets of small pictures: each in its cell, its shape kept, faults told, and no more bytes than allowed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.curation.map import sprites
from retrieval.curation.map.sprites import sprite_sheets

ROOM = 10_000_000


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    for name, colour, size in (("a", "red", (80, 40)), ("b", "blue", (40, 80)), ("c", "lime", (20, 20))):
        Image.new("RGB", size, colour).save(tmp_path / f"{name}.png")
    return [str(tmp_path / f"{name}.png") for name in "abc"]


def cell(sheet: bytes, place: int) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"), dtype=int)
    line, column = divmod(place, 32)
    return pixels[32 * line + 8 : 32 * line + 24, 32 * column + 8 : 32 * column + 24].mean(axis=(0, 1))


def test_each_picture_has_its_cell_and_shape(pictures: list[str]) -> None:
    made = sprite_sheets(pictures * 500, most_bytes=ROOM)

    assert [Image.open(io.BytesIO(sheet)).size for sheet in made.sheets] == [(1024, 1024), (1024, 480)]
    assert made.shapes[:3].tolist() == [192, 64, 128]
    for place, colour in ((0, (255, 0, 0)), (1, (0, 0, 255)), (2, (0, 255, 0)), (1_025, (0, 255, 0))):
        assert np.allclose(cell(made.sheets[place // 1024], place % 1024), colour, atol=12)


def test_what_cannot_be_read_is_told(pictures: list[str], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")

    made = sprite_sheets(
        [pictures[0], str(tmp_path / "broken.png"), "", str(tmp_path / "none.png")], most_bytes=ROOM
    )

    assert made.shapes.tolist() == [192, 0, 0, 0]
    assert made.faults == {1: "unreadable", 3: "vanished"}


def test_rows_without_images_have_no_sheet() -> None:
    assert sprite_sheets(["", ""], most_bytes=ROOM).sheets == ()


def test_sheets_take_no_more_bytes_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sprites, "_PER_SHEET", 64)
    monkeypatch.setattr(sprites, "ACROSS", 8)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    many = [str(tmp_path / "noise.png")] * 160
    fine = sprite_sheets(many, most_bytes=ROOM)
    size = sum(map(len, fine.sheets))

    coarse = sprite_sheets(many, most_bytes=size * 5 // 6)
    cut = sprite_sheets(many, most_bytes=size // 100)

    assert sum(map(len, coarse.sheets)) <= size * 5 // 6
    assert coarse.left_out == 0
    assert (cut.sheets, cut.left_out) == ((), 160)
    assert not cut.shapes.any()
