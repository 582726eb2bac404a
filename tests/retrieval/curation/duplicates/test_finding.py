"""Sets of duplicates: by bytes, pixels and picture; who stays; what is left out."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest

import retrieval
from retrieval.curation.duplicates import KINDS, Decision, write_decisions
from retrieval.curation.duplicates.judgements.decisions import Judged
from retrieval.errors import OptionError, SpaceMismatch
from retrieval.testing import FakeEncoder
from tests.retrieval.curation.duplicates.photographs import photograph


def shown(found: retrieval.Duplicates) -> list[tuple[str, list[str]]]:
    """Return kind and paths of each set, those that could go with a minus."""
    return [(one.kind, [("" if image.keep else "-") + image.path for image in one]) for one in found]


def test_each_degree_finds_its_own(folder: Path) -> None:
    assert shown(retrieval.duplicates(folder, kinds=("bytes",))) == [
        ("bytes", ["0.jpg", "-exports/0 copy.jpg"])
    ]
    assert shown(retrieval.duplicates(folder, kinds=("bytes", "pixels"))) == [
        ("bytes", ["0.jpg", "-exports/0 copy.jpg"]),
        ("pixels", ["1.jpg", "-exports/1.png"]),
    ]
    assert shown(retrieval.duplicates(folder)) == [
        ("bytes", ["0.jpg", "-exports/0 copy.jpg"]),
        ("pixels", ["1.jpg", "-exports/1.png"]),
        ("picture", ["2.jpg", "-exports/2-small.jpg"]),
        ("picture", ["3.jpg", "-exports/3-bright.jpg"]),
    ]


def test_links_of_other_sets_are_not_mixed(folder: Path, tmp_path: Path) -> None:
    pixels = retrieval.duplicates(folder, kinds=("pixels",))
    made = pixels.link_to(tmp_path / "links")

    assert pixels.link_to(tmp_path / "links") == made
    with pytest.raises(OptionError, match="links of other sets"):
        retrieval.duplicates(folder).link_to(tmp_path / "links")
    assert sorted(made) == sorted((tmp_path / "links").glob("*/*"))


def test_a_set_holds_all_degrees_of_one_picture(folder: Path) -> None:
    shutil.copy2(folder / "2.jpg", folder / "again.jpg")
    shutil.copy2(folder / "exports" / "2-small.jpg", folder / "exports" / "2-smaller.jpg")
    retrieval.build_index(folder, encoder=FakeEncoder())

    (one,) = [found for found in retrieval.duplicates(folder) if found.stays.path == "2.jpg"]

    assert [(image.path, image.kind, image.keep) for image in one] == [
        ("2.jpg", "picture", True),
        ("again.jpg", "bytes", False),
        ("exports/2-small.jpg", "picture", False),
        ("exports/2-smaller.jpg", "picture", False),
    ]


@pytest.mark.parametrize(
    ("rule", "stays", "reason"),
    [
        ("best", "2.jpg", "most pixels: 240 × 180"),
        ("largest", "2.jpg", "the largest file"),
        ("oldest", "exports/2-small.jpg", "the oldest file"),
        ("newest", "2.jpg", "the newest file"),
        ("first", "2.jpg", "the first in the collection"),
    ],
)
def test_who_stays(folder: Path, rule: str, stays: str, reason: str) -> None:
    os.utime(folder / "exports" / "2-small.jpg", (1, 1))
    retrieval.build_index(folder, encoder=FakeEncoder())

    (one,) = [
        found
        for found in retrieval.duplicates(folder, keep=rule)
        if "2.jpg" in {image.path for image in found}
    ]

    assert (one.stays.path, one.stays.reason) == (stays, reason)


def test_the_better_of_two_compressions_stays(folder: Path) -> None:
    photograph(9).save(folder / "a.jpg", quality=30)
    photograph(9).save(folder / "b-with-a-longer-name.jpg", quality=95)
    retrieval.build_index(folder, encoder=FakeEncoder())

    (one,) = [found for found in retrieval.duplicates(folder) if "a.jpg" in {image.path for image in found}]

    assert (one.stays.path, one.stays.reason) == ("b-with-a-longer-name.jpg", "least compressed")


def test_a_reference_never_goes_and_alone_is_not_listed(folder: Path) -> None:
    (folder / "reference").mkdir()
    shutil.copy2(folder / "4.jpg", folder / "reference" / "a very long name.jpg")
    for name in ("x.jpg", "y.jpg"):
        photograph(7).save(folder / "reference" / name)
    retrieval.build_index(folder, encoder=FakeEncoder())

    found = retrieval.duplicates(folder, kinds=("bytes",), reference="reference")

    assert shown(found) == [
        ("bytes", ["0.jpg", "-exports/0 copy.jpg"]),
        ("bytes", ["reference/a very long name.jpg", "-4.jpg"]),
    ]
    assert found[1].stays.reason == "in a reference folder"


def test_a_reference_without_an_image_is_refused(folder: Path) -> None:
    with pytest.raises(OptionError, match="no image of the collection lies there"):
        retrieval.duplicates(folder, reference="nowhere")


def test_what_another_collection_holds_too(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "test set"
    other.mkdir()
    shutil.copy2(folder / "4.jpg", other / "leak.jpg")
    photograph(5).resize((160, 120)).save(other / "smaller.jpg")
    photograph(17).save(other / "own.jpg")
    shutil.copy2(other / "own.jpg", other / "own twice.jpg")
    retrieval.build_index(other, encoder=FakeEncoder())

    found = retrieval.duplicates(folder, against=other)

    assert shown(found) == [("bytes", ["leak.jpg", "-4.jpg"]), ("picture", ["smaller.jpg", "-5.jpg"])]
    assert [[image.against for image in one] for one in found] == [[True, False], [True, False]]
    assert found.to_json()["sets"][0]["images"][0]["collection"] == "against"
    assert {one.stays.reason for one in found} == {"in the other collection"}


def test_a_file_that_both_collections_have_never_goes(folder: Path, tmp_path: Path) -> None:
    shutil.copy2(folder / "4.jpg", folder / "4 again.jpg")
    retrieval.build_index(folder, encoder=FakeEncoder())
    shutil.copytree(folder / ".retrieve", tmp_path / "other")

    with retrieval.open(tmp_path / "other", root=folder) as other:
        found = retrieval.duplicates(folder, against=other)

    assert not found.going


def test_a_file_that_changed_since_the_other_collection_was_built_never_goes(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / ".retrieve", tmp_path / "other")
    photograph(2).resize((100, 75)).save(folder / "2.jpg", quality=70)  # smaller than its export now
    retrieval.build_index(folder, encoder=FakeEncoder())

    with retrieval.open(tmp_path / "other", root=folder) as other:
        found = retrieval.duplicates(folder, against=other)

    assert not found.going


def test_another_space_is_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    photograph(1).save(other / "a.png")
    retrieval.build_index(other, encoder=FakeEncoder(dim=32))

    with pytest.raises(SpaceMismatch, match="same encoder"):
        retrieval.duplicates(folder, against=other)


def test_what_several_splits_hold(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for split, numbers in {"train": (1, 2, 3), "test": (3, 4)}.items():
        (photos / split).mkdir(parents=True)
        for number in numbers:
            photograph(number).save(photos / split / f"{number}.png")
    shutil.copy2(photos / "train" / "1.png", photos / "train" / "1 again.png")
    listing = tmp_path / "images.csv"
    lines = [f"{path},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    listing.write_text("\n".join(["path,split", *lines]) + "\n")
    retrieval.build_index(listing, index=tmp_path / "index", encoder=FakeEncoder(), column=["split"])

    found = retrieval.duplicates(tmp_path / "index", splits="split")

    assert [(one.kind, sorted(image.split for image in one)) for one in found] == [
        ("bytes", ["test", "train"])
    ]
    with pytest.raises(OptionError, match="has a column 'fold'"):
        retrieval.duplicates(tmp_path / "index", splits="fold")


def test_a_person_said_that_both_stay_or_which_goes(folder: Path, tmp_path: Path) -> None:
    found = {one.kind: one for one in retrieval.duplicates(folder)}
    judged = {kind: [Judged(image.path, image.content) for image in one] for kind, one in found.items()}
    write_decisions(
        tmp_path,
        [
            Decision(first=judged["bytes"][0], second=judged["bytes"][1], word="keep-both"),
            Decision(first=judged["pixels"][0], second=judged["pixels"][1], word="first-goes"),
            Decision(first=judged["picture"][0], second=judged["picture"][1], word="different"),
        ],
    )

    after = retrieval.duplicates(folder, ignore=tmp_path / "decisions" / "duplicates.json")

    left = [one for one in shown(retrieval.duplicates(folder)) if one[0] == "picture"]
    stays = [one for one in left if one[1][0] != judged["picture"][0].path]
    assert shown(after) == [("pixels", ["exports/1.png", "-1.jpg"]), *stays]
    assert after[0].stays.reason == "you decided so"


def test_decisions_that_the_collection_keeps_are_followed(folder: Path) -> None:
    one = retrieval.duplicates(folder, kinds=("bytes",))[0]
    pair = [Judged(image.path, image.content) for image in one]

    write_decisions(folder / ".retrieve", [Decision(first=pair[0], second=pair[1], word="different")])

    assert len(retrieval.duplicates(folder, kinds=("bytes",))) == 0


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1, "decisions": [{}]}', '{"format": 1, "decisions": 3}', "\x00"]
)
def test_something_else_than_decisions_is_refused(folder: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "decisions.json"
    path.write_text(text)

    with pytest.raises(OptionError, match="holds no decisions"):
        retrieval.duplicates(folder, ignore=path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ("byte",)}, "give some of bytes, pixels, picture, scene"),
        ({"kinds": ()}, "give some of"),
        ({"keep": "prettiest"}, "choose one of best"),
        ({"precision": 2.0}, "give 0.5 to 0.999"),
        ({"against": ".", "splits": "x"}, "exclude each other"),
    ],
)
def test_values_that_cannot_be(folder: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        retrieval.duplicates(folder, **options)


def test_two_names_of_one_file_are_no_duplicates(folder: Path) -> None:
    (folder / "link.jpg").symlink_to("4.jpg")
    retrieval.build_index(folder, encoder=FakeEncoder(), follow_links=True)

    paths = {image.path for one in retrieval.duplicates(folder) for image in one}

    assert "link.jpg" not in paths


def test_images_that_cannot_be_read_are_counted(folder: Path) -> None:
    (folder / "exports" / "2-small.jpg").write_bytes(b"broken")

    found = retrieval.duplicates(folder)

    assert found.unread == 1
    assert found.unread_named == ("exports/2-small.jpg",)


def test_what_was_found_is_kept_and_may_be_deleted(folder: Path) -> None:
    first = retrieval.duplicates(folder)
    again = retrieval.duplicates(folder)
    shutil.rmtree(folder / ".retrieve" / "duplicates")
    anew = retrieval.duplicates(folder)

    assert shown(first) == shown(again) == shown(anew)
    assert first.compared == anew.compared > 0
    assert again.compared == 0


def test_damaged_results_are_made_again(folder: Path) -> None:
    first = retrieval.duplicates(folder)
    (folder / ".retrieve" / "duplicates" / "results.sqlite").write_bytes(b"damaged" * 1000)

    assert shown(retrieval.duplicates(folder)) == shown(first)


def test_json_and_csv_name_every_image(folder: Path) -> None:
    shutil.copy2(folder / "5.jpg", os.fsdecode(os.path.join(os.fsencode(folder), b'odd\n"\xff,.jpg')))
    retrieval.build_index(folder, encoder=FakeEncoder())
    found = retrieval.duplicates(folder)

    facts = json.loads(json.dumps(found.to_json()))
    rows = list(csv.DictReader(io.StringIO(found.to_csv(), newline="")))

    paths = [image["path"] for one in facts["sets"] for image in one["images"]]
    assert facts["kinds"] == list(KINDS)
    assert [row["path"] for row in rows] == paths
    assert "odd%0A%22%FF%2C.jpg" in paths
    assert {row["keep"] for row in rows} == {"yes", "no"}


def test_a_move_and_the_next_build(folder: Path, tmp_path: Path) -> None:
    for number in range(30):
        shutil.copy2(folder / "4.jpg", folder / f"4 ({number}).jpg")
    retrieval.build_index(folder, encoder=FakeEncoder())
    before = {path.name for path in folder.rglob("*.*g")}
    found = retrieval.duplicates(folder, kinds=("bytes",))

    report = found.move_to(tmp_path / "away")

    assert len(report.moved) == 31
    assert retrieval.build_index(folder, encoder=FakeEncoder()).removed == 31
    retrieval.undo_moves(report.undo)
    assert {path.name for path in folder.rglob("*.*g")} == before
    assert retrieval.build_index(folder, encoder=FakeEncoder()).removed == 0
    assert shown(retrieval.duplicates(folder, kinds=("bytes",))) == shown(found)


def test_a_lost_drive_is_still_noticed_after_a_move(folder: Path, tmp_path: Path) -> None:
    for number in range(30):
        photograph(100 + number).save(folder / f"own {number}.png")
    retrieval.build_index(folder, encoder=FakeEncoder())
    retrieval.duplicates(folder, kinds=("bytes",)).move_to(tmp_path / "away")
    for path in folder.glob("own *.png"):
        path.unlink()

    with pytest.raises(retrieval.errors.PruneRefused):
        retrieval.build_index(folder, encoder=FakeEncoder())


def test_images_of_an_archive_are_refused_by_name_and_listed(folder: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for path in sorted(folder.rglob("*.*g")):
            archive.add(path, path.relative_to(folder).as_posix())
    retrieval.build_index(tmp_path / "photos.tar", index=tmp_path / "index", encoder=FakeEncoder())
    found = retrieval.duplicates(tmp_path / "index")

    assert [kind for kind, _ in shown(found)] == ["bytes", "pixels", "picture", "picture"]
    with pytest.raises(OptionError, match=r"exports/0 copy\.jpg.*cannot be moved"):
        found.move_to(tmp_path / "away")
    with pytest.raises(OptionError, match="nothing to link to"):
        found.link_to(tmp_path / "links")
    assert not (tmp_path / "away").exists()


def test_links_for_looking(folder: Path, tmp_path: Path) -> None:
    found = retrieval.duplicates(folder, kinds=("bytes",))

    made = found.link_to(tmp_path / "links")

    assert [os.path.relpath(path, tmp_path) for path in made] == [
        "links/0001/keep-0.jpg",
        "links/0001/0 copy.jpg",
    ]
    assert [os.readlink(path) for path in made] == [
        str(folder / "0.jpg"),
        str(folder / "exports" / "0 copy.jpg"),
    ]
