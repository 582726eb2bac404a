"""Images are added by hand: from paths, bytes, Pillow and arrays, encoded once each, whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.errors import ImageError, OptionError, ShapeError
from tests.retrieval.folders import CountingEncoder, picture
from tests.retrieval.pictures import png


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def images(tmp_path: Path, encoder: CountingEncoder) -> Iterator[retrieval.Collection]:
    with retrieval.create(tmp_path / "c", encoder=encoder) as collection:
        yield collection


def keys(collection: retrieval.Collection) -> list[str]:
    return collection.export()[1]


def as_file(tmp_path: Path, image: Image.Image) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(png(image))
    return path


@pytest.mark.parametrize(
    "given",
    [
        lambda path: path,
        str,
        lambda path: path.read_bytes(),
        lambda path: bytearray(path.read_bytes()),
        lambda path: io.BytesIO(path.read_bytes()),
        Image.open,
        lambda path: Image.open(path).convert("RGBA"),
        lambda path: np.asarray(Image.open(path)),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_an_image_of_any_kind_is_encoded_as_a_build_would(
    images: retrieval.Collection, tmp_path: Path, given: Any, *, alone: bool
) -> None:
    path = as_file(tmp_path, picture(1))
    wanted = images.encode(path)

    image = given(path)
    ids = images.add_images(image if alone else [image], keys=["a"])

    assert ids.tolist() == [0]
    np.testing.assert_allclose(images.vectors(ids), wanted, atol=1e-3)
    assert keys(images) == ["a"]


def test_a_path_is_its_own_key_and_other_images_are_called_by_their_ids(
    images: retrieval.Collection, tmp_path: Path
) -> None:
    path = as_file(tmp_path, picture(1))

    images.add_images([picture(2), path, png(picture(3))])

    assert keys(images) == ["0", str(path), "2"]


def test_a_stream_of_images_is_taken_as_it_comes(images: retrieval.Collection) -> None:
    ids = images.add_images((picture(seed) for seed in range(150)), keys=(f"{n}" for n in range(150)))

    assert ids.tolist() == list(range(150))
    found = [images.search(picture(seed), k=1)[0].path for seed in (0, 77, 149)]
    assert found == ["0", "77", "149"]


def test_an_image_that_is_there_is_not_encoded_again(
    images: retrieval.Collection, encoder: CountingEncoder, tmp_path: Path
) -> None:
    path = as_file(tmp_path, picture(1))
    images.add_images(path)
    encoder.encoded = 0

    images.add_images([path.read_bytes(), png(picture(2)), png(picture(2))], keys=["copy", "a", "b"])

    assert encoder.encoded == 1
    np.testing.assert_array_equal(*images.vectors([0, 1]))
    (hit, *_) = images.search(path.read_bytes(), k=1)
    assert hit.path == str(path)
    assert hit.duplicates == ("copy",)


def test_an_unreadable_image_is_named_and_nothing_is_added(
    images: retrieval.Collection, tmp_path: Path
) -> None:
    good = as_file(tmp_path, picture(1))
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")

    with pytest.raises(ImageError, match=r"bad\.png"):
        images.add_images([good, bad])
    with pytest.raises(ImageError, match="image 2"):
        images.add_images([picture(1), b"no image"])
    with pytest.raises(ImageError, match=r"missing\.png"):
        images.add_images([tmp_path / "missing.png"])
    with pytest.raises(ImageError, match=r"image 1.*dict"):
        images.add_images([{"a": 1}])

    assert len(images) == 0


def test_a_taken_key_is_known_before_anything_is_encoded(
    images: retrieval.Collection, encoder: CountingEncoder
) -> None:
    images.add_images(picture(1), keys="a")
    encoder.encoded = 0

    with pytest.raises(OptionError, match="taken by row 0"):
        images.add_images([picture(2), picture(3)], keys=["b", "a"])
    with pytest.raises(OptionError, match="keys 1 and 2 are the same"):
        images.add_images([Path("same.png"), Path("same.png")])

    assert encoder.encoded == 0


@pytest.mark.parametrize(
    ("given", "names", "words"),
    [
        ([picture(1)], ["a", "b"], "1 images but 2 keys"),
        (7, None, "int is no image"),
        ([], ["a"], "0 images"),
    ],
)
def test_images_and_keys_go_together(
    images: retrieval.Collection, given: Any, names: Any, words: str
) -> None:
    with pytest.raises(ShapeError, match=words):
        images.add_images(given, keys=names)


def test_no_image_is_no_row(images: retrieval.Collection) -> None:
    assert images.add_images([]).tolist() == []


def test_a_query_by_the_file_that_was_added_does_not_find_itself(
    images: retrieval.Collection, tmp_path: Path
) -> None:
    path = as_file(tmp_path, picture(1))
    images.add_images([path, picture(2)])

    assert [hit.id for hit in images.search(path)] == [1]
    assert [hit.id for hit in images.search(path, include_self=True)] == [0, 1]


def test_a_writer_takes_images_and_vectors(images: retrieval.Collection) -> None:
    with images.writer() as writer:
        writer.add_images([picture(1), picture(2)])
        writer.add(np.ones(images.space.dim), keys="v")
        writer.add_images(picture(1), keys="again")

    assert keys(images) == ["0", "1", "v", "again"]
