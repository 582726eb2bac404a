"""Folders with doubles of each kind."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image, ImageOps

import retrieval
from tests.retrieval.promises.copies.photographs import (
    NAMES,
    build,
    photograph,
)

pytest.importorskip("cv2", reason="pictures are compared by OpenCV")


@pytest.fixture(scope="package")
def originals():
    return {name: photograph(name) for name in NAMES}


@pytest.fixture(scope="package")
def messy(tmp_path_factory, originals):
    """Return an indexed folder with each kind of double; tests leave it as it is."""
    root = tmp_path_factory.mktemp("messy")
    for name, image in originals.items():
        image.save(root / f"{name}.jpg", quality=95)
    astronaut, chelsea, coffee, rocket = (originals[name] for name in NAMES[:4])
    shutil.copy(root / "camera.jpg", root / "camera again.jpg")
    Image.open(root / "brick.jpg").save(root / "brick.png")
    astronaut.resize((128, 128)).save(root / "astronaut small.jpg", quality=60)
    ImageOps.mirror(chelsea).save(root / "chelsea mirrored.jpg")
    width, height = coffee.size
    coffee.crop((width // 8, height // 8, width * 7 // 8, height * 7 // 8)).save(root / "coffee crop.jpg")
    rocket.rotate(90, expand=True).convert("L").save(root / "rocket turned.jpg")
    build(root)
    return root


@pytest.fixture(scope="package")
def found(messy):
    return retrieval.duplicates(messy)


@pytest.fixture
def own(tmp_path, messy):
    """Return a folder with four equal pairs and a photograph, which a test may change."""
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(NAMES[:4]):
        shutil.copy2(messy / f"{name}.jpg", root / f"{number}.jpg")
        shutil.copy2(messy / f"{name}.jpg", root / "sub" / f"{number}.jpg")
    shutil.copy2(messy / "camera.jpg", root / "alone.jpg")
    build(root)
    return root
