"""A picture that was set into a page is told from a part of a picture."""

from __future__ import annotations

import pytest
from PIL import Image, ImageOps

pytest.importorskip("cv2", reason="comparing pictures needs OpenCV")
pytest.importorskip("skimage", reason="the photographs come with scikit-image")

from retrieval.matching import compare, features, is_set_in
from tests.retrieval.matching.test_comparison import photograph


def set_in(part: Image.Image, whole: Image.Image) -> bool:
    larger = features(whole)
    verdict = compare(features(part), larger)
    assert verdict.verified
    assert verdict.outline is not None
    return is_set_in(larger, verdict.outline)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_the_outline_of_a_crop_is_no_seam(name: str) -> None:
    whole = photograph(name)
    width, height = whole.size

    assert not set_in(whole.crop((width // 5, height // 4, width * 4 // 5, height * 9 // 10)), whole)
    assert not set_in(whole, ImageOps.mirror(whole))


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_the_outline_in_a_collage_or_frame_is_one(name: str) -> None:
    whole = photograph(name)
    width, height = whole.size
    collage = Image.new("RGB", (2 * width, height))
    collage.paste(whole, (0, 0))
    collage.paste(photograph("camera").convert("RGB").resize((width, height)), (width, 0))

    assert set_in(whole, collage)
    assert set_in(whole, ImageOps.expand(whole, (0, height // 12, 0, 0), "#303030"))
