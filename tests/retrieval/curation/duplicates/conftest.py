"""A folder of photographs that are there several times, indexed with an encoder that sees the mean colours."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageOps

import retrieval
from retrieval.testing import FakeEncoder
from tests.retrieval.curation.duplicates.photographs import photograph


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs 0 to 5; of 0 a copy, of 1 the same pixels, of 2 a smaller export, of 3 one with other tones."""
    photos = tmp_path / "photos"
    (photos / "exports").mkdir(parents=True)
    for number in range(6):
        photograph(number).save(photos / f"{number}.jpg", quality=92)
    shutil.copy2(photos / "0.jpg", photos / "exports" / "0 copy.jpg")
    with Image.open(photos / "1.jpg") as image:
        image.save(photos / "exports" / "1.png")
    photograph(2).resize((120, 90)).save(photos / "exports" / "2-small.jpg", quality=70)
    ImageOps.autocontrast(photograph(3)).save(photos / "exports" / "3-bright.jpg", quality=60)
    retrieval.build_index(photos, encoder=FakeEncoder())
    return photos
