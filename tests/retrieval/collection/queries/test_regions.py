"""A part of a picture is cut out upright, and encoded by itself."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.collection.queries import as_region, cut_out
from retrieval.errors import ImageError, QueryError
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture
from tests.retrieval.pictures import jpeg, scene, stored_turned


def cosine(one, other) -> float:
    return float(one[0] @ other[0])


@pytest.fixture
def photos(tmp_path: Path):
    folder = fill(tmp_path / "photos", ["a.png", "b.png", "c.png"])
    retrieval.build_index(folder, encoder=FakeEncoder())
    with retrieval.open(folder, encoder=FakeEncoder()) as collection:
        yield collection


class TestCutting:
    @pytest.mark.parametrize(
        ("region", "box"),
        [
            ((0, 0, 1, 1), (0, 0, 80, 40)),
            ((0.5, 0.25, 0.25, 0.5), (40, 10, 60, 30)),
            ((10, 5, 20, 8), (10, 5, 30, 13)),
            ((0, 0, 1, 1.5), (0, 0, 1, 2)),
            ((0.5, 0.5, 0.9, 0.9), (40, 20, 80, 40)),
            ((70, 30, 500, 500), (70, 30, 80, 40)),
            ((0.1, 0.1, 1e-6, 1e-6), (8, 4, 9, 5)),
        ],
    )
    def test_shares_and_pixels(self, region, box) -> None:
        whole = scene(80, 40)

        assert np.array_equal(cut_out(whole, as_region(region)), whole.crop(box))

    @pytest.mark.parametrize("region", [(80, 0, 5, 5), (0, 40, 5, 5), (1.0, 0.0, 0.5, 0.5)])
    def test_what_lies_outside(self, region) -> None:
        with pytest.raises(ImageError, match="80 x 40"):
            cut_out(scene(80, 40), as_region(region))

    @pytest.mark.parametrize(
        "region",
        [
            (0, 0, 0, 1),
            (0, 0, 1),
            (0, 0, -1, 1),
            (0, 0, float("nan"), 1),
            "abcd",
            5,
            None,
            (0, 0, 1, float("inf")),
        ],
    )
    def test_what_is_no_region(self, region) -> None:
        with pytest.raises(QueryError, match="region"):
            as_region(region)


class TestSearching:
    def test_it_is_the_cut_picture_whatever_the_image_is_given_as(self, photos, tmp_path: Path) -> None:
        region = (0.5, 0.0, 0.5, 0.5)
        expected = photos.encode(picture(0).crop((24, 0, 48, 24)))
        file = photos.root / "a.png"
        opened = io.BytesIO(file.read_bytes())
        for source in (file, Path("a.png"), file.read_bytes(), picture(0), np.asarray(picture(0)), opened):
            assert cosine(photos.encode(retrieval.image(source, region=region)), expected) > 1 - 1e-6

    def test_an_indexed_file_is_not_answered_by_its_stored_vector(self, photos) -> None:
        file = photos.root / "a.png"

        assert photos.search(retrieval.image(file), include_self=True, k=1)[0].score > 1 - 1e-3
        assert (
            photos.search(retrieval.image(file, region=(0, 0, 0.3, 0.3)), include_self=True, k=1)[0].score
            < 0.99
        )

    def test_it_is_cut_from_the_upright_picture(self, photos) -> None:
        shown = scene(96, 64)
        region = (0, 0, 30, 16)  # the dark corner
        expected = photos.encode(shown.crop((0, 0, 30, 16)))
        for orientation in range(1, 9):
            turned = jpeg(stored_turned(shown, orientation), orientation=orientation)
            assert cosine(photos.encode(retrieval.image(turned, region=region)), expected) > 0.99

    def test_a_batch_and_a_part_that_lies_outside(self, photos) -> None:
        good = retrieval.image(picture(0), region=(0, 0, 0.5, 0.5))
        bad = retrieval.image(picture(0), region=(100, 0, 5, 5))
        first, second = photos.search([good, bad])

        assert [hit.id for hit in first] == [hit.id for hit in photos.search(good)]
        assert isinstance(second.error, ImageError)

    def test_queries_tell_their_regions(self) -> None:
        part = retrieval.image("a.png", region=(0, 0, 0.5, 1))

        assert part == retrieval.image("a.png", region=[0, 0, 0.5, 1])
        assert part != retrieval.image("a.png")
        assert repr(-part) == "-image('a.png', region=(0, 0, 0.5, 1))"

    def test_on_the_command_line(self, photos, tmp_path: Path, capsysbinary, monkeypatch) -> None:
        from retrieval.cli import main
        from retrieval.encoders.registry import registry
        from tests.retrieval.cli import fake

        monkeypatch.setitem(registry.BUILT_IN, "fake", fake.__name__)
        folder = fill(tmp_path / "other", ["a.png", "b.png"])
        retrieval.build_index(folder, encoder="fake")
        Image.open(folder / "a.png").crop((24, 0, 48, 24)).save(tmp_path / "part.png")

        def run(*arguments: str) -> bytes:
            assert main(["query", "--index", str(folder), *arguments]) == 0
            return capsysbinary.readouterr().out

        expected = run(str(tmp_path / "part.png"))

        assert run(str(folder / "a.png"), "--region", "0.5,0,0.5,0.5") == expected
        assert run("--id", "0", "--region", "24,0,24,24") == expected
        assert main(["query", "--index", str(folder), "red", "--region", "0,0,1,1"]) == 1
        assert main(["query", "--index", str(folder), "red", "--region", "0,0,1"]) == 2
