"""Which of a set stays: by rules, by a reference, by another collection, by a person's decision."""

from __future__ import annotations

import html.parser
import json
import os
import shutil

import pytest

import retrieval
from retrieval.errors import OptionError, RetrievalError
from retrieval.testing import FakeEncoder
from tests.command_line import command
from tests.retrieval.promises.copies.photographs import (
    build,
    state,
)


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
