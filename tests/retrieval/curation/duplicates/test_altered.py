"""Pictures that were laid on each other: crops, frames, collages and bursts, and who stays."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

import retrieval
from retrieval.curation.duplicates.judgements import Judgement
from retrieval.curation.duplicates.pairs import GeometryCheck, candidates, thresholds
from retrieval.matching import Verdict
from retrieval.testing import FakeEncoder
from tests.retrieval.curation.duplicates.photographs import photograph

pytest.importorskip("cv2", reason="OpenCV lays pictures on each other")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photographs; every pair of images is compared, since the fake encoder proposes few."""
    measured = thresholds.calibration

    def every_pair(*arguments: object, **options: object) -> thresholds.Calibration:
        return replace(measured(*arguments, **options), picture=-1.0)

    monkeypatch.setattr("retrieval.curation.duplicates.finding.calibration", every_pair)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        large(number).save(folder / f"{number}.jpg", quality=92)
    return folder


def large(number: int) -> Image.Image:
    return photograph(number, width=480, height=360)


def found_in(folder: Path, **options: object) -> list[tuple[str, list[str]]]:
    retrieval.build_index(folder, encoder=FakeEncoder())
    found = retrieval.duplicates(folder, **options)
    assert found.method == "geometry"
    return [(one.kind, [("" if image.keep else "-") + image.path for image in one]) for one in found]


def test_a_crop_goes_and_its_outline_is_told(photos: Path) -> None:
    large(0).crop((120, 90, 420, 330)).save(photos / "crop.jpg", quality=92)

    assert found_in(photos) == [("picture", ["0.jpg", "-crop.jpg"])]
    image = retrieval.duplicates(photos)[0][1]
    assert image.outline is not None
    assert np.allclose(image.outline, [(0.25, 0.25), (0.875, 0.25), (0.875, 0.917), (0.25, 0.917)], atol=0.02)


def test_a_whole_thing_on_white_stays_before_a_crop_that_cuts_off_its_ends(photos: Path) -> None:
    whole = Image.new("RGB", (384, 384), "white")
    whole.paste(large(1).resize((360, 110)), (12, 130))
    for path in photos.iterdir():
        path.unlink()
    whole.save(photos / "whole.jpg", quality=92)
    whole.crop((64, 77, 320, 308)).save(photos / "part.jpg", quality=85)

    assert "-whole.jpg" not in [name for _, names in found_in(photos) for name in names]


def test_an_enlarged_crop_does_not_take_the_place_of_the_whole(photos: Path) -> None:
    large(0).crop((60, 45, 420, 315)).resize((500, 375)).save(photos / "crop.jpg", quality=92)

    assert found_in(photos) == [("picture", ["0.jpg", "-crop.jpg"])]


def test_a_crop_in_many_more_pixels_stays_too(photos: Path) -> None:
    large(0).crop((120, 90, 360, 270)).save(photos / "crop.jpg", quality=92)
    large(0).resize((240, 180)).resize((480, 360)).resize((200, 150)).save(photos / "0.jpg", quality=92)

    assert all(not path.startswith("-crop") for _, paths in found_in(photos) for path in paths)


def test_a_framed_picture_goes_however_many_pixels_its_frame_has(photos: Path) -> None:
    ImageOps.expand(large(0), (20, 200, 20, 200), "#121212").save(photos / "screenshot.png")

    assert found_in(photos) == [("picture", ["0.jpg", "-screenshot.png"])]


def test_a_picture_goes_on_staying_beside_a_screenshot_with_thin_bars(photos: Path) -> None:
    ImageOps.expand(large(0), (0, 12, 0, 0), "#2b2b2b").save(photos / "screenshot.png")

    assert found_in(photos) == [("picture", ["0.jpg", "-screenshot.png"])]


def test_a_small_picture_stays_beside_a_screenshot_that_may_have_enlarged_it(photos: Path) -> None:
    """In more pixels, the screenshot is not known to show more: its telephone may have enlarged the small picture."""
    small = large(0).resize((240, 180))
    small.save(photos / "0.jpg", quality=92)
    screen = Image.new("RGB", (480, 760), "#f4f4f4")
    screen.paste(small.resize((480, 360)), (0, 200))
    screen.save(photos / "screenshot.png")

    assert found_in(photos) == [("picture", ["screenshot.png", "0.jpg"])]
    assert "larger within a border" in retrieval.duplicates(photos)[0][1].reason
    assert found_in(photos, keep="largest") == [("picture", ["screenshot.png", "-0.jpg"])]


def test_a_photograph_stays_though_a_collage_shows_it_in_as_many_pixels(photos: Path) -> None:
    collage = Image.new("RGB", (972, 732), "white")
    for place in range(3):
        collage.paste(large(place), (4 + 484 * (place % 2), 4 + 364 * (place // 2)))
    collage.save(photos / "collage.jpg", quality=92)
    (photos / "1.jpg").unlink()
    (photos / "2.jpg").unlink()

    assert found_in(photos) == [("picture", ["0.jpg", "collage.jpg"])]


def test_a_collage_stays_and_chains_nothing(photos: Path) -> None:
    collage = Image.new("RGB", (960, 360))
    collage.paste(large(0), (0, 0))
    collage.paste(large(1), (480, 0))
    collage.save(photos / "collage.jpg", quality=92)

    sets = found_in(photos)

    assert all(len({"0.jpg", "1.jpg"} & {path.lstrip("-") for path in paths}) < 2 for _, paths in sets)
    assert all("-collage.jpg" not in paths for _, paths in sets)


def captioned(image: Image.Image) -> Image.Image:
    drawn = ImageDraw.Draw(image)
    drawn.rectangle((0, 240, 480, 360), fill="black")
    for line in range(250, 350, 20):
        drawn.text((10, line), "MANY WORDS IN WHITE LETTERS " * 3, fill="white")
    return image


def test_a_captioned_copy_stays_beside_a_photograph_that_is_there_twice(photos: Path) -> None:
    """The file that stays is not the one that was compared for both: a copy that comes before it by name was."""
    shutil.copy2(photos / "0.jpg", photos / "0 (1).jpg")
    captioned(large(0)).save(photos / "captioned.jpg", quality=80)

    assert found_in(photos) == [("picture", ["0.jpg", "-0 (1).jpg", "captioned.jpg"])]


def test_a_copy_that_is_not_sure_stays_until_a_person_decides(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = GeometryCheck._judged

    def less_sure(check: GeometryCheck, verdict: Verdict) -> Judgement:
        return replace(judged(check, verdict), probability=0.93 if verdict.verified else 0.0)

    monkeypatch.setattr(GeometryCheck, "_judged", less_sure)
    large(0).resize((240, 180)).save(photos / "small.jpg", quality=92)

    assert found_in(photos) == [("picture", ["0.jpg", "small.jpg"])]
    assert retrieval.duplicates(photos)[0][1].reason == "likely the same picture as 0.jpg: 240 × 180"
    assert found_in(photos, precision=0.9) == [("picture", ["0.jpg", "-small.jpg"])]


@pytest.mark.parametrize("quality", [80, 95])
def test_neither_a_photograph_nor_its_captioned_copy_goes(photos: Path, quality: int) -> None:
    captioned(large(0)).save(photos / "captioned.jpg", quality=quality)
    retrieval.build_index(photos, encoder=FakeEncoder())

    (found,) = retrieval.duplicates(photos)

    assert ({"0.jpg", "captioned.jpg"}, True) == (
        {image.path for image in found},
        all(image.keep for image in found),
    )
    assert "but a part differs" in found[1].reason


def test_a_clean_photograph_does_not_go_for_a_better_file_with_a_date_in_it(photos: Path) -> None:
    dated = large(0)
    ImageDraw.Draw(dated).text((400, 335), "12:04", fill="white", font=ImageFont.load_default(16))
    large(0).save(photos / "0.jpg", quality=75)
    dated.save(photos / "dated.jpg", quality=95)
    retrieval.build_index(photos, encoder=FakeEncoder())

    (found,) = retrieval.duplicates(photos)

    assert {image.path: image.keep for image in found} == {"0.jpg": True, "dated.jpg": True}
    assert "but a part differs" in found[1].reason


def test_a_mirrored_picture_is_told(photos: Path) -> None:
    ImageOps.mirror(large(2)).save(photos / "mirrored.jpg", quality=60)

    assert found_in(photos) == [("picture", ["2.jpg", "-mirrored.jpg"])]
    assert retrieval.duplicates(photos)[0][1].mirrored


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("scene",), [("scene", ["0.jpg", "-again.jpg"])]),
        (("picture", "scene"), [("scene", ["0.jpg", "again.jpg"])]),
    ],
)
def test_photographs_of_one_scene_stay_unless_they_are_asked_for_alone(
    photos: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, ...], expected: object
) -> None:
    large(0).resize((479, 359)).save(photos / "again.jpg", quality=92)
    compare = retrieval.matching.compare

    def as_scene(*features: object) -> object:
        verdict = compare(*features)
        return (
            replace(verdict, relation="scene", verified=False) if verdict.relation == "picture" else verdict
        )

    monkeypatch.setattr("retrieval.matching.compare", as_scene, raising=False)

    assert found_in(photos, kinds=kinds) == expected


def test_only_new_rows_are_joined_and_compared_after_a_build(photos: Path) -> None:
    large(0).crop((120, 90, 420, 330)).save(photos / "crop.jpg", quality=92)
    found_in(photos)
    large(1).crop((120, 90, 420, 330)).save(photos / "later.jpg", quality=92)

    sets = found_in(photos)

    assert sets == [("picture", ["0.jpg", "-crop.jpg"]), ("picture", ["1.jpg", "-later.jpg"])]
    (photos / "crop.jpg").unlink()
    assert found_in(photos) == [("picture", ["1.jpg", "-later.jpg"])]
    assert retrieval.duplicates(photos).compared == 0


def test_a_move_and_its_undo_leave_the_sets_that_a_fresh_collection_has(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        candidates, "AT_MOST", 3
    )  # of 17 others: which pairs are compared depends on who names whom
    monkeypatch.setattr(candidates, "_NEW", 4)
    for number in range(3, 6):
        large(number).save(photos / f"{number}.jpg", quality=92)
    for number in range(6):
        large(number).resize((240, 180)).save(photos / f"{number}-small.jpg", quality=80)
        ImageOps.mirror(large(number)).save(photos / f"{number}-mirrored.jpg", quality=85)
    before = found_in(photos)

    report = retrieval.duplicates(photos).move_to(tmp_path / "away")
    assert len(report.moved) >= 10
    assert found_in(photos) == []
    retrieval.undo_moves(report.undo)
    after = found_in(photos)
    fresh = tmp_path / "fresh"
    shutil.copytree(photos, fresh, ignore=shutil.ignore_patterns(".retrieve"))

    assert after == before == found_in(fresh)
