from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from retrieval.errors import MissingExtra, StoreCorrupt
from retrieval.matching import Features, available, compare, features, opencv as module

pytest.importorskip("cv2", reason="comparing pictures needs OpenCV")


def photograph(name: str) -> Image.Image:
    skimage = pytest.importorskip("skimage", reason="the photographs come with scikit-image")
    with Image.open(Path(skimage.__file__).parent / "data" / f"{name}.png") as file:
        image = file.convert("RGB")
    image.thumbnail((256, 256))
    return image


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    return photograph("astronaut")


def covered(image: Image.Image) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, image.height * 0.65, image.width, image.height), "white")
    draw.text((10, image.height * 0.7), "WHEN YOU SEE IT", "black", font_size=22)
    return image


def pasted(image: Image.Image) -> Image.Image:
    ground = photograph("coffee").resize((512, 342))
    ground.paste(image.resize((170, 170)), (300, 100))
    return ground


ALTERED = {
    "as it is": lambda image: image,
    "flip": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "20 degrees": lambda image: image.rotate(20, expand=True),
    "crop": lambda image: image.crop((60, 40, 220, 160)),
    "small": lambda image: image.resize((80, 80)),
    "squashed": lambda image: image.resize((200, 150)),
    "grey": lambda image: image.convert("L"),
    "inverted order of channels": lambda image: Image.merge("RGB", image.split()[::-1]),
    "brighter": lambda image: image.point(lambda v: min(255, int(v * 1.6))),
    "blur": lambda image: image.filter(ImageFilter.GaussianBlur(4)),
    "border": lambda image: ImageOps.expand(image, 50, "red"),
    "bar of text": covered,
    "inside another": pasted,
}


LIKELY = {"inverted order of channels"}
"""Few copies have other grey levels as this one has; other things of one kind do."""


@pytest.mark.parametrize("name", ALTERED)
def test_a_copy_is_verified_both_ways_round(astronaut: Image.Image, name: str) -> None:
    one, other = features(astronaut), features(ALTERED[name](astronaut))

    for verdict in (compare(one, other), compare(other, one)):
        assert verdict.relation == "picture"
        assert verdict.verified or name in LIKELY
        assert verdict.mirrored == (name in {"flip", "upside down"})


def test_other_pictures_are_not_verified() -> None:
    names = ("astronaut", "coffee", "chelsea", "brick", "grass", "gravel", "text", "camera")
    found = [features(photograph(name)) for name in names]

    for place, one in enumerate(found):
        for other in found[place + 1 :]:
            verdict = compare(one, other)

            assert (verdict.verified, verdict.relation, verdict.outline) == (False, "none", None)


def test_the_outline_says_where_the_first_lies_in_the_second(astronaut: Image.Image) -> None:
    part = astronaut.crop((64, 32, 192, 160))
    quarter = [(0.25, 0.125), (0.75, 0.125), (0.75, 0.625), (0.25, 0.625)]

    upright = compare(features(part), features(astronaut)).outline
    turned = compare(features(part.transpose(Image.Transpose.ROTATE_180)), features(astronaut)).outline
    mirrored = compare(features(ImageOps.mirror(part)), features(astronaut)).outline

    assert list(upright or ()) == [pytest.approx(corner, abs=0.01) for corner in quarter]
    assert list(turned or ()) == [pytest.approx(corner, abs=0.01) for corner in quarter[2:] + quarter[:2]]
    assert list(mirrored or ()) == [pytest.approx(quarter[i], abs=0.01) for i in (1, 0, 3, 2)]


def test_the_same_small_picture_on_two_others_is_an_object() -> None:
    small = photograph("astronaut").resize((110, 110))
    grounds = [photograph(name).resize((256, 192)) for name in ("coffee", "chelsea")]
    for ground in grounds:
        ground.paste(small, (90, 50))

    verdict = compare(*(features(ground) for ground in grounds))

    assert (verdict.verified, verdict.relation) == (False, "object")


def test_features_are_the_same_after_bytes_and_pickle(astronaut: Image.Image) -> None:
    one, other = features(astronaut), features(covered(astronaut))
    data = one.to_bytes()

    assert len(data) <= 8192
    assert compare(pickle.loads(pickle.dumps(one)), other) == compare(one, other)  # noqa: S301 - our own
    assert compare(Features.from_bytes(data), other).relation == "picture"
    assert Features.from_bytes(data).grey.shape == one.grey.shape


def test_noise_fits_into_the_bytes_too() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8))

    assert len(features(noise).to_bytes()) <= 8192


@pytest.mark.parametrize("data", [b"", b"MF1\0", b"MF1\0\x01\x00\x01\x00RIFF", b"x" * 100])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StoreCorrupt, match="not features of a picture"):
        Features.from_bytes(data)


def odd_pictures() -> dict[str, Image.Image]:
    return {
        "one pixel": Image.new("RGB", (1, 1), "red"),
        "blank": Image.new("RGB", (400, 300), "white"),
        "transparent": Image.new("RGBA", (64, 64), (10, 200, 30, 0)),
        "palette": photograph("coffee").convert("P"),
        "16 bits": Image.fromarray(np.arange(256 * 256, dtype=np.uint16).reshape(256, 256)),
        "bits": photograph("text").convert("1"),
        "wide strip": photograph("coffee").resize((5000, 3)),
        "tall strip": photograph("coffee").resize((2, 4000)),
        "long page": photograph("text").resize((200, 6000)),
        "large": photograph("coffee").resize((5000, 4000)),
        "noise": Image.effect_noise((256, 256), 60),
    }


@pytest.mark.filterwarnings("error")
def test_odd_pictures_give_an_answer(astronaut: Image.Image) -> None:
    found = {name: features(image) for name, image in odd_pictures().items()}
    ours = features(astronaut)

    for name, one in found.items():
        assert not compare(one, ours).verified, name
        assert not compare(ours, one).verified, name
        for other in found.values():
            assert 0 <= compare(one, other).probability <= 1
        assert compare(one, Features.from_bytes(one.to_bytes())).probability >= 0


def test_blank_pictures_are_not_the_same_picture() -> None:
    blank = features(Image.new("RGB", (400, 300), "white"))

    assert compare(blank, blank).relation == "none"


def test_what_is_transparent_is_taken_for_white(astronaut: Image.Image) -> None:
    disc = Image.new("L", astronaut.size, 0)
    ImageDraw.Draw(disc).ellipse((20, 20, 236, 236), fill=255)
    cut = astronaut.copy()
    cut.putalpha(disc)
    on_white = Image.composite(astronaut, Image.new("RGB", astronaut.size, "white"), disc)

    assert np.abs(features(cut).grey.astype(int) - features(on_white).grey).max() <= 2


def _compared(pair: tuple[Features, Features]) -> bool:
    return compare(*pair).verified


def test_a_child_compares_after_a_fork(astronaut: Image.Image) -> None:
    pair = features(astronaut), features(ImageOps.mirror(astronaut))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(_compared, [pair] * 4).get(timeout=60) == [True] * 4


def test_opencv_keeps_to_one_thread() -> None:
    assert module.opencv().getNumThreads() == 1


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, astronaut: Image.Image) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    module._loaded.cache_clear()
    try:
        with pytest.raises(MissingExtra, match="verify"):
            features(astronaut)
    finally:
        monkeypatch.undo()
        module._loaded.cache_clear()

    assert available()
