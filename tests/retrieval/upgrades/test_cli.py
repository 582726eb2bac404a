"""``retrieve upgrade`` and ``retrieve rollback`` from a shell: the contract's keys, exit statuses, one-line errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import retrieval
from retrieval.cli.reports import measured
from tests.command_line import run_here
from tests.retrieval.drift import drift
from tests.retrieval.folders import fill

NAMES = [f"{number:03}.png" for number in range(90)]
KEYS = {"old", "new", "method", "compatible", "sample", "held_out", "methods", "backfilled", "remaining"}
METHOD_KEYS = {"method", "old_old", "new_old", "new_new", "gain", "regression_rate", "map_microseconds"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    home = fill(tmp_path_factory.mktemp("built") / "photos", NAMES)
    retrieval.build_index(home, encoder=drift("old"))
    return home


@pytest.fixture
def photos(built, tmp_path):
    return Path(shutil.copytree(built, tmp_path / "photos"))


@pytest.fixture
def run(capsysbinary):
    def run(*arguments):
        status, out, err = run_here(capsysbinary, *arguments)
        return status, out.decode(), err

    return run


HIT_KEYS = {"rank", "score", "path", "id", "copies", "n_duplicates", "duplicates", "match", "columns"}


def test_the_whole_way_there_and_back(photos, run, tmp_path):
    status, out, err = run("upgrade", "--index", photos, "--encoder", "drift:wider", "--json")
    facts = json.loads(out)
    assert (status, facts["method"], facts["compatible"]) == (0, "prefix", True)
    assert set(facts) >= KEYS
    assert all(set(method) >= METHOD_KEYS for method in facts["methods"])
    assert facts["method"] in {method["method"] for method in facts["methods"]}
    assert (facts["backfilled"], facts["remaining"]) == (0, 90)
    assert "queries use drift:wider from now on (prefix)" in err

    status, out, _ = run("query", photos / NAMES[3], "--index", photos, "--include-self", "-k", "3", "--json")
    assert [set(hit) for hit in json.loads(out)] == [{*HIT_KEYS, "ranked_by", "cosine", "space"}] * 3

    status, out, _ = run("upgrade", "--index", photos, "--backfill", "20", "--json")
    assert (status, json.loads(out)["backfilled"], json.loads(out)["remaining"]) == (0, 20, 70)

    status, out, _ = run("info", "--index", photos, "--json")
    assert json.loads(out)["upgrade"]["remaining"] == 70
    assert json.loads(out)["format"] == 5
    lines = run("info", "--index", photos)[1].splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("upgrade"))
    assert lines[place].split(None, 1)[1] == (
        "drift:old → drift:wider, migrating, all 90 images encoded again, 20 answer as new: "
        "`retrieve upgrade backfill all` switches over"
    )
    assert lines[place + 1].strip().startswith("by prefix, compatible, started 20")

    status, out, err = run(
        "upgrade", "--index", photos, "--report", "--plot", tmp_path / "curve.svg", "--json"
    )
    facts = json.loads(out)
    assert status == 0
    assert set(facts) >= KEYS | {"encoders", "matrix", "ac", "am", "gain", "curve"}
    assert (tmp_path / "curve.svg").stat().st_size > 1000

    status, out, _ = run("upgrade", "--index", photos, "--report")
    assert status == 0
    assert "mixed tests that reach the gallery's own encoder (AC)" in out
    assert "mean of all tests above (AM)" in out
    assert "from the first image to the last" in out

    status, out, err = run("upgrade", "--index", photos, "--backfill", "ALL")
    assert status == 0
    assert "wholly in the space of drift:wider" in err

    status, out, _ = run("query", photos / NAMES[3], "--index", photos, "--include-self", "-k", "1", "--json")
    assert [set(hit) for hit in json.loads(out)] == [HIT_KEYS]

    status, out, _ = run("rollback", "--index", photos, "--json")
    assert (status, json.loads(out)["encoder"], json.loads(out)["pending"]) == (0, "drift:old", 0)
    status, _, err = run("rollback", "--index", photos)
    assert status == 1
    assert err == f"error: {photos / '.retrieve'}: there is no upgrade to undo\n"


def test_without_a_compatible_method_the_table_and_exit_1(photos, run):
    status, out, err = run("upgrade", "--index", photos, "--encoder", "drift:worse")

    assert status == 1
    assert out.count("\n") == 8  # three lines of facts, a header, four methods
    assert err.splitlines()[-1].startswith("error: drift:worse finds no more than drift:old does")
    assert run("info", "--index", photos, "--json")[1].count('"upgrade": null') == 1
    status, out, _ = run("upgrade", "--index", photos, "--encoder", "drift:worse", "--json", "--quiet")
    assert (status, json.loads(out)["compatible"], json.loads(out)["method"]) == (1, False, None)


def test_without_a_map_the_plan_is_to_encode_again_behind_the_old_encoder(photos, run):
    status, out, err = run("upgrade", "--index", photos, "--encoder", "drift:new", "--method", "reencode")

    assert status == 0
    (plan,) = (line.split() for line in out.splitlines() if "* reencode" in line)
    assert float(plan[2]) < float(plan[3])  # now, and at the end
    assert "90 images at" not in out  # the sample's need not be encoded again
    assert "no image is left to encode: the trial has encoded all 90" in out
    assert "MiB free" in out
    assert (
        "drift:old answers until you switch over, as you asked; all images are encoded, and this switches"
        in err
    )
    facts = json.loads(run("info", "--index", photos, "--json")[1])
    assert (facts["encoder"], facts["upgrade"]["plan"]) == ("drift:old", "reencode")
    status, out, _ = run("upgrade", "report", "--index", photos)
    assert (status, "reencoding, reencode, all 90 images encoded again: `retrieve" in out) == (0, True)
    status, out, err = run("upgrade", "backfill", "--index", photos)
    assert (status, "wholly in the space of drift:new" in err) == (0, True)
    assert "nothing to train" not in err  # exact search goes on
    assert "answers until" not in run("upgrade", "report", "--index", photos)[1]
    status, out, err = run("upgrade", "backfill", "all", "--index", photos)
    assert (status, out.splitlines()[1].split()) == (0, ["encoded", "0", "now,", "90", "in", "all"])
    assert "`retrieve rollback` returns to drift:old" in err
    assert run("upgrade", "finish", "--index", photos)[0] == 0
    status, out, err = run("upgrade", "backfill", "all", "--index", photos, "--json")
    facts = json.loads(out)
    assert (status, facts["encoded"], facts["backfilled"], facts["remaining"]) == (0, 0, 90, 0)
    assert err.strip() == "the collection is wholly in the space of drift:new"


def test_a_forced_map_has_its_row_among_the_plans(photos, run):
    status, out, err = run("upgrade", "--index", photos, "--encoder", "drift:worse", "--force")

    assert status == 0
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("* ")][-1] == ["*", "map"]
    assert "), although it is not compatible; " in err


@pytest.mark.parametrize("count", [1, 5])
def test_a_handful_is_encoded_again_and_nothing_is_said_of_quality(tmp_path, run, count):
    photos = fill(tmp_path / "photos", NAMES[:count])
    retrieval.build_index(photos, encoder=drift("old"))

    status, out, err = run("upgrade", "--index", photos, "--encoder", "drift:new", "--dry-run")
    assert (status, err.splitlines()[-1]) == (0, "nothing was recorded (--dry-run)")
    status, out, err = run("upgrade", "--index", photos, "--encoder", "drift:new")
    assert status == 0
    assert "too few to measure which encoder finds more" in out
    (plan,) = (line.split() for line in out.splitlines() if "* reencode" in line)
    assert plan[2:4] == ["-", "-"]
    assert f"which of them finds more is not known: a sample of {count} is too small" in err
    status, out, _ = run("upgrade", "report", "--index", photos)
    assert status == 0
    assert "not measured: drift:new on drift:old, there were too few images to measure on" in out
    assert "not measured: too few images; drift:old answers until the switch" in out
    status, _, err = run("upgrade", "report", "--plot", tmp_path / "curve.svg", "--index", photos)
    assert (status, "no curve to draw" in err, (tmp_path / "curve.svg").exists()) == (1, True, False)
    for words in (
        ["upgrade", "report"],
        ["info"],
        ["upgrade", "backfill", "all"],
        ["upgrade", "report"],
        ["info"],
    ):
        status, out, _ = run(*words, "--index", photos, "--json")
        assert (status, isinstance(json.loads(out), dict)) == (0, True)
        assert run("info", "--index", photos)[0] == 0
    assert run("rollback", "--index", photos)[0] == 0
    assert run("upgrade", "report", "--index", photos)[0] == 0
    status, _, err = run("upgrade", "finish", "--index", photos)
    assert status == 1
    assert "the upgrade to drift:new was rolled back; begin with `retrieve upgrade --encoder SPEC`" in err


def test_a_worse_encoder_of_a_handful_is_taken_and_that_is_said(tmp_path, run):
    photos = fill(tmp_path / "photos", NAMES[:39])
    retrieval.build_index(photos, encoder=drift("old"))
    asked = ("upgrade", "--index", photos, "--encoder", "drift:worse")

    status, out, err = run(*asked, "--dry-run")
    assert (status, "so a worse one is not refused" in out) == (0, True)
    assert err.splitlines()[-1] == "nothing was recorded (--dry-run)"

    status, out, err = run(*asked, "--json")
    facts = json.loads(out)
    assert (status, facts["measure"], facts["plan"], facts["compatible"]) == (0, "none", "reencode", False)
    assert (facts["alone"], facts["methods"], facts["held_out"]) == ({}, [], 0)
    assert {(way["now"], way["end"]) for way in facts["ways"]} == {(None, None)}
    assert "which of them finds more is not known: a sample of 39 is too small to measure that" in err
    status, out, _ = run("upgrade", "report", "--json", "--index", photos)
    assert (status, json.loads(out)["measure"]) == (0, "none")


def test_a_worse_encoder_of_more_images_is_refused(photos, run):
    status, _, err = run("upgrade", "--index", photos, "--encoder", "drift:worse")

    assert status == 1
    assert "drift:worse finds no more than drift:old does, even if everything is encoded again" in err


def test_a_report_says_that_the_trial_has_encoded_all(photos, run):
    run("upgrade", "--index", photos, "--encoder", "drift:wider")
    out = run("upgrade", "report", "--index", photos)[1]

    assert "migrating, prefix, all 90 images encoded again, 0 answer as new" in out
    run("upgrade", "backfill", "all", "--index", photos)
    assert "complete, prefix, all 90 images encoded again" in run("upgrade", "report", "--index", photos)[1]
    run("upgrade", "finish", "--index", photos)
    status, _, err = run("upgrade", "finish", "--index", photos)
    assert (status, "the upgrade to drift:wider is finished, and nothing is left to do" in err) == (1, True)


@pytest.mark.parametrize(
    ("method", "why"), [("slerp", "both encoders answer"), ("ridge", "an estimate from 30")]
)
def test_a_table_of_plans_says_why_the_end_may_look_worse(method, why):
    facts = {
        "old": "a", "new": "b", "measure": "views", "sample": 300, "held_out": 30, "gone": 0, "unreadable": 0, "methods": [],
        "method": method, "plan": "map", "alone": {"old": 0.8, "new": 0.911, "queries": 180},
        "ways": [{"plan": "map", "method": method, "now": 0.928, "end": 0.911, "seconds": 0.0}],
        "costs": {"images": 0, "images_per_second": 12.4, "bytes": 1, "bytes_free": 2},
    }  # fmt: skip

    assert why in measured(facts).splitlines()[-1]
    facts["ways"][0]["now"] = 0.9
    assert why not in measured(facts)


def test_an_interrupted_trial_says_that_it_measures_anew(photos, run, monkeypatch):
    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("retrieval.upgrades.start.upgrade_start.try_methods", interrupt)
    status, _, err = run("upgrade", "--index", photos, "--encoder", "drift:wider")

    assert status == 130
    assert "the same command measures anew and encodes the others" in err.splitlines()[-1]
    assert run("info", "--index", photos, "--json")[1].count('"upgrade": null') == 1


def test_a_dry_run_says_so(photos, run):
    status, _, err = run("upgrade", "--index", photos, "--encoder", "drift:new", "--dry-run")

    assert (status, err.splitlines()[-1]) == (0, "nothing was recorded (--dry-run)")
    assert run("upgrade", "--index", photos, "--backfill", "1")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "what is to be done?"),
        (["--encoder", "drift:new", "--report"], "steps of their own"),
        (["--backfill", "x"], "is no number of images"),
        (["--backfill", "-3"], "is no number of images"),
        (["--report", "--sample", "10"], "--sample belongs to --encoder"),
        (["--backfill", "3", "--plot", "x.svg"], "--plot belongs to --report"),
        (["--encoder", "drift:new", "--method", "magic"], "is not one of"),
    ],
)
def test_usage(photos, run, arguments, said):
    status, out, err = run("upgrade", "--index", photos, *arguments)

    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["upgrade", "--encoder", "drift:old"], "already; name another encoder"),
        (["upgrade", "--encoder", "nothing"], "no encoder scheme"),
        (["upgrade", "--encoder", "drift:new", "--method", "prefix"], "method prefix does not apply"),
        (["upgrade", "--encoder", "drift:new", "--sample", "0"], "sample is 0"),
        (["upgrade", "--encoder", "drift:new", "--labels", "none.csv"], "none.csv: no such file"),
        (["upgrade", "--drop-old"], "has never been upgraded; begin with `retrieve upgrade --encoder SPEC`"),
        (["rollback"], "no upgrade to undo"),
    ],
)
def test_errors_are_one_line_and_leave_everything_as_it_was(photos, run, arguments, said):
    before = (photos / ".retrieve/manifest.json").read_bytes()
    status, out, err = run(*arguments, "--index", photos)

    assert (status, out) == (1, "")
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err
    assert (photos / ".retrieve/manifest.json").read_bytes() == before
    assert not (photos / ".retrieve/upgrade").exists()


def test_an_interrupt_says_what_is_safe(photos, run, monkeypatch):
    run("upgrade", "--index", photos, "--encoder", "drift:wider")

    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("retrieval.upgrades.backfilling.backfill_run.in_order", interrupt)
    status, _, err = run("upgrade", "--index", photos, "--backfill", "all")

    assert status == 130
    assert (
        err.splitlines()[-1]
        == "interrupted: what was encoded is kept and answers; the same command continues"
    )
    assert run("query", "red", "--index", photos)[0] == 0


def test_a_backfill_that_cannot_finish_exits_1(photos, run):
    run("upgrade", "--index", photos, "--encoder", "drift:wider", "--sample", "60")
    for name in NAMES[:7]:
        (photos / name).unlink()
    shutil.rmtree(photos / ".retrieve/upgrade")
    status, out, err = run("upgrade", "--index", photos, "--backfill", "all", "--json")

    assert status == 1
    assert (json.loads(out)["remaining"], json.loads(out)["gone"]) == (7, 7)
    assert "7 images cannot be encoded again" in err.splitlines()[-1]
