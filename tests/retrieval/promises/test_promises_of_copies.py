"""Hold the search for copies to what was promised of it: doubles are found, told apart and moved, and nothing is lost.

Long because a promise is said and held in one place, with the pictures that all of them share.
"""

import csv
import hashlib
import html.parser
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageOps

import retrieval
from retrieval.errors import OptionError, RetrievalError
from retrieval.testing import FakeEncoder

pytest.importorskip("cv2", reason="pictures are compared by OpenCV")

NAMES = ("astronaut", "chelsea", "coffee", "rocket", "camera", "brick", "coins", "immunohistochemistry")
ODD = (
    "a b.jpg",
    "ünïcode.jpg",
    "new\nline.jpg",
    "-dash.jpg",
    'comma,"quote.jpg',
    "%41.jpg",
    os.fsdecode(b"caf\xe9.jpg"),
)


def photograph(name):
    image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    image.thumbnail((256, 256))
    return image


def command(*words, cwd, text=True):
    return subprocess.run(
        [sys.executable, "-m", "retrieval", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=text,
        timeout=120,
        check=False,
    )


def state(root):
    """Return the bytes, modification time and kind of every file below a folder, its index left out."""
    found = {}
    for path in sorted(root.rglob("*")):
        if ".retrieve" not in path.parts and not path.is_dir():
            facts = path.lstat()
            found[os.fspath(path.relative_to(root))] = (
                os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest(),
                facts.st_mtime_ns,
            )
    return found


def contents(*roots):
    """Return how often each content lies below some folders."""
    found = {}
    for root in roots:
        for name, (content, _) in state(root).items():
            if not name.endswith("undo-moves.jsonl"):
                found[content] = found.get(content, 0) + 1
    return found


def build(root, **options):
    return retrieval.build_index(root, progress=False, **options)


def names(sets):
    return [(one.kind, {image.path for image in one}) for one in sets]


def kind_of(sets, *paths):
    """Return the degrees that some paths, other than the one that stays, have in the one set that holds all of them."""
    holding = [one for one in sets if {image.path for image in one} >= set(paths)]
    assert len(holding) <= 1
    return [image.kind for one in holding for image in one if image.path in paths and image is not one.stays]


@pytest.fixture(scope="module")
def originals():
    return {name: photograph(name) for name in NAMES}


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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


def test_rules_choose_by_the_files(own):
    for number, name in enumerate(["0.jpg", "1.jpg", "2.jpg", "3.jpg"]):
        os.utime(own / name, (1_000_000 + number, 1_000_000 + number))
        os.utime(own / "sub" / name, (2_000_000, 2_000_000))
    build(own)

    assert {image.path for image in retrieval.duplicates(own, keep="oldest").going} == {
        f"sub/{n}.jpg" for n in range(4)
    }
    assert {image.path for image in retrieval.duplicates(own, keep="newest").going} == {
        f"{n}.jpg" for n in range(4)
    }


def test_the_largest_file_stays_if_asked(tmp_path, originals):
    root = tmp_path / "photos"
    root.mkdir()
    originals["coffee"].save(root / "wide.jpg", quality=30)
    originals["coffee"].resize((200, 133)).save(root / "heavy.bmp")
    build(root)

    assert [image.path for image in retrieval.duplicates(root, keep="largest").going] == ["wide.jpg"]
    assert [image.path for image in retrieval.duplicates(root, keep="best").going] == ["heavy.bmp"]


@pytest.mark.parametrize("given", ["relative", "absolute"])
def test_images_of_a_reference_never_go_and_their_own_doubles_are_not_listed(own, given):
    shutil.copy2(own / "sub/0.jpg", own / "sub/0 again.jpg")
    shutil.copy2(own / "alone.jpg", own / "sub/alone 1.jpg")
    (own / "alone.jpg").rename(own / "sub/alone 2.jpg")
    build(own)
    sets = retrieval.duplicates(own, reference=own / "sub" if given == "absolute" else "sub", keep="first")

    assert {image.path for image in sets.going} == {f"{n}.jpg" for n in range(4)}
    assert all("alone" not in image.path for one in sets for image in one)


def test_a_reference_that_is_not_there_is_refused(own):
    with pytest.raises(OptionError, match="sbu"):
        retrieval.duplicates(own, reference="sbu")


def test_what_another_collection_holds_too_is_listed_and_only_here_it_goes(own, messy):
    sets = retrieval.duplicates(own, against=messy)

    assert {image.path for image in sets.going} >= {f"sub/{n}.jpg" for n in range(4)} | {
        f"{n}.jpg" for n in range(4)
    } | {"alone.jpg"}
    assert all(not image.against for image in sets.going)
    assert all(
        any(image.against for image in one) and any(not image.against for image in one) for one in sets
    )

    back = retrieval.duplicates(messy, against=own)
    assert all(not image.against for image in back.going)
    assert {"astronaut.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg", "camera.jpg"} <= {
        image.path for image in back.going
    }
    assert "coins.jpg" not in {image.path for image in back.going}


def test_a_collection_of_another_space_cannot_be_compared(own, tmp_path, originals):
    (tmp_path / "other").mkdir()
    originals["coffee"].save(tmp_path / "other/coffee.jpg")
    retrieval.build_index(tmp_path / "other", encoder=FakeEncoder(), progress=False)

    with pytest.raises(RetrievalError, match="fake"):
        retrieval.duplicates(own, against=tmp_path / "other")


def test_moved_files_are_all_there_and_come_back_as_they_were(own, tmp_path):
    before, everything = state(own), contents(own)
    report = retrieval.duplicates(own).move_to(tmp_path / "doubles")
    assert len(report.moved) == 4
    assert not report.left
    assert contents(own, tmp_path / "doubles") == everything
    assert len(contents(own)) == 5

    back = retrieval.undo_moves(tmp_path / "doubles")
    assert len(back.moved) == 4
    assert state(own) == before
    assert not retrieval.undo_moves(report.undo).left
    assert state(own) == before


def test_a_file_that_lies_where_one_would_move_is_not_overwritten(own, tmp_path):
    going = [image.path for image in retrieval.duplicates(own).going]
    for path in going:
        (tmp_path / "doubles" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "doubles" / path).write_text(f"mine: {path}")
    everything = contents(own, tmp_path / "doubles")
    retrieval.duplicates(own).move_to(tmp_path / "doubles")

    assert contents(own, tmp_path / "doubles") == everything
    assert [(tmp_path / "doubles" / path).read_text() for path in going] == [
        f"mine: {path}" for path in going
    ]


def test_a_file_that_came_to_the_old_place_is_not_overwritten_by_undo(own, tmp_path):
    report = retrieval.duplicates(own).move_to(tmp_path / "doubles")
    gone = min({f"sub/{n}.jpg" for n in range(4)} - set(state(own)))
    (own / gone).write_text("newer")
    back = retrieval.undo_moves(report.undo)

    assert (own / gone).read_text() == "newer"
    assert len(back.left) == 1
    assert len(contents(own, tmp_path / "doubles")) == 6


def test_a_file_that_changed_since_the_build_stays_and_is_named(own, tmp_path):
    sets = retrieval.duplicates(own)
    changed = sets.going[0].path
    (own / changed).write_bytes((own / "alone.jpg").read_bytes())
    report = sets.move_to(tmp_path / "doubles")

    assert len(report.moved) == 3
    assert [path for path, _ in report.left] == [os.fspath(own / changed)]
    assert (own / changed).exists()


def test_a_double_stays_while_the_one_that_should_stay_is_away(own, tmp_path):
    sets = retrieval.duplicates(own)
    (own / sets[0].stays.path).unlink()
    report = sets.move_to(tmp_path / "doubles")

    assert len(report.moved) == 3
    assert len(report.left) == 1
    assert len(contents(own, tmp_path / "doubles")) == 5


def test_the_next_build_takes_what_was_moved_for_moved(tmp_path, messy):
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(15):
        for copy in range(3):
            Image.new("RGB", (40, 40), (number * 16, 80, 255 - number * 16)).save(
                root / f"{number}-{copy}.png"
            )
    build(root)
    report = retrieval.duplicates(root, kinds=["bytes"]).move_to(tmp_path / "doubles")
    assert len(report.moved) == 30
    assert build(root).images == 15
    retrieval.undo_moves(tmp_path / "doubles")

    assert build(root).images == 45


KILLED = """
import os, signal, sys, threading, time
import retrieval
def watch():
    while True:
        moved = sum(len(files) for _, _, files in os.walk(sys.argv[2]))
        if moved >= 8:
            os.kill(os.getpid(), signal.SIGKILL)
sets = retrieval.duplicates(sys.argv[1], kinds=["bytes"])
threading.Thread(target=watch, daemon=True).start()
sets.move_to(sys.argv[2])
time.sleep(5)
"""


@pytest.mark.parametrize("then", ["continued", "undone"])
def test_a_killed_move_is_continued_or_undone(tmp_path, then):
    root, doubles = tmp_path / "photos", tmp_path / "doubles"
    root.mkdir()
    for number in range(30):
        for copy in range(3):
            Image.new("RGB", (24, 24), (number * 8, 80, 255 - number * 8)).save(root / f"{number}-{copy}.png")
    build(root, encoder=FakeEncoder())
    before, everything = state(root), contents(root)
    subprocess.run(
        [sys.executable, "-c", KILLED, root, doubles], capture_output=True, timeout=120, check=False
    )
    assert contents(root, doubles).keys() == everything.keys()
    assert all(count >= everything[content] for content, count in contents(root, doubles).items()), (
        "one may have both names"
    )
    if then == "undone":
        retrieval.undo_moves(doubles)
        assert state(root) == before
    else:
        build(root, encoder=FakeEncoder())
        retrieval.duplicates(root, kinds=["bytes"]).move_to(doubles)
        assert contents(root, doubles) == everything
        assert len(state(root)) == 30
        retrieval.undo_moves(doubles)
        assert state(root) == before


def test_odd_names_are_printed_raw_moved_and_brought_back(tmp_path, messy):
    root = tmp_path / "photos"
    (root / "copies").mkdir(parents=True)
    for name, photo in zip(ODD, NAMES, strict=False):
        shutil.copy2(messy / f"{photo}.jpg", root / "copies" / name)
        shutil.copy2(messy / f"{photo}.jpg", root / f"{photo}.jpg")
    build(root)
    before = state(root)
    printed = command("duplicates", "--index", root, "-0", "--reference", root, cwd=tmp_path, text=False)
    assert (printed.returncode, printed.stdout) == (0, b"")
    moved = command(
        "duplicates",
        "--index",
        root,
        "-0",
        "--keep",
        "first",
        "--move-to",
        "doubles",
        cwd=tmp_path,
        text=False,
    )
    assert moved.returncode == 0, moved.stderr
    paths = [os.fsdecode(path) for path in moved.stdout.split(b"\0")[:-1]]
    assert len(paths) == len(ODD)
    assert set(before) - set(state(root)) == set(paths)
    assert b"undo" in moved.stderr
    undone = command("duplicates", "--undo", "doubles", cwd=tmp_path)
    assert undone.returncode == 0, undone.stderr

    assert state(root) == before


def test_links_to_the_sets_are_links_and_change_nothing(messy, tmp_path, found):
    before = state(messy)
    links = found.link_to(tmp_path / "look")

    assert state(messy) == before
    assert len(links) == sum(len(one) for one in found)
    assert all(link.is_symlink() and link.exists() for link in links)


def test_images_of_an_archive_are_listed_and_not_moved(tmp_path, messy):
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for name in ("camera.jpg", "camera again.jpg", "coins.jpg"):
            archive.add(messy / name, name)
    retrieval.build_index(tmp_path / "photos.tar", index=tmp_path / "index", progress=False)
    sets = retrieval.duplicates(tmp_path / "index")
    assert [kind for kind, _ in names(sets)] == ["bytes"]

    with pytest.raises(OptionError, match=r"photos\.tar"):
        sets.move_to(tmp_path / "doubles")
    refused = command("duplicates", "--index", "index", "--move-to", "doubles", cwd=tmp_path)
    assert refused.returncode in (1, 2)
    assert "photos.tar" in refused.stderr
    assert "Traceback" not in refused.stderr


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


class Pairs(html.parser.HTMLParser):
    """Collect the facts of the pairs that a page of review shows."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes).get("data-pair")
        if facts:
            self.found.append(json.loads(facts))


def test_what_a_person_decided_on_the_page_is_followed(own, tmp_path):
    first = retrieval.duplicates(own)
    first.write_page(tmp_path / "review.html")
    pairs = Pairs((tmp_path / "review.html").read_text()).found
    assert len(pairs) == len(first) == 4
    words = ["second-goes", "first-goes", "keep-both", "different"]
    decided = [{**pair, "decision": word} for pair, word in zip(pairs, words, strict=True)]
    (tmp_path / "decisions.json").write_text(json.dumps({"format": 1, "decisions": decided}))
    sets = retrieval.duplicates(own, ignore=tmp_path / "decisions.json")
    stayed, gone = [one.stays.path for one in first], [one[1].path for one in first]

    assert {image.path for image in sets.going} == {gone[0], stayed[1]}
    assert not any({stayed[3], gone[3]} <= {image.path for image in one} for one in sets)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"format": 99, "decisions": []}', '{"format": 1, "decisions": [{"decision": "explode"}]}'],
)
def test_a_file_that_holds_no_decisions_is_refused_by_name(messy, tmp_path, text):
    (tmp_path / "decisions.json").write_text(text)

    with pytest.raises(OptionError, match=r"decisions\.json"):
        retrieval.duplicates(messy, ignore=tmp_path / "decisions.json")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--kind", "pixel"), "pixels"),
        (("--keep", "smallest"), "largest"),
        (("--precision", "2"), "precision"),
        (("--precision", "nan"), "precision"),
        (("--move-to", "a", "--link-to", "b"), "link-to"),
        (("--undo", "nowhere"), "nowhere"),
        (("--against", "nowhere"), "nowhere"),
        (("--ignore", "nowhere.json"), "nowhere.json"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_it(messy, words, named):
    before = state(messy)
    refused = command("duplicates", "--index", messy, *words, cwd=messy)

    assert refused.returncode in (1, 2)
    assert refused.stdout == ""
    assert named in refused.stderr
    assert len([line for line in refused.stderr.splitlines() if line.startswith("error")]) == 1
    assert state(messy) == before


def test_a_search_that_verifies_puts_the_picture_first_and_says_how_it_lies(messy, originals):
    width, height = originals["coffee"].size
    part = originals["coffee"].crop((width // 2, 0, width, height // 2)).rotate(90, expand=True).convert("L")
    with retrieval.open(messy) as photos:
        hits = photos.search(part, k=6, verify=True)

    assert hits[0].path in ("coffee.jpg", "coffee crop.jpg")
    assert (hits[0].verified, hits[0].relation) == (True, "picture")
    assert hits[0].verified_probability > 0.75
    assert hits.checked >= 6
    assert [hit.verified for hit in hits] == sorted((hit.verified for hit in hits), reverse=True)
    assert not any(hit.verified for hit in hits if not hit.path.startswith("coffee"))
    whole = next(hit for hit in hits if hit.path == "coffee.jpg")
    assert np.allclose(
        sorted(map(tuple, np.round(whole.outline, 1))), [(0.5, 0), (0.5, 0.5), (1, 0), (1, 0.5)], atol=0.11
    )


def test_a_search_that_verifies_finds_the_part_of_the_picture_that_it_asks_with(messy, originals):
    canvas = Image.new("RGB", (360, 300), (40, 90, 60))
    canvas.paste(originals["rocket"].resize((240, 160)), (60, 80))
    with retrieval.open(messy) as photos:
        hits = photos.search(canvas, k=14, verify=14)
        unlooked = photos.search(canvas, k=14, verify=3)

    assert hits[0].path in ("rocket.jpg", "rocket turned.jpg")
    assert hits[0].verified
    assert all(hit.verified is not None for hit in hits)
    assert sum(hit.verified is None for hit in unlooked) >= len(unlooked) - 3


def test_what_verification_says_is_printed_as_json(messy, tmp_path, originals):
    ImageOps.mirror(originals["coins"]).save(tmp_path / "asked.png")
    answer = command(
        "query", tmp_path / "asked.png", "--index", messy, "--verify", "-k", 3, "--json", cwd=tmp_path
    )
    assert answer.returncode == 0, answer.stderr
    first = json.loads(answer.stdout)[0]

    assert (first["path"], first["verified"], first["relation"]) == ("coins.jpg", True, "picture")
    assert 0.9 < first["verified_probability"] <= 1
    assert len(first["outline"]) == 4
    words = command("query", "a cup", "--index", messy, "--verify", "--json", cwd=tmp_path)
    assert words.returncode in (1, 2)
    assert "Traceback" not in words.stderr


def test_views_are_counted_as_images_only(tmp_path, messy, originals):
    root = tmp_path / "photos"
    root.mkdir()
    for name in NAMES[:5]:
        shutil.copy2(messy / f"{name}.jpg", root / f"{name}.jpg")
    build(root)
    with retrieval.open(root) as plain:
        vectors, keys = plain.export()
    report = build(root, views=4)
    assert report.images == 5
    with retrieval.open(root) as photos:
        again, names_again = photos.export()
        assert len(photos) == 5
        assert names_again == keys
        assert np.array_equal(again, vectors)
        assert photos.vectors().shape == vectors.shape
        assert photos.mask().shape == (5,)
        assert len(photos.row_ids()) == 5
        assert photos.info()["images"] == 5
        hits = photos.search(originals["astronaut"], k=50)
        assert sorted(hit.path for hit in hits) == sorted(keys)
        width, height = originals["astronaut"].size
        part = photos.search(originals["astronaut"].crop((width // 2, height // 2, width, height)), k=50)
        assert sorted(hit.path for hit in part) == sorted(keys)
        assert part[0].path == "astronaut.jpg"
        left, top, wide, high = part[0].region
        assert left + wide / 2 > 0.5
        assert top + high / 2 > 0.5
        assert all(check.ok for check in photos.verify())
        assert photos.search(originals["coffee"], k=50, glob="c*.jpg")[0].path == "coffee.jpg"


def test_views_follow_their_images_and_refuse_an_upgrade_by_name(tmp_path, messy, originals):
    root = tmp_path / "photos"
    root.mkdir()
    for name in NAMES[:4]:
        shutil.copy2(messy / f"{name}.jpg", root / f"{name}.jpg")
    build(root, views=4, encoder="nano@1")
    (root / "sub").mkdir()
    (root / "coffee.jpg").rename(root / "sub/moved.jpg")
    (root / "rocket.jpg").unlink()
    moved = build(root)
    assert moved.encoded == 0
    width, height = originals["coffee"].size
    with retrieval.open(root) as photos:
        hits = photos.search(originals["coffee"].crop((0, 0, width // 2, height // 2)), k=9)
        assert hits[0].path == "sub/moved.jpg"
        assert {hit.path for hit in hits} == {"astronaut.jpg", "chelsea.jpg", "sub/moved.jpg"}
    with pytest.raises(OptionError, match="views"):
        retrieval.upgrade(root, encoder="nano", progress=False)
    build(root, views=0)
    with retrieval.open(root) as photos:
        assert photos.search(originals["coffee"])[0].region is None


@pytest.mark.parametrize("count", [-1, 1.5, True])
def test_an_impossible_number_of_views_is_refused_and_nothing_is_made(tmp_path, originals, count):
    originals["coffee"].save(tmp_path / "coffee.jpg")

    with pytest.raises((OptionError, TypeError), match="views"):
        build(tmp_path, views=count)
    assert not (tmp_path / ".retrieve").exists()


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
