"""The commands and options there are, how they start, and how wrong use is refused."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from retrieval.cli.frame.options import SignatureOption
from retrieval.cli.group import retrieve
from tests.retrieval.cli.shell import ROOT

EVERYWHERE = {"--index", "--json", "--quiet", "--debug"}


@pytest.mark.parametrize(
    "command",
    [["audit"], ["classify"], ["cluster"], ["compare", "nano"], ["map"], ["outliers"], ["representatives"]],
    ids=lambda command: command[0],
)
def test_pages_without_a_folder_are_refused_before_the_work(run, tmp_path: Path, command: list[str]) -> None:
    status, out, err = run(*command, "--html", tmp_path / "away" / "page.html")

    assert (status, out) == (2, b"")
    assert f"there is no folder '{tmp_path / 'away'}'; make it first" in err


CONTRACT = {
    "demo": {"--out", "--device"},
    "build-index": {
        "--root",
        "--encoder",
        "--kind",
        "--truncate-dim",
        "--target-recall",
        "--exclude",
        "--follow-links",
        "--prune",
        "--strict",
        "--vectors",
        "--keys",
        "--space",
        "--device",
    },
    "add": {"--vectors", "--keys", "--upsert", "--timeout"},
    "delete": {"--keys", "--ids", "--timeout"},
    "export": {"--vectors", "--keys"},
    "query": {
        "--text",
        "--image",
        "--id",
        "--region",
        "--minus",
        "-k",
        "--min-score",
        "--truncate-dim",
        "--nprobe",
        "--exact",
        "--under",
        "--glob",
        "--include-self",
        "--no-fold",
        "--jsonl",
        "--csv",
        "-f",
        "-0",
        "--html",
        "--device",
    },
    "serve": {
        "--host",
        "--port",
        "--token-file",
        "--originals",
        "--allow-urls",
        "--workers",
        "--cors",
        "--allow-host",
        "--prefix",
        "--access-log",
        "--device",
    },
    "info": set(),
    "verify": set(),
    "evaluate": {
        "--labels",
        "--captions",
        "--dims",
        "--plot",
        "--attacks",
        "--pairs",
        "--distractors",
        "--background",
        "--verify",
        "--html",
        "--device",
    },
    "calibrate": {"--labels", "--background", "--device"},
    "upgrade": {
        "--encoder",
        "--sample",
        "--method",
        "--labels",
        "--dry-run",
        "--force",
        "--backfill",
        "--report",
        "--plot",
        "--drop-old",
        "--device",
    },
    "rollback": {"--without-new", "--device"},
    "duplicates": {
        "--kind",
        "--precision",
        "--against",
        "--reference",
        "--keep",
        "--ignore",
        "--link-to",
        "--move-to",
        "--undo",
    },
    "cluster": {"--n-groups", "--words", "--under", "--glob", "--where", "--html", "--csv"},
    "map": {"--html", "--parquet", "--labels", "--words", "--under", "--glob", "--where"},
    "representatives": {"-n", "--method", "--under", "--glob", "--where", "--html", "--csv", "-f", "-0"},
    "outliers": {"-n", "--neighbors", "--under", "--glob", "--where", "--html", "--csv", "-f", "-0"},
    "audit": {"--labels", "--column", "--splits", "--checks", "--targets", "--attributes", "--html", "--csv"},
    "classify": {"--labels", "--suspect", "--column"},
    "compare": {"--labels", "--column", "-k", "--sample", "--html", "--device"},
    "activate": {
        "--out",
        "--steps",
        "--strength",
        "--robust",
        "--min-psnr",
        "--format",
        "--quality",
        "--device",
    },
    "encoders": set(),
}


class TestStart:
    @pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["encoders", "--help"]])
    def test_starting_is_light(self, arguments: list[str]) -> None:
        code = (
            "import sys\nfrom retrieval.cli import main\n"
            f"status = main({arguments!r})\n"
            "heavy = {'numpy', 'torch', 'faiss', 'onnxruntime', 'PIL', 'lmdb', 'tqdm'} & set(sys.modules)\n"
            "sys.exit(f'{status} {heavy}' if status or heavy else 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=ROOT)

        assert (done.returncode, done.stderr) == (0, b"")

    def test_version(self, run) -> None:
        status, out, err = run("--version")

        assert status == 0
        assert re.fullmatch(rb"retrieve \S.*\n", out)
        assert err == ""

    def test_no_argument_is_help(self, run) -> None:
        assert run()[:2] == run("--help")[:2]

    def test_every_command_of_the_contract_is_listed(self, run) -> None:
        _, out, _ = run("--help")
        listed = re.findall(r"^  ([a-z-]+)  +\S", out.decode().partition("Commands:")[2], flags=re.MULTILINE)

        assert listed == list(CONTRACT)
        assert b"..." not in out.partition(b"Commands:")[2]


class TestOptions:
    @pytest.mark.parametrize("name", CONTRACT)
    def test_every_option_of_the_contract_is_there_and_explained(self, name: str, run) -> None:
        status, out, _ = run(name, "--help-all" if retrieve.commands[name].brief else "--help")
        options = [param for param in retrieve.commands[name].params if isinstance(param, click.Option)]
        spelled = {spelling for option in options for spelling in option.opts}

        assert status == 0
        assert spelled >= CONTRACT[name] | EVERYWHERE
        assert [option.name for option in options if not option.help] == []
        assert [
            spelling
            for spelling in {
                spelling
                for option in options
                if not option.hidden
                for spelling in getattr(option, "shown", option.opts)
            }
            if not re.search(rf"(^| ){spelling}\b", out.decode(), re.MULTILINE)
        ] == []

    @pytest.mark.parametrize("name", CONTRACT)
    def test_defaults_are_those_of_the_signatures(self, name: str) -> None:
        for option in retrieve.commands[name].params:
            if isinstance(option, SignatureOption):
                assert option.signature_default() is not inspect.Parameter.empty
                assert option.default in (None, ()) or not isinstance(option.default, int | float | str)

    def test_help_shows_them(self, run) -> None:
        from retrieval.collection.collection import Collection

        k = inspect.signature(Collection.search).parameters["k"].default

        assert f"[default: {k}]" in " ".join(run("query", "--help")[1].decode().split())


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["query"], "nothing to search for"),
            (["query", "cat", "--json", "--csv"], "--json and --csv exclude each other"),
            (["query", "cat", "-f", "-0"], "-f and -0 exclude each other"),
            (["query", "cat", "-k", "many"], "many"),
            (["build-index"], "name a SOURCE"),
            (["build-index", "a", "b", "--vectors", "v", "--keys", "k"], "--vectors takes one folder"),
            (["build-index", "x", "--vectors", "v.npy"], "--keys is missing"),
            (["build-index", "x", "--keys", "k"], "--vectors is missing"),
            (["build-index", "x", "--space", "s"], "--vectors"),
            (["build-index", "x", "--vectors", "v", "--keys", "k", "--exclude", "*"], "--exclude"),
            (["build-index", "x", "--truncate-dim", "wide"], "'wide' is not a valid integer"),
            (["evaluate", "--dims", "16,wide"], "'wide' is not a valid integer"),
            (["export"], "--vectors"),
            (["nonsense"], "nonsense"),
            (["query", "--nonsense"], "--nonsense"),
        ],
    )
    def test_a_usage_error_is_2_and_names_the_matter(self, arguments: list[str], words: str, run) -> None:
        status, out, err = run(*arguments)

        assert (status, out) == (2, b"")
        assert words in err
        assert err.splitlines()[0].startswith("Usage: retrieve")
        assert err.splitlines()[1].startswith("error: ")
        assert len(err.splitlines()) == 3


def test_vectors_and_keys_go_to_two_files(run, photos: Path, tmp_path: Path) -> None:
    status, _, err = run("export", "--vectors", tmp_path / "x", "--keys", tmp_path / "x", "--index", photos)

    assert status == 1
    assert "give two files" in err
    assert not (tmp_path / "x").exists()


def test_a_device_that_no_machine_has_is_refused_by_whatever_opens_a_collection(run, photos: Path) -> None:
    status, _, err = run("query", "--id", "0", "--index", photos, "--device", "nonsense")

    assert status == 1
    assert "expected auto, cpu, cuda, cuda:N, cuda:all or mps" in err


def test_every_command_has_a_module_of_its_name() -> None:
    modules = {path.stem for path in (ROOT / "retrieval/cli/commands").glob("*/*.py")} - {"__init__"}

    assert {name.replace("-", "_") for name in retrieve.commands} == modules


def test_old_names_of_options_still_work_and_are_not_shown(photos, run) -> None:
    asked = ("query", "--id", "0", "--index", photos, "--json")

    for new, old in (
        (["--include-self"], ["--self"]),
        (["--no-fold"], ["--all"]),
        (["--truncate-dim", "64"], ["--dim", "64"]),
    ):
        assert run(*asked, *old) == run(*asked, *new)
        assert old[0] not in run("query", "--help")[1].decode().split()


@pytest.mark.parametrize(("words", "expected"), [(["query", "--help"], 50_000), (["encoders"], 700)])
def test_only_a_query_searches_for_garbage_less_often(words: list[str], expected: int) -> None:
    """What an error leaves of a large picture must not wait in a server or a build."""
    code = f"import gc, sys; sys.argv = ['retrieve', *{words!r}]; from retrieval.cli import main\nmain()\nprint(gc.get_threshold()[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == str(expected)
