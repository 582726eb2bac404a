"""Hold upgrades to what was promised: there is always a path to the new encoder, and everything is found on the way.

Long because a promise is said and held in one place, with the pictures and encoders that all of them share.
"""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.errors import OptionError, RetrievalError
from retrieval.testing import FakeEncoder
from tests.command_line import command

COUNT = 120


class Old(FakeEncoder):
    """See colours only coarsely: a narrow projection, so that a wider encoder finds more."""

    def __init__(self):
        super().__init__(name="old", dim=6)


class New(FakeEncoder):
    def __init__(self):
        super().__init__(name="new", dim=48)


class Third(FakeEncoder):
    def __init__(self):
        super().__init__(name="third", dim=64)


def write(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((32, 32), Image.Resampling.BICUBIC).save(path)


def picture(path):
    with Image.open(path) as opened:
        return opened.convert("RGB")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a folder with its index by the old encoder; tests copy it."""
    root = tmp_path_factory.mktemp("built") / "photos"
    for number in range(COUNT):
        write(root / f"f{number % 3}" / f"{number:03}.png", seed=number)
    retrieval.build_index(root, encoder=Old(), progress=False)
    return root


@pytest.fixture
def photos(tmp_path, built):
    return shutil.copytree(built, tmp_path / "photos")


def upgrade(root, *, old=Old, new=New, **options):
    return retrieval.upgrade(
        root, encoder=new(), old_encoder=old(), sample=options.pop("sample", 80), progress=False, **options
    )


def backfill(root, count=None, new=New):
    return retrieval.backfill(root, count=count, encoder=new(), progress=False)


def asked(root, encoder, query, **options):
    with retrieval.open(root, encoder=encoder()) as opened:
        return opened.search(query, **options)


def tree(root):
    """Return the bytes of every file below a folder, but for locks."""
    return {
        os.fspath(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith("lock")
    }


def found_itself(root, encoder, step=7):
    """Return the share of pictures that find themselves first."""
    paths = sorted(root.rglob("*.png"))[::step]
    with retrieval.open(root, encoder=encoder()) as opened:
        return float(
            np.mean(
                [
                    opened.search(picture(path), k=1)[0].path == os.fspath(path.relative_to(root))
                    for path in paths
                ]
            )
        )


def answering(root):
    """Return the encoder whose queries a collection takes."""
    with retrieval.open(root) as opened:
        return {"old": Old, "new": New, "third": Third}[opened.space.name]


def test_an_upgrade_ends_with_a_plan_and_what_each_way_costs(photos):
    report = upgrade(photos)

    assert report.plan in ("map", "reencode")
    assert report.recorded
    assert report.sample <= 80
    assert report.backfilled + report.remaining == COUNT
    assert {way["plan"] for way in report.ways} >= {"reencode"}
    told = json.loads(json.dumps(report.to_json()))
    assert {
        "old",
        "new",
        "plan",
        "method",
        "compatible",
        "sample",
        "held_out",
        "methods",
        "backfilled",
        "remaining",
    } <= set(told)
    for method in told["methods"]:
        assert {
            "method",
            "old_old",
            "new_old",
            "new_new",
            "gain",
            "regression_rate",
            "map_microseconds",
        } <= set(method)


@pytest.mark.parametrize("method", ["auto", "reencode"])
def test_pictures_find_themselves_at_every_step(photos, method):
    upgrade(photos, method=method)
    shares = [found_itself(photos, answering(photos))]
    for _ in range(3):
        backfill(photos, 10)
        shares.append(found_itself(photos, answering(photos)))
    assert backfill(photos).complete
    shares.append(found_itself(photos, New))

    assert min(shares) >= 0.9
    assert shares[-1] == 1


def test_the_end_is_what_the_new_encoder_would_have_built(photos, tmp_path):
    with retrieval.open(photos, encoder=Old()) as opened:
        ids = {key: opened.id_of(key) for key in list(opened.keys())}
    upgrade(photos)
    report = backfill(photos)
    assert (report.complete, report.remaining) == (True, 0)
    retrieval.build_index(photos, index=tmp_path / "fresh", encoder=New(), progress=False)
    with (
        retrieval.open(photos, encoder=New()) as opened,
        retrieval.open(tmp_path / "fresh", encoder=New()) as fresh,
    ):
        assert opened.space == fresh.space
        assert {key: opened.id_of(key) for key in list(opened.keys())} == ids
        by_key = dict(zip(*reversed(fresh.export()), strict=True))
        for vector, key in zip(*opened.export(), strict=True):
            assert np.array_equal(vector, by_key[key])
        assert all(check.ok for check in opened.verify())


def test_the_old_encoder_answers_as_before_until_the_last_image(photos):
    query = photos / "f0/003.png"
    before = [(hit.id, hit.score) for hit in asked(photos, Old, query, k=20)]
    report = upgrade(photos, method="reencode")
    assert (report.plan, report.state) == ("reencode", "reencoding")
    while True:
        assert [(hit.id, hit.score) for hit in asked(photos, Old, query, k=20)] == before
        done = backfill(photos, 25)
        if done.complete:
            break

    assert answering(photos) is New


@pytest.mark.parametrize("method", ["auto", "reencode"])
def test_filters_hold_while_the_encoder_changes(photos, method):
    every = [
        {"under": "f1"},
        {"glob": "f?/00*.png"},
        {"where": "width >= 32"},
        {"ids": ["f0/003.png", "f1/004.png", "f2/005.png"]},
    ]
    options = {"k": COUNT, "include_self": True}
    expected = [
        {hit.path for hit in asked(photos, Old, photos / "f0/000.png", **options, **filters)}
        for filters in every
    ]
    assert [len(paths) for paths in expected] == [40, 10, 120, 3]
    upgrade(photos, method=method)
    backfill(photos, 13)
    with retrieval.open(photos, encoder=answering(photos)()) as opened:
        for filters, paths in zip(every, expected, strict=True):
            hits = opened.search(photos / "f0/000.png", **options, **filters)
            mask = opened.mask(**filters)

            assert {hit.path for hit in hits} == paths
            assert hits.searched == int(mask.sum()) == len(paths)
            assert {hit.path for hit in opened.search(photos / "f0/000.png", **options, mask=mask)} == paths


def test_hits_of_a_mixed_gallery_are_ordered_by_one_scale_and_scored_in_their_own_space(photos):
    upgrade(photos, method="procrustes", force=True)
    backfill(photos, 20)
    path = photos / "f1/001.png"
    hits = asked(photos, New, picture(path), k=COUNT)
    scale = [hit.ranked_by for hit in hits]

    assert len(hits) == COUNT
    assert scale == sorted(scale, reverse=True)
    assert {hit.space for hit in hits} == {"old", "new"}
    assert all(-1 <= hit.score <= 1 for hit in hits)
    question = New().encode_pixels(New().preprocess(picture(path))[None])[0].astype(np.float64)
    for hit in [hit for hit in hits if hit.space == "new"][:10]:
        row = New().encode_pixels(New().preprocess(picture(photos / hit.path))[None])[0].astype(np.float64)
        assert hit.score == pytest.approx(float(question @ row), abs=2e-3)


def test_all_else_answers_or_is_refused_by_name_while_the_encoder_changes(photos):
    shutil.copy(photos / "f0/000.png", photos / "f1/copy.png")
    retrieval.build_index(photos, encoder=Old(), progress=False)
    upgrade(photos, method="procrustes", force=True)
    backfill(photos, 10)
    with retrieval.open(photos, encoder=New()) as opened:
        assert all(check.ok for check in opened.verify())
        assert opened.info()["upgrade"]["state"] == "migrating"
        assert [sorted(image.path for image in one) for one in opened.duplicates(kinds=["bytes"])] == [
            ["f0/000.png", "f1/copy.png"]
        ]
        first = opened.search(photos / "f0/000.png", include_self=True)[0]
        assert {first.path, *first.duplicates} == {"f0/000.png", "f1/copy.png"}
        assert [len(hits) for hits in opened.search([photos / "f0/003.png", 5], k=4)] == [4, 4]
        for refused in (
            opened.export,
            opened.duplicates,
            lambda: list(opened.pairs(0.9)),
            lambda: opened.add(np.ones((1, 48)), keys=["by hand"]),
            lambda: retrieval.build_index(photos, encoder=New(), views=4, progress=False),
        ):
            with pytest.raises(OptionError, match="upgrade"):
                refused()
    assert backfill(photos).complete
    with retrieval.open(photos, encoder=New()) as opened:
        assert len(opened.export()[1]) == COUNT + 1
        assert all(check.ok for check in opened.verify())


def test_a_row_by_hand_that_nothing_can_encode_again_is_named_and_may_be_deleted(photos):
    upgrade(photos, method="reencode")
    with retrieval.open(photos, encoder=Old()) as opened:
        opened.add(np.ones((1, 6)), keys=["by hand"])
    with pytest.raises(OptionError, match="by hand"):
        backfill(photos)
    with retrieval.open(photos, encoder=Old()) as opened:
        assert opened.delete(keys=["by hand"]) == 1

    assert backfill(photos).complete


@pytest.mark.parametrize("method", ["auto", "reencode"])
def test_new_images_are_found_and_deleted_ones_are_not_while_the_encoder_changes(photos, method):
    upgrade(photos, method=method)
    backfill(photos, 9)
    write(photos / "f0/new.png", seed=5000)
    (photos / "f1/001.png").unlink()
    encoder = answering(photos)
    retrieval.build_index(
        photos, encoder=New() if method == "auto" and encoder is New else encoder(), progress=False
    )
    hits = asked(photos, encoder, picture(photos / "f0/new.png"), k=COUNT + 5)
    assert hits[0].path == "f0/new.png"
    assert len(hits) == COUNT
    assert "f1/001.png" not in {hit.path for hit in hits}
    assert backfill(photos).complete
    again = asked(photos, New, picture(photos / "f0/new.png"), k=COUNT + 5)

    assert again[0].path == "f0/new.png"
    assert {hit.path for hit in again} == {hit.path for hit in hits}


def test_a_third_encoder_takes_the_place_of_an_unfinished_one_and_returns_to_the_first(photos):
    before = [(hit.path, hit.score) for hit in asked(photos, Old, photos / "f0/003.png", k=20)]
    upgrade(photos)
    backfill(photos, 10)
    first = answering(photos)
    report = upgrade(photos, old=first, new=Third)
    assert report.recorded
    assert report.new == "third"
    assert found_itself(photos, answering(photos)) >= 0.9
    backfill(photos, 10, new=Third)
    assert found_itself(photos, answering(photos)) >= 0.9
    back = retrieval.rollback(photos, encoder=Old(), progress=False)

    assert back.encoder == "old"
    assert [(hit.path, hit.score) for hit in asked(photos, Old, photos / "f0/003.png", k=20)] == before


def test_two_upgrades_after_each_other_are_told_with_all_three_encoders(photos):
    upgrade(photos)
    backfill(photos)
    retrieval.finish_upgrade(photos)
    upgrade(photos, old=New, new=Third, method="reencode")
    backfill(photos, new=Third)
    report = retrieval.upgrade_report(photos)

    assert [encoder if isinstance(encoder, str) else encoder["name"] for encoder in report["encoders"]] == [
        "old",
        "new",
        "third",
    ]
    assert found_itself(photos, Third) == 1


@pytest.mark.parametrize("done", [0, 15, None])
def test_rolling_back_restores_every_answer(photos, done):
    before = [(hit.path, hit.score, hit.id) for hit in asked(photos, Old, photos / "f0/003.png", k=COUNT)]
    upgrade(photos, method="procrustes" if done else "auto", force=True)
    if done != 0:
        backfill(photos, done)
    report = retrieval.rollback(photos, encoder=Old(), progress=False)

    assert (report.images, report.encoded) == (COUNT, 0)
    assert [
        (hit.path, hit.score, hit.id) for hit in asked(photos, Old, photos / "f0/003.png", k=COUNT)
    ] == before
    with pytest.raises(OptionError):
        retrieval.rollback(photos, encoder=Old(), progress=False)


def test_a_worse_encoder_is_refused_and_nothing_changes(tmp_path, built):
    photos = shutil.copytree(built, tmp_path / "photos", ignore=shutil.ignore_patterns(".retrieve"))
    retrieval.build_index(photos, encoder=New(), progress=False)
    before = tree(photos)
    report = retrieval.upgrade(
        photos, encoder=FakeEncoder(name="poor", dim=2), old_encoder=New(), sample=80, progress=False
    )

    assert (report.plan, report.recorded) == ("none", False)
    assert tree(photos) == before


def test_measuring_only_changes_nothing(photos):
    before = tree(photos)
    report = upgrade(photos, dry_run=True)

    assert not report.recorded
    assert report.methods
    assert tree(photos) == before


def test_what_no_upgrade_allows_is_refused_and_changes_nothing(photos):
    before = tree(photos)
    for refused in (
        lambda: backfill(photos),
        lambda: retrieval.finish_upgrade(photos),
        lambda: retrieval.rollback(photos, encoder=Old(), progress=False),
        lambda: retrieval.upgrade_report(photos),
        lambda: upgrade(photos, new=Old),
        lambda: upgrade(photos, method="best"),
        lambda: upgrade(photos, sample=0),
        lambda: upgrade(photos, sample=-5),
    ):
        with pytest.raises(RetrievalError):
            refused()
    assert tree(photos) == before


def test_old_vectors_are_kept_until_they_are_given_up(photos):
    upgrade(photos)
    with pytest.raises(OptionError):
        retrieval.finish_upgrade(photos)
    backfill(photos)
    retrieval.finish_upgrade(photos)
    with pytest.raises(OptionError):
        retrieval.rollback(photos, encoder=Old(), progress=False)
    assert found_itself(photos, New) == 1
    retrieval.build_index(photos, encoder=New(), progress=False)
    assert found_itself(photos, New) == 1


@pytest.mark.parametrize("method", ["auto", "reencode"])
@pytest.mark.parametrize("count", [1, 2, 5, 39])
def test_a_handful_of_images_is_encoded_again_and_returns(tmp_path, count, method):
    photos = tmp_path / "photos"
    for number in range(count):
        write(photos / f"{number:03}.png", seed=number)
    retrieval.build_index(photos, encoder=Old(), progress=False)
    query = photos / "000.png"
    before = [(hit.id, hit.score) for hit in asked(photos, Old, query, k=9, include_self=True)]

    report = upgrade(photos, method=method)

    assert (report.plan, report.recorded, report.measure, report.alone) == ("reencode", True, "none", {})
    assert answering(photos) is Old
    json.dumps(retrieval.upgrade_report(photos), allow_nan=False)
    assert backfill(photos).complete
    assert found_itself(photos, New, step=1) == 1
    retrieval.rollback(photos, encoder=Old(), progress=False)
    assert [(hit.id, hit.score) for hit in asked(photos, Old, query, k=9, include_self=True)] == before


def test_a_method_that_no_query_could_follow_is_refused_before_anything_changes(photos):
    before = tree(photos)
    with pytest.raises(
        OptionError, match=r"slerp .* asks with both encoders, and old is recorded without a spec"
    ):
        upgrade(photos, method="slerp", force=True)
    assert tree(photos) == before


def test_a_reader_answers_in_its_old_space_until_it_is_refreshed(photos):
    with retrieval.open(photos, encoder=Old()) as opened:
        before = [(hit.id, hit.score) for hit in opened.search(photos / "f0/003.png", k=9)]
        upgrade(photos)
        backfill(photos)

        assert [(hit.id, hit.score) for hit in opened.search(photos / "f0/003.png", k=9)] == before


KILLED = """
import os, signal, sys
import retrieval
from retrieval.testing import FakeEncoder

class Mortal(FakeEncoder):
    seen = 0
    def preprocess(self, image):
        Mortal.seen += 1
        if Mortal.seen > int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().preprocess(image)

if sys.argv[3] == "backfill":
    retrieval.backfill(sys.argv[1], encoder=Mortal(name="new", dim=48), progress=False)
else:
    retrieval.upgrade(sys.argv[1], encoder=Mortal(name="new", dim=48), old_encoder=FakeEncoder(name="old", dim=6), sample=80, progress=False)
"""


@pytest.mark.parametrize(
    ("step", "after", "method"),
    [("upgrade", 30, "auto"), ("backfill", 20, "auto"), ("backfill", 20, "reencode")],
)
def test_a_killed_step_leaves_every_image_found_and_is_continued(photos, step, after, method):
    if step == "backfill":
        upgrade(photos, method=method)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, photos, str(after), step],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert found_itself(photos, answering(photos)) >= 0.9
    if step == "upgrade":
        assert answering(photos) is Old
        upgrade(photos)
    assert backfill(photos).complete

    assert found_itself(photos, New) == 1


def test_the_report_tells_the_way_without_running_backwards(photos, tmp_path):
    upgrade(photos)
    backfill(photos, 10)
    report = retrieval.upgrade_report(photos)
    assert {"encoders", "matrix", "ac", "am", "gain", "curve"} <= set(report)
    shares = report["curve"]["share"]

    assert shares == sorted(shares)
    assert len(shares) == len(report["curve"]["random"])
    assert report["backfilled"] + report["remaining"] == COUNT
    json.dumps(report, allow_nan=False)


def test_a_file_that_has_gone_does_not_keep_the_upgrade_from_its_end(photos):
    upgrade(photos, method="reencode", sample=80)
    (photos / "f2/002.png").unlink()
    (photos / "f2/005.png").write_bytes(b"no picture")
    first = backfill(photos)
    assert first.remaining == first.gone + first.unreadable <= 2
    retrieval.build_index(photos, encoder=answering(photos)(), progress=False)
    last = first if first.complete else backfill(photos)

    assert last.complete
    assert len(asked(photos, New, picture(photos / "f0/000.png"), k=COUNT)) == COUNT - 2


def test_shards_are_encoded_again_and_switch_with_the_last_image(tmp_path, built):
    photos = shutil.copytree(built, tmp_path / "photos", ignore=shutil.ignore_patterns(".retrieve"))
    index = tmp_path / "many"
    retrieval.build_index(photos, index=index, encoder=Old(), shards=2, progress=False)
    query = photos / "f0/003.png"
    before = [(hit.id, hit.score) for hit in asked(index, Old, query, k=20)]
    report = retrieval.upgrade(index, encoder=New(), old_encoder=Old(), sample=40, progress=False)
    assert report.plan == "reencode"
    with pytest.raises(OptionError, match="procrustes"):
        retrieval.upgrade(
            index, encoder=Third(), old_encoder=Old(), sample=40, method="procrustes", progress=False
        )
    while True:
        assert [(hit.id, hit.score) for hit in asked(index, Old, query, k=20)] == before
        assert {hit.path[:2] for hit in asked(index, Old, query, k=20, under="f1")} == {"f1"}
        if retrieval.backfill(index, count=50, encoder=New(), progress=False).complete:
            break
    assert answering(index) is New
    retrieval.rollback(index, encoder=Old(), progress=False)

    assert [(hit.id, hit.score) for hit in asked(index, Old, query, k=20)] == before


def test_the_command_line_says_what_happened_on_stderr_and_facts_on_stdout(photos, tmp_path):
    for words, named in [
        (("upgrade", "backfill"), "upgrade"),
        (("upgrade", "finish"), "no old vectors"),
        (("upgrade", "report"), "upgrade"),
        (("rollback",), "upgrade"),
        (("upgrade", "--encoder", "nonesuch"), "nonesuch"),
        (("upgrade", "backfill", "many"), "many"),
    ]:
        refused = command(*words, "--index", photos, "--json", cwd=tmp_path)

        assert refused.returncode in (1, 2), words
        assert refused.stdout == "", words
        assert named in refused.stderr, words
        assert "Traceback" not in refused.stderr, words
