"""Thousands of equal vectors, such as blank pages, end in work that grows as the rows."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.curation.duplicates.images.image_rows import ImageRows


def blank_pages(directory: Path, count: int) -> Path:
    vectors = np.tile(np.eye(1, 16, dtype=np.float32), (count, 1))
    retrieval.sync_vectors(directory, vectors, [f"{number:06}.png" for number in range(count)])
    return directory


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_blank_pages_are_one_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 60), "white").save(file, "PNG")
    monkeypatch.setattr(ImageRows, "read", lambda *_: file.getvalue())

    found = retrieval.duplicates(blank_pages(tmp_path, count))

    assert [(one.kind, len(one)) for one in found] == [("pixels", count)]
    assert len(found.going) == count - 1
    assert found.compared == 0


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_rows_without_images_end_and_are_counted(tmp_path: Path, count: int) -> None:
    found = retrieval.duplicates(blank_pages(tmp_path, count))

    assert len(found) == 0
    assert found.unread == count
