"""Doubles are found, told apart and listed, and looking changes nothing."""

from __future__ import annotations

import csv
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.errors import OptionError
from retrieval.testing import FakeEncoder
from tests.command_line import command
from tests.retrieval.promises.copies.photographs import (
    NAMES,
    build,
    kind_of,
    names,
    photograph,
    state,
)


def test_each_double_is_found_at_its_degree(found):
    assert kind_of(found, "camera.jpg", "camera again.jpg") == ["bytes"]
    assert kind_of(found, "brick.jpg", "brick.png") == ["pixels"]
    assert kind_of(found, "astronaut.jpg", "astronaut small.jpg") == ["picture"]
    assert kind_of(found, "chelsea.jpg", "chelsea mirrored.jpg") == ["picture"]
    assert kind_of(found, "coffee.jpg", "coffee crop.jpg") == ["picture"]
    assert kind_of(found, "rocket.jpg", "rocket turned.jpg") == ["picture"]
    assert len(found) == 6


def test_the_whole_picture_stays_and_its_crop_goes(found):
    going = {image.path for image in found.going}

    assert {"coffee crop.jpg", "astronaut small.jpg", "camera again.jpg"} <= going
    assert not going & {"coffee.jpg", "astronaut.jpg", "camera.jpg", "coins.jpg"}


def test_the_outline_says_where_the_crop_lies(found):
    crop = next(image for one in found for image in one if image.path == "coffee crop.jpg")

    assert np.allclose(
        crop.outline, [[1 / 8, 1 / 8], [7 / 8, 1 / 8], [7 / 8, 7 / 8], [1 / 8, 7 / 8]], atol=0.03
    )


def test_a_mirrored_copy_is_told(found):
    assert [image.path for one in found for image in one if image.mirrored] == ["chelsea mirrored.jpg"]


def test_looking_changes_no_file(messy):
    before = state(messy)
    retrieval.duplicates(messy, keep="largest")

    assert state(messy) == before


@pytest.mark.parametrize("kind", ["bytes", "pixels", "picture"])
def test_one_kind_lists_only_itself(messy, kind):
    sets = retrieval.duplicates(messy, kinds=[kind])

    assert {one.kind for one in sets} == {kind}


def test_csv_and_json_name_the_same_images_and_are_read_by_their_readers(messy, found):
    answer = command("duplicates", "--index", messy, "--json", cwd=messy.parent)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert {"threshold", "precision", "expected_recall", "sets"} <= set(told)
    for one in told["sets"]:
        assert {"kind", "images"} <= set(one)
        assert sum(image["keep"] for image in one["images"]) >= 1
        for image in one["images"]:
            assert {"path", "id", "keep", "reason", "score"} <= set(image)

    lines = list(csv.DictReader(io.StringIO(found.to_csv())))
    by_json = {(image["path"], image["keep"]) for one in told["sets"] for image in one["images"]}
    assert {image["path"] for one in told["sets"] for image in one["images"]} == {
        line["path"] for line in lines
    }
    assert by_json == {(image.path, image.keep) for one in found for image in one}


def test_few_images_and_none_have_no_doubles(tmp_path, originals):
    root = tmp_path / "photos"
    root.mkdir()
    for name in NAMES[:2]:
        originals[name].save(root / f"{name}.jpg")
    for name in (None, *NAMES[:2]):
        if name:
            (root / f"{name}.jpg").unlink()
        build(root, prune=True)
        sets = retrieval.duplicates(root)

        assert list(sets) == []
        assert json.loads(json.dumps(sets.to_json()))["sets"] == []
        assert len(sets.to_csv().splitlines()) == 1
    assert command("duplicates", "--index", root, cwd=tmp_path).returncode == 0


def test_unlike_pictures_are_not_chained_through_a_picture_that_shows_both(tmp_path, originals):
    root = tmp_path / "photos"
    root.mkdir()
    left, right = originals["chelsea"].resize((256, 170)), originals["coffee"].resize((256, 170))
    left.save(root / "left.jpg", quality=95)
    right.save(root / "right.jpg", quality=95)
    both = Image.new("RGB", (256, 340))
    both.paste(left, (0, 0))
    both.paste(right, (0, 170))
    both.save(root / "both.jpg", quality=95)
    build(root)
    sets = retrieval.duplicates(root)

    assert not any(
        {"left.jpg", "right.jpg"} <= {image.path for image in one if not image.keep or image is one.stays}
        for one in sets
    )
    assert "both.jpg" not in {image.path for image in sets.going}


def test_a_whole_thing_on_white_stays_before_a_crop_that_cuts_off_its_ends(tmp_path, originals):
    root = tmp_path / "photos"
    root.mkdir()
    canvas = Image.new("RGB", (384, 384), "white")
    canvas.paste(originals["coffee"].resize((360, 110)), (12, 130))
    canvas.save(root / "whole.jpg", quality=92)
    canvas.crop((64, 77, 320, 308)).save(root / "part.jpg", quality=85)
    build(root)
    sets = retrieval.duplicates(root)

    assert names(sets) == [("picture", {"whole.jpg", "part.jpg"})]
    assert "whole.jpg" not in {image.path for image in sets.going}


def test_only_new_images_are_compared_after_a_build(own, messy):
    first = retrieval.duplicates(own)
    shutil.copy2(messy / "astronaut small.jpg", own / "new.jpg")
    build(own)
    second = retrieval.duplicates(own)

    assert kind_of(second, "new.jpg") == ["picture"]
    assert {image.path for image in second.going} == {image.path for image in first.going} | {"new.jpg"}


def test_a_column_of_splits_lists_only_what_leaks(tmp_path, messy):
    lines = ["path,split"]
    for name, split in [
        ("camera.jpg", "train"),
        ("camera again.jpg", "test"),
        ("brick.jpg", "train"),
        ("brick.png", "train"),
    ]:
        shutil.copy2(messy / name, tmp_path / name)
        lines.append(f"{name},{split}")
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    retrieval.build_index(tmp_path / "list.csv", index=tmp_path / "index", column=["split"], progress=False)
    sets = retrieval.duplicates(tmp_path / "index", splits="split")

    assert [{image.path for image in one} for one in sets] == [{"camera.jpg", "camera again.jpg"}]
    assert {image.split for image in sets[0]} == {"train", "test"}
    with pytest.raises(OptionError, match="splot"):
        retrieval.duplicates(tmp_path / "index", splits="splot")


def test_blank_pages_end_and_are_folded(tmp_path):
    root = tmp_path / "pages"
    root.mkdir()
    for number in range(120):
        page = np.full((60, 40, 3), 250, np.uint8)
        page[0, 0] = number
        Image.fromarray(page).save(root / f"{number:03}.png")
    build(root, encoder=FakeEncoder())
    sets = retrieval.duplicates(root)

    assert sets.images == 120
    assert sets.compared <= 120 * 50


def test_pairs_measure_whether_copies_are_told_from_others(tmp_path, messy, originals):
    asked, others = tmp_path / "asked", tmp_path / "others"
    asked.mkdir()
    others.mkdir()
    lines = ["query,original"]
    for name in ("coins", "camera"):
        originals[name].resize((120, 120)).save(asked / f"{name}.png")
        lines.append(f"asked/{name}.png,{name}.jpg")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    photograph("moon").save(others / "moon.png")
    with retrieval.open(messy) as photos:
        measured = retrieval.evaluate(
            photos, pairs=tmp_path / "pairs.csv", distractors=others, verify=True, sample=3, progress=False
        )
        best = {ranking.by: ranking for ranking in measured.pairs.rankings}["verified"]

        assert best.micro_ap.value == pytest.approx(1)
        assert best.recall_at_precision_99.value == pytest.approx(1)
        with pytest.raises(OptionError, match="flop"):
            retrieval.evaluate(photos, attacks=["flop"], progress=False)
        with pytest.raises(OptionError, match="missing"):
            retrieval.evaluate(photos, pairs=tmp_path / "missing.csv", progress=False)
