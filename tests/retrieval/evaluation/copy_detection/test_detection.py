"""Queries whose originals are known are searched, normalised, checked and listed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.errors import OptionError
from retrieval.evaluation.attacks import attack
from retrieval.evaluation.copy_detection.candidates import in_background
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture
from tests.retrieval.pictures import scene

ENCODER = FakeEncoder()
NAMES = [f"{number:02}.png" for number in range(20)]


@pytest.fixture
def photos(tmp_path: Path) -> retrieval.Collection:
    """Twenty pictures, one of them twice."""
    folder = fill(tmp_path / "photos", NAMES)
    (folder / "twice.png").write_bytes((folder / "03.png").read_bytes())
    retrieval.build_index(folder, encoder=ENCODER)
    with retrieval.open(folder, encoder=ENCODER) as collection:
        yield collection


def queries(folder: Path, *names: str, way: str = "jpeg 50") -> Path:
    """Write an altered copy of some pictures into a folder."""
    folder.mkdir(exist_ok=True)
    for name in names:
        attack(way, picture(NAMES.index(name)), seed=0).save(folder / name)
    return folder


def table(path: Path, *lines: str, header: str = "query,original") -> Path:
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def test_copies_are_found_and_others_are_not(photos: retrieval.Collection, tmp_path: Path) -> None:
    queries(tmp_path / "asked", *NAMES[:6])
    others = fill(tmp_path / "others", [f"{n}.png" for n in range(5)], first=100)
    path = table(tmp_path / "pairs.csv", *(f"asked/{name},{name}" for name in NAMES[:6]))
    report = retrieval.evaluate(photos, pairs=path, distractors=others).pairs

    assert (report.queries, report.pairs, report.distractors, report.depth) == (6, 6, 5, 50)
    assert report.recall_at_depth == 1
    (ranking,) = report.rankings
    assert (ranking.by, ranking.normalised) == ("cosine", False)
    assert ranking.micro_ap.value == ranking.recall_at_precision_99.value == ranking.recall_at_1.value == 1
    assert (ranking.micro_ap.low, ranking.micro_ap.high) == (1, 1)
    assert (report.missed, report.mistaken) == ([], [])


def test_a_wrong_original_is_listed_with_what_was_taken_for_it(
    photos: retrieval.Collection, tmp_path: Path
) -> None:
    queries(tmp_path, "00.png", "01.png")
    path = table(tmp_path / "pairs.csv", "00.png,00.png", "01.png,09.png")
    report = retrieval.evaluate(photos, pairs=path).pairs
    wrong = report.mistaken[0]

    assert report.rankings[0].recall_at_1.value == 0.5
    assert report.missed[0].row == "09.png"
    assert (Path(wrong.query).name, wrong.row, wrong.place) == ("01.png", "01.png", 1)
    found = [hit.path for hit in photos.search(tmp_path / "01.png", k=21)]
    assert report.missed[0].place == 1 + found.index("09.png")


def test_exact_copies_count_once_and_the_query_itself_does_not(
    photos: retrieval.Collection, tmp_path: Path
) -> None:
    """`03.png` is there twice: either is right. A query that lies in the collection does not find itself."""
    queries(tmp_path, "03.png")
    own = photos.root / "05.png"
    path = table(tmp_path / "pairs.csv", "03.png,03.png", "03.png,twice.png", f"{own},06.png")
    report = retrieval.evaluate(photos, pairs=path).pairs

    assert (report.queries, report.pairs) == (2, 2)
    assert report.rankings[0].recall_at_1.value == 0.5
    assert not [pair for pair in report.mistaken if pair.row == "05.png" and pair.query == str(own)]


def test_odd_lines_are_taken_or_told(photos: retrieval.Collection, tmp_path: Path) -> None:
    queries(tmp_path / "asked", *NAMES[:5])
    (tmp_path / "asked" / "broken.png").write_bytes(b"no image")
    path = tmp_path / "pairs.csv"
    lines = [
        f"asked/00.png,{photos.root / '00.png'}",  # an absolute original
        f"{tmp_path / 'asked' / '01.png'},photos/01.png",  # an absolute query; an original beside the CSV file
        "asked/02.png,./02.png",
        "asked/02.png,./02.png",  # twice
        "asked/03.png,gone.png",  # no such original
        "asked/04.png,",  # no original
        "asked/04.png",  # the same, without a comma
        "asked/away.png,04.png",  # no such file
        "asked/broken.png,05.png",
        ",06.png",
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(["query,original,remark", *lines]).encode())
    report = retrieval.evaluate(photos, pairs=path).pairs

    assert (report.queries, report.pairs, report.distractors) == (3, 3, 1)
    assert report.rankings[0].recall_at_1.value == 1
    assert report.unknown == [("asked/03.png", "gone.png")]
    assert report.repeated == 2
    assert sorted((Path(file).name, reason) for file, reason in report.unreadable) == [
        ("away.png", "vanished"),
        ("broken.png", "unreadable"),
    ]


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        (["a.png,gone.png"], "query,original", "names no original of the collection"),
        (["a.png,00.png"], "query:original", "expected the header query,original, found query:original"),
        (["a.png,00.png"], "query,original", "no query with an original can be read; .*a.png: vanished"),
    ],
)
def test_files_of_pairs_that_are_of_no_use_are_refused(
    photos: retrieval.Collection, tmp_path: Path, lines: list[str], header: str, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        retrieval.evaluate(photos, pairs=table(tmp_path / "pairs.csv", *lines, header=header))


def test_options_that_need_others_say_so(photos: retrieval.Collection, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="`distractors` goes with queries"):
        retrieval.evaluate(photos, distractors=tmp_path)
    with pytest.raises(OptionError, match="`verify` checks the hits of altered copies"):
        retrieval.evaluate(photos, verify=True)
    queries(tmp_path, "00.png")
    path = table(tmp_path / "pairs.csv", "00.png,00.png")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(OptionError, match="cannot be listed"):
        retrieval.evaluate(photos, pairs=path, distractors=tmp_path / "missing")
    with pytest.raises(OptionError, match="no image is in it"):
        retrieval.evaluate(photos, pairs=path, distractors=empty)
    with pytest.raises(OptionError, match="all its images are in the collection"):
        retrieval.evaluate(photos, pairs=path, background=photos.root)


def test_what_the_collection_has_is_no_distractor(photos: retrieval.Collection, tmp_path: Path) -> None:
    queries(tmp_path, "00.png")
    others = fill(tmp_path / "others", ["x.png"], first=100)
    (others / "known.png").write_bytes((photos.root / "07.png").read_bytes())
    path = table(tmp_path / "pairs.csv", "00.png,00.png")
    report = retrieval.evaluate(photos, pairs=path, distractors=others).pairs

    assert (report.distractors, report.in_the_collection) == (1, 1)


def test_a_background_lowers_queries_that_are_near_to_everything() -> None:
    rng = np.random.default_rng(0)
    ground = rng.standard_normal((50, 16)) + 3
    ground /= np.linalg.norm(ground, axis=1, keepdims=True)
    asked = np.stack([ground.mean(axis=0), np.r_[-1.0, 1.0, np.zeros(14)]]).astype(np.float32)
    lowered = in_background(asked, ground.astype(np.float32))
    best = np.sort(asked @ ground.T, axis=1)[:, -3:].mean(axis=1)

    np.testing.assert_allclose(lowered, best, rtol=1e-5)
    assert lowered[0] > lowered[1]


def test_scores_are_normalised_with_a_background(photos: retrieval.Collection, tmp_path: Path) -> None:
    queries(tmp_path, *NAMES[:4])
    ground = fill(tmp_path / "ground", [f"{n}.png" for n in range(8)], first=200)
    path = table(tmp_path / "pairs.csv", *(f"{name},{name}" for name in NAMES[:4]))
    report = retrieval.evaluate(photos, pairs=path, background=ground).pairs

    assert report.background == 8
    assert [(one.by, one.normalised) for one in report.rankings] == [("cosine", False), ("cosine", True)]
    assert report.rankings[1].recall_at_1 == report.rankings[0].recall_at_1
    assert report.rankings[1].threshold_90 < report.rankings[0].threshold_90


class TestVerified:
    @pytest.fixture
    def scenes(self, tmp_path: Path) -> retrieval.Collection:
        folder = tmp_path / "scenes"
        folder.mkdir()
        for seed in range(8):
            textured(seed).save(folder / f"{seed}.png")
        retrieval.build_index(folder, encoder=ENCODER)
        with retrieval.open(folder, encoder=ENCODER) as collection:
            yield collection

    def test_verified_pairs_come_first(self, scenes: retrieval.Collection, tmp_path: Path) -> None:
        pytest.importorskip("cv2", reason="OpenCV comes with the extra verify")
        for seed in range(8):
            attack("crop 0.2", textured(seed), seed=0).save(tmp_path / f"{seed}.png")
        path = table(tmp_path / "pairs.csv", *(f"{seed}.png,{seed}.png" for seed in range(8)))
        report = retrieval.evaluate(scenes, pairs=path, verify=True).pairs
        plain, checked = report.rankings

        assert (plain.by, checked.by) == ("cosine", "verified")
        assert report.checked == 64
        assert checked.micro_ap.value == checked.recall_at_1.value == 1  # usually 0.3 without the check
        assert plain.micro_ap.value < 0.9
        report.write_page(tmp_path / "page.html")
        assert "No copy was missed" in (tmp_path / "page.html").read_text()

    def test_attacks_are_checked_too(self, scenes: retrieval.Collection) -> None:
        pytest.importorskip("cv2", reason="OpenCV comes with the extra verify")
        report = retrieval.evaluate(scenes, attacks="crop 0.2", verify=8)
        found = {row["stage"]: row["original"] for row in report.attacks if row["measure"] == "recall_at_1"}

        assert found["verified"] == 1
        assert found["verified"] > found["served"]


def textured(seed: int):
    """Return a picture with corners to find."""
    rng = np.random.default_rng(seed)
    image = scene(200, 160, seed=seed)
    for _ in range(60):
        box = rng.integers(4, 30, 2)
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        place = rng.integers(0, 170), rng.integers(0, 130)
        image.paste(colour, (int(place[0]), int(place[1]), int(place[0] + box[0]), int(place[1] + box[1])))
    return image


def test_the_page_shows_the_worst_pairs(photos: retrieval.Collection, tmp_path: Path) -> None:
    queries(tmp_path, "00.png", "01.png")
    path = table(tmp_path / "pairs.csv", "00.png,00.png", "01.png,09.png")
    report = retrieval.evaluate(photos, pairs=path).pairs
    report.write_page(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()

    assert page.count("<figure>") == 2 * (len(report.missed) + len(report.mistaken))
    assert 'href="photos/09.png"' in page
    assert "Originals that were missed" in page
    assert page.count("data:image/jpeg") >= page.count("<figure>")


def test_names_that_are_no_unicode_reach_json(photos: retrieval.Collection, tmp_path: Path) -> None:
    odd = os.fsdecode(b"o\xff.png")
    queries(tmp_path, "01.png")
    (tmp_path / "01.png").rename(tmp_path / odd)
    path = tmp_path / "pairs.csv"
    path.write_bytes(b"query,original\no\xff.png,09.png\n")
    facts = retrieval.evaluate(photos, pairs=path).to_json()

    text = json.dumps(facts)
    assert "o%FF.png" in text
    assert text.isascii()
