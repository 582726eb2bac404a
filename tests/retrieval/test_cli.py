"""The command line: what scripts rely on, and what a terminal must never see."""

from __future__ import annotations

import base64
import csv
import errno
import inspect
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from retrieval.cli import main
from retrieval.cli.commands import retrieve
from retrieval.cli.options import SignatureOption
from retrieval.cli.progress import Lines, duration
from retrieval.encoders import registry
from retrieval.errors import CollectionNotFound, OptionError, StoreFull
from retrieval.output import cells
from retrieval.report import Progress
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, picture

ROOT = Path(__file__).parents[2]
RUN = "import sys; from retrieval.cli import main; sys.exit(main())"
HOSTILE = [
    "new\nline.png",
    "esc\x1b[31m\x07.png",
    "<script>alert(1)<.png",
    "x" * 180 + ".png",
    "東京/夜景.png",
]
RAW = b"raw\xff\xfe.png"
PLAIN = [f"plain/{number:02}.png" for number in range(20)]

EVERYWHERE = {"--index", "--json", "--quiet", "--debug"}
CONTRACT = {
    "demo": {"--out", "--device"},
    "build-index": {
        "--root",
        "--encoder",
        "--kind",
        "--dim",
        "--recall",
        "--exclude",
        "--follow-links",
        "--prune",
        "--strict",
        "--vectors",
        "--keys",
        "--space",
        "--device",
    },
    "export": {"--vectors", "--keys"},
    "query": {
        "--text",
        "--image",
        "--id",
        "--minus",
        "-k",
        "--min-score",
        "--dim",
        "--nprobe",
        "--exact",
        "--under",
        "--glob",
        "--self",
        "--all",
        "--jsonl",
        "--csv",
        "-f",
        "-0",
        "--html",
        "--device",
    },
    "info": set(),
    "verify": set(),
    "evaluate": {"--labels", "--captions", "--dims", "--plot", "--attacks", "--device"},
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
BUILD_KEYS = [
    "root",
    "index",
    "encoder",
    "images",
    "encoded",
    "reused",
    "moved",
    "removed",
    "skipped",
    "skipped_by_reason",
    "seconds",
    "images_per_second",
    "kind",
    "factory",
    "width",
    "dim",
    "bytes_per_vector",
    "recall_at_10",
    "recall_sample",
    "recall_reason",
    "recall_at_10_text",
]
COUNTERS = [
    "encoded",
    "reused",
    "moved",
    "removed",
    "skipped",
    "skipped_by_reason",
    "seconds",
    "images_per_second",
]


class Family:
    """`FakeEncoder` as the scheme ``fake``, so that a command line can name it."""

    scheme = "fake"
    install = None
    image = text = True
    differentiable = False

    def available(self) -> bool:
        return True

    def models(self) -> list[str]:
        return ["fake@1"]

    def open(self, model, version, *, device):
        return FakeEncoder()


FAMILY = Family()


@pytest.fixture(autouse=True)
def fake_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN, "fake", __name__)


@pytest.fixture
def run(capsysbinary):
    """Run one command in this process: exit status, stdout as bytes, stderr as text."""

    def run(*arguments: str | Path) -> tuple[int, bytes, str]:
        capsysbinary.readouterr()
        status = main([os.fspath(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        return status, out, err.decode()

    return run


@pytest.fixture
def photos(tmp_path: Path, run) -> Path:
    """An indexed folder: plain pictures, hostile names, and two exact copies of the first one."""
    folder = fill(tmp_path / "photos", [*PLAIN, *HOSTILE])
    raw = os.path.join(os.fsencode(folder), RAW)
    with open(raw, "wb") as file:
        picture(99).save(file, format="PNG")
    for name in ("copy one.png", "plain/copy two.png"):
        shutil.copy(folder / PLAIN[0], folder / name)
    assert run("build-index", folder, "--encoder", "fake", "--quiet") == (0, b"", "")
    return folder


def command(*arguments: str | Path, **settings) -> subprocess.CompletedProcess[bytes]:
    """Run one command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} | settings.pop("env", {})
    return subprocess.run(
        [sys.executable, "-c", RUN, *map(os.fspath, arguments)],
        capture_output=True,
        check=False,
        env=environment,
        **settings,
    )


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
        status, out, _ = run(name, "--help")
        options = [param for param in retrieve.commands[name].params if isinstance(param, click.Option)]
        spelled = {spelling for option in options for spelling in option.opts}

        assert status == 0
        assert spelled >= CONTRACT[name] | EVERYWHERE
        assert [option.name for option in options if not option.help] == []
        assert [
            spelling
            for spelling in spelled
            if not re.search(rf"(^| ){spelling}\b", out.decode(), re.MULTILINE)
        ] == []

    @pytest.mark.parametrize("name", CONTRACT)
    def test_defaults_are_those_of_the_signatures(self, name: str) -> None:
        for option in retrieve.commands[name].params:
            if isinstance(option, SignatureOption):
                assert option.signature_default() is not inspect.Parameter.empty
                assert option.default in (None, ()) or not isinstance(option.default, int | float | str)

    def test_help_shows_them(self, run) -> None:
        from retrieval.collection import Collection

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
            (["build-index"], "FOLDER"),
            (["build-index", "x", "--vectors", "v.npy"], "--keys is missing"),
            (["build-index", "x", "--keys", "k"], "--vectors is missing"),
            (["build-index", "x", "--space", "s"], "--vectors"),
            (["build-index", "x", "--vectors", "v", "--keys", "k", "--exclude", "*"], "--exclude"),
            (["build-index", "x", "--dim", "wide"], "'wide' is not a valid integer"),
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


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Add the command ``fail``, which raises what it is given."""

    def add(error: BaseException) -> None:
        from retrieval.cli.options import shared

        def fail(**_: object) -> None:
            raise error

        monkeypatch.setitem(retrieve.commands, "fail", click.command("fail")(shared(fail)))

    return add


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (OptionError("recall is 2; it lies in (0, 1]"), "error: recall is 2; it lies in (0, 1]"),
            (CollectionNotFound("no collection in /x"), "error: no collection in /x"),
            (StoreFull("/x: no space left; free some"), "error: /x: no space left; free some"),
            (OptionError("a\nb\x1b[31m"), "error: a b\\x1b[31m"),
            (
                FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/y"),
                "error: /x/y: No such file or directory",
            ),
        ],
    )
    def test_one_line_and_1(self, error: Exception, line: str, run, failing) -> None:
        failing(error)

        assert run("fail") == (1, b"", f"{line}\n")

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE, errno.EIO])
    def test_what_the_system_refuses_comes_with_a_cure(self, number: int, run, failing) -> None:
        failing(OSError(number, os.strerror(number), b"/disk/f"))
        status, out, err = run("fail")

        assert (status, out) == (1, b"")
        assert err.startswith(f"error: /disk/f: {os.strerror(number)}; ")
        assert err.count("\n") == 1

    def test_memory(self, run, failing) -> None:
        failing(MemoryError())

        assert run("fail")[2].startswith("error: out of memory")

    def test_anything_else_is_a_bug_and_says_so_in_one_line(self, run, failing) -> None:
        failing(ZeroDivisionError("division by zero"))
        status, _, err = run("fail")

        assert status == 1
        assert err.count("\n") == 1
        for words in ("bug", "ZeroDivisionError", "division by zero", "--debug"):
            assert words in err

    @pytest.mark.parametrize("error", [OptionError("wrong"), ZeroDivisionError("zero"), KeyboardInterrupt()])
    def test_a_traceback_only_with_debug(self, error: BaseException, run, failing) -> None:
        failing(error)

        assert "Traceback" not in run("fail")[2]
        assert "Traceback" in run("fail", "--debug")[2]

    def test_an_interruption_is_130_and_one_line(self, run, failing) -> None:
        failing(KeyboardInterrupt())

        assert run("fail") == (130, b"", "interrupted: nothing was changed\n")

    @pytest.mark.parametrize("arguments", [["--help"], ["encoders"], ["encoders", "--json"]])
    def test_a_closed_pipe_is_quiet(self, arguments: list[str]) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-c", RUN, *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            cwd=ROOT,
        )
        os.close(writing)

        assert (done.returncode, done.stderr) == (0, b"")

    @pytest.mark.parametrize("arguments", [["--help"], ["encoders", "--json"]])
    def test_a_full_disk_under_stdout_is_one_line(self, arguments: list[str]) -> None:
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [sys.executable, "-c", RUN, *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
                cwd=ROOT,
            )

        assert done.returncode == 1
        assert done.stderr.startswith(b"error: No space left on device")
        assert done.stderr.count(b"\n") == 1

    def test_a_closed_stdout_is_quiet(self) -> None:
        script = f'"{sys.executable}" -c "{RUN}" encoders --json >&-'
        done = subprocess.run(["sh", "-c", script], stderr=subprocess.PIPE, check=False, cwd=ROOT)

        assert (done.returncode, done.stderr) == (0, b"")

    def test_a_folder_without_a_collection(self, run, tmp_path: Path) -> None:
        for arguments in (["info"], ["query", "cat"], ["verify"], ["evaluate"]):
            status, out, err = run(*arguments, "--index", tmp_path)
            assert (status, out) == (1, b"")
            assert "retrieve build-index" in err
            assert err.count("\n") == 1

    def test_a_missing_folder(self, run, tmp_path: Path) -> None:
        status, out, err = run("build-index", tmp_path / "gone")

        assert (status, out) == (1, b"")
        assert str(tmp_path / "gone") in err


class TestBuild:
    def test_json_has_the_contracts_keys_in_order(self, run, tmp_path: Path) -> None:
        folder = fill(tmp_path / "photos", PLAIN)
        (folder / "empty.jpg").touch()
        status, out, _ = run("build-index", folder, "--encoder", "fake", "--json")
        report = json.loads(out)

        assert status == 0
        assert list(report) == BUILD_KEYS
        assert (report["images"], report["encoded"], report["skipped"]) == (20, 20, 1)
        assert report["skipped_by_reason"] == {"empty": 1}
        assert report["encoder"] == "fake@1"

    def test_the_summary_says_what_was_done_and_what_next(self, run, tmp_path: Path, monkeypatch) -> None:
        folder = fill(tmp_path / "photos", PLAIN)
        (folder / "empty.jpg").touch()
        monkeypatch.chdir(tmp_path)
        status, out, err = run("build-index", "photos", "--encoder", "fake")
        words = out.decode()

        assert status == 0
        for expected in (
            "20 in photos",
            "20 encoded",
            "1: 1 empty",
            "photos/.retrieve/skipped.tsv",
            "flat (exact)",
        ):
            assert expected in words
        assert 'try: retrieve query "a red bus in snow" --index photos\n' in err

    def test_again_nothing_changes(self, run, photos: Path) -> None:
        _, out, _ = run("build-index", photos, "--json")
        report = json.loads(out)

        assert [report[key] for key in ("encoded", "moved", "removed", "skipped")] == [0, 0, 0, 0]
        assert b"changes    none" in run("build-index", photos)[1]

    def test_quiet_is_silent(self, run, photos: Path) -> None:
        assert run("build-index", photos, "--quiet") == (0, b"", "")

    def test_strict_fails_and_says_where(self, run, photos: Path) -> None:
        (photos / "empty.jpg").touch()
        status, _, err = run("build-index", photos, "--strict")

        assert status == 1
        assert "skipped.tsv" in err

    def test_exclude_may_be_repeated(self, run, tmp_path: Path) -> None:
        folder = fill(tmp_path / "photos", ["a.png", "b.png", "c.png"])
        _, out, _ = run(
            "build-index", folder, "--encoder", "fake", "--exclude", "a.*", "--exclude", "b.*", "--json"
        )

        assert json.loads(out)["images"] == 1

    def test_vectors_and_keys_in_and_out(self, run, tmp_path: Path) -> None:
        rows = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)  # (n, d)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        np.save(tmp_path / "clip.npy", rows)
        (tmp_path / "keys.txt").write_text("".join(f"ключ {number}\n" for number in range(50)))
        folder = tmp_path / "vectors"
        arguments = ["--vectors", tmp_path / "clip.npy", "--keys", tmp_path / "keys.txt"]

        assert run("build-index", folder, *arguments, "--quiet") == (0, b"", "")
        assert (
            run("export", "--index", folder, "--vectors", tmp_path / "o.npy", "--keys", tmp_path / "o.txt")[0]
            == 0
        )
        assert (tmp_path / "o.txt").read_bytes() == (tmp_path / "keys.txt").read_bytes()
        np.testing.assert_allclose(np.load(tmp_path / "o.npy").astype(np.float32), rows, atol=1e-3)
        found = json.loads(run("query", "--id", "3", "--self", "--index", folder, "--json")[1])
        assert (found[0]["path"], found[0]["id"]) == ("ключ 3", 3)
        assert found[0]["score"] == pytest.approx(1, abs=1e-3)
        assert json.loads(run("info", "--index", folder, "--json")[1])["encoder"] == "clip"

    def test_the_index_of_the_environment(self, run, photos: Path, monkeypatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("RETRIEVE_INDEX", str(photos / ".retrieve"))

        assert run("info")[0] == 0


class TestQuery:
    def test_by_image_the_copies_are_folded_and_the_image_is_not_its_own_answer(
        self, run, photos: Path
    ) -> None:
        status, out, err = run("query", photos / PLAIN[1], "--index", photos, "--json", "-k", "3")
        found = json.loads(out)

        assert (status, err) == (0, "")
        assert [list(hit) for hit in found] == [["rank", "score", "path", "id", "copies"]] * 3
        assert [hit["rank"] for hit in found] == [1, 2, 3]
        assert PLAIN[1] not in [hit["path"] for hit in found]
        assert found[0]["score"] >= found[1]["score"] >= found[2]["score"]

    def test_self_and_all(self, run, photos: Path) -> None:
        arguments = ["query", photos / PLAIN[0], "--index", photos, "-k", "3", "--json", "--self"]
        (folded, *_), unfolded = (json.loads(run(*arguments, *more)[1]) for more in ([], ["--all"]))

        assert (folded["copies"], folded["score"]) == (2, pytest.approx(1, abs=1e-3))
        assert {hit["path"] for hit in unfolded} == {PLAIN[0], "copy one.png", "plain/copy two.png"}

    def test_words_images_ids_and_minus_come_together(self, run, photos: Path) -> None:
        from retrieval.collection import open_collection
        from retrieval.queries import image, row, text

        arguments = ["2:red", "--text", "blue", "--image", photos / PLAIN[2], "--id", "5", "--minus", "green"]
        status, out, _ = run("query", *arguments, "--index", photos, "--json")
        with open_collection(photos) as collection:
            terms = [text("red", weight=2.0), text("blue"), image(photos / PLAIN[2]), row(5)]
            expected = collection.search(terms, minus=[text("green")])

        assert status == 0
        assert [hit["id"] for hit in json.loads(out)] == [hit.id for hit in expected]

    def test_stdin_is_an_image(self, run, photos: Path, monkeypatch) -> None:
        data = io.BytesIO((photos / PLAIN[4]).read_bytes())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
        found = json.loads(run("query", "-", "--index", photos, "--json", "-k", "1")[1])

        assert found[0]["path"] == PLAIN[4]
        assert found[0]["score"] == pytest.approx(1, abs=1e-2)

    def test_a_pipe_gets_score_tab_path(self, run, photos: Path) -> None:
        lines = run("query", "red", "--index", photos, "-k", "4")[1].decode().splitlines()

        assert len(lines) == 4
        assert all(re.fullmatch(r"-?\d\.\d{4}\t[^\t]+", line) for line in lines)

    def test_every_form_names_the_same_files(self, run, photos: Path) -> None:
        base = ["query", "red", "--index", photos, "-k", "50"]
        found = json.loads(run(*base, "--json")[1])
        lines = [json.loads(line) for line in run(*base, "--jsonl")[1].splitlines()]
        rows = list(csv.DictReader(io.StringIO(run(*base, "--csv")[1].decode(), newline="")))
        raw = run(*base, "-0")[1].split(b"\0")[:-1]
        shown = run(*base, "-f")[1].decode().splitlines()

        assert lines == found
        assert [row["path"] for row in rows] == [hit["path"] for hit in found]
        assert [(row["rank"], row["id"]) for row in rows] == [
            (str(hit["rank"]), str(hit["id"])) for hit in found
        ]
        assert raw == [_raw(hit) for hit in found]
        assert len(shown) == len(found)
        assert RAW in raw
        assert all(os.path.exists(os.path.join(os.fsencode(photos), name)) for name in raw)

    def test_no_hit_is_0(self, run, photos: Path) -> None:
        status, out, err = run("query", "red", "--index", photos, "--min-score", "1.01")

        assert (status, out) == (0, b"")
        assert err == "no image qualifies\n"
        assert run("query", "red", "--index", photos, "--min-score", "1.01", "--json", "--quiet") == (
            0,
            b"[]\n",
            "",
        )

    def test_min_score_zero_is_not_no_min_score(self, run, photos: Path) -> None:
        base = ["query", "--text", "red", "--minus", "green", "--index", photos, "-k", "99", "--json"]
        everything = json.loads(run(*base)[1])
        positive = json.loads(run(*base, "--min-score", "0")[1])

        assert min(hit["score"] for hit in everything) < 0
        assert positive == [hit for hit in everything if hit["score"] >= 0]

    def test_filters(self, run, photos: Path) -> None:
        base = ["query", "red", "--index", photos, "-k", "99", "--json"]
        under = json.loads(run(*base, "--under", "plain")[1])
        glob = json.loads(run(*base, "--glob", "plain/0*.png", "--exact")[1])

        assert {hit["path"].partition("/")[0] for hit in under} == {"plain"}
        assert {hit["path"] for hit in glob} <= set(PLAIN[:10])
        assert glob

    @pytest.mark.parametrize(
        "arguments",
        [["gone.jpg"], ["a/b"], ["--text", ""], ["--id", "9999"], ["cat", "-k", "0"], ["cat", "--dim", "7"]],
    )
    def test_what_a_collection_cannot_take_is_1(self, arguments: list[str], run, photos: Path) -> None:
        status, out, err = run("query", *arguments, "--index", photos)

        assert (status, out) == (1, b"")
        assert err.startswith("error: ")
        assert err.count("\n") == 1

    def test_a_page_beside_the_results(self, run, photos: Path, tmp_path: Path) -> None:
        page = tmp_path / "hits.html"
        status, out, err = run("query", "red", "--index", photos, "-k", "40", "-f", "--html", page)
        html = page.read_text()

        assert status == 0
        assert len(out.splitlines()) == html.count("<li ")
        assert "<script" not in html
        assert "&lt;script&gt;alert(1)&lt;.png" in html
        assert err == f"wrote {page}\n"

    def test_a_changed_folder_is_said_once_on_stderr(self, run, photos: Path) -> None:
        (photos / "new.png").write_bytes((photos / PLAIN[0]).read_bytes())
        os.utime(photos, (1, 1))
        status, out, err = run("query", "red", "--index", photos, "-f")

        assert status == 0
        assert err.count("\n") == 1
        assert "retrieve build-index" in err
        assert b"note" not in out
        assert run("query", "red", "--index", photos, "-f", "--quiet") == (0, out, "")


def _raw(hit: dict[str, str]) -> bytes:
    return base64.b64decode(hit["path_bytes"]) if "path_bytes" in hit else os.fsencode(hit["path"])


class TestTerminal:
    def shown(self, *arguments: str | Path, columns: int) -> str:
        """Return what a command writes to a terminal of that width."""
        ours, theirs = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns)}
        with subprocess.Popen(
            [sys.executable, "-c", RUN, *map(os.fspath, arguments)],
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=environment,
        ) as process:
            os.close(theirs)
            text = b""
            while True:
                try:
                    block = os.read(ours, 65536)
                except OSError:  # Linux: the other side is closed
                    break
                if not block:
                    break
                text += block
            assert process.stderr is not None
            assert process.stderr.read() == b""
        os.close(ours)
        assert process.returncode == 0
        return text.decode().replace("\r\n", "\n")

    @pytest.mark.parametrize("columns", [80, 120])
    def test_a_table_that_fits_without_control_characters(self, columns: int, photos: Path) -> None:
        text = self.shown("query", "--id", "0", "--index", photos, "-k", "50", columns=columns)
        lines = text.splitlines()

        assert lines[0].split() == ["#", "score", "path"]
        assert (
            len(lines) == 26
        )  # 28 files, two of them copies of the query, and the header, without the query
        assert max(map(cells, lines)) <= columns
        assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text) == []
        assert "new\\nline.png" in text
        assert "raw\\xff\\xfe.png" in text

    def test_csv_on_a_terminal_is_escaped(self, photos: Path) -> None:
        text = self.shown("query", "--id", "0", "--index", photos, "-k", "50", "--csv", columns=80)

        assert re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text) == []


class TestReports:
    def test_info(self, run, photos: Path) -> None:
        status, out, _ = run("info", "--index", photos, "--json")
        facts = json.loads(out)
        text = run("info", "--index", photos)[1].decode()

        assert status == 0
        assert set(facts) == set(BUILD_KEYS) - set(COUNTERS) | {
            "generation",
            "format",
            "upgrade",
            "activations",
        }
        assert facts["images"] == 28
        for expected in ("28 in ", "fake@1", "flat (exact)", "format 1"):
            assert expected in text
        assert max(map(len, text.splitlines())) <= 80 + len(str(photos))

    def test_verify(self, run, photos: Path) -> None:
        status, out, _ = run("verify", "--index", photos, "--json")
        checks = json.loads(out)

        assert status == 0
        assert set(checks) == {"ok", "files"}
        assert checks["ok"] is True
        assert all(set(file) == {"path", "ok", "cure"} for file in checks["files"])

    def test_verify_names_the_damaged_file_and_its_cure(self, run, photos: Path) -> None:
        path = photos / ".retrieve" / "rerank.f16"
        data = bytearray(path.read_bytes())
        data[5] ^= 0xFF
        path.write_bytes(data)
        status, out, _ = run("verify", "--index", photos)
        damaged = [line for line in out.decode().splitlines() if line.startswith("damaged")]

        assert status == 1
        assert len(damaged) == 1
        assert "rerank.f16: " in damaged[0]
        assert json.loads(run("verify", "--index", photos, "--json")[1])["ok"] is False

    def test_evaluate(self, run, photos: Path, tmp_path: Path) -> None:
        labels = tmp_path / "labels.csv"
        labels.write_text("file,label\n" + "".join(f"{name},{at % 2}\n" for at, name in enumerate(PLAIN)))
        status, out, _ = run("evaluate", "--index", photos, "--labels", labels, "--json")
        report = json.loads(out)
        text = run("evaluate", "--index", photos, "--labels", labels)[1].decode()

        assert status == 0
        assert list(report) == [
            "recall_at_10",
            "recall_sample",
            "latency_ms",
            "bytes_per_vector",
            "knn_accuracy",
            "labelled",
            "map_at_10",
            "text_recall_at_1",
            "text_recall_at_5",
            "text_recall_at_10",
            "captions",
            "dims",
            "attacks",
        ]
        assert set(report["latency_ms"]) == {"p50", "p95"}
        assert report["labelled"] == 20
        assert "20 labelled files" in text

    def test_widths(self, run, tmp_path: Path) -> None:
        """`build-index --dim`, `query --dim` and `evaluate --dims --plot`, of an encoder without prefixes."""
        rows = np.random.default_rng(0).standard_normal((400, 32)) * np.linspace(2, 0.2, 32)
        np.save(tmp_path / "v.npy", rows)
        (tmp_path / "keys").write_text("".join(f"{number}\n" for number in range(400)))
        build = ("build-index", tmp_path / "c", "--vectors", tmp_path / "v.npy", "--keys", tmp_path / "keys")
        index = ("--index", tmp_path / "c")
        assert run(*build, "--quiet")[0] == 0
        before = (tmp_path / "c" / ".retrieve" / "manifest.json").read_bytes()
        refused = [
            run("query", "--id", "3", "--dim", "8", *index),
            run("evaluate", "--dims", "8,33", *index),
            run("evaluate", "--plot", tmp_path / "x.txt", *index),
            run(*build, "--dim", "0"),
            run(*build, "--dim", "33"),
        ]

        assert all((status, out) == (1, b"") for status, out, _ in refused)
        assert all(err.startswith("error: ") and err.count("\n") == 1 for *_, err in refused)
        assert "not trained for truncation" in refused[0][2]
        assert (tmp_path / "c" / ".retrieve" / "manifest.json").read_bytes() == before

        status, out, err = run(*build, "--dim", "8", "--json")
        facts = json.loads(out)
        assert (status, facts["kind"], facts["dim"], facts["width"]) == (0, "flat", 8, 32)
        assert facts["recall_at_10"] > 0.9
        assert "rotation by" in err
        assert "recall@10" in err
        assert "funnel" in run("info", *index)[1].decode()
        assert run("query", "--id", "3", "--dim", "5", "--json", *index)[0] == 0
        assert "chosen: " in run(*build, "--dim", "auto", "--kind", "flat")[2]

        figure = tmp_path / "widths.svg"
        status, out, _ = run("evaluate", "--dims", "32,8", "--plot", figure, "--json", *index)
        dims = json.loads(out)["dims"]
        assert [row["dim"] for row in dims] == [8, 32]
        assert all(
            set(row)
            == {
                "dim",
                "recall_at_10",
                "recall_at_10_reranked",
                "knn_accuracy",
                "bytes_per_vector",
                "latency_ms",
            }
            for row in dims
        )
        assert dims[0]["recall_at_10"] < dims[0]["recall_at_10_reranked"] <= 1
        assert (dims[1]["recall_at_10"], dims[1]["bytes_per_vector"]) == (1, 64)
        assert figure.read_text().startswith("<?xml")
        assert "reranked" in run("evaluate", "--dims", "8", *index)[1].decode()

    def test_encoders(self, run) -> None:
        status, out, _ = run("encoders", "--json")
        known = json.loads(out)
        text = run("encoders")[1].decode()

        assert status == 0
        assert all(
            set(one) == {"spec", "available", "image", "text", "differentiable", "install"} for one in known
        )
        assert "fake@1" in [one["spec"] for one in known]
        assert all(one["spec"] in text for one in known if len(one["spec"]) < 30)

    def test_an_export_that_lines_cannot_carry_is_refused_whole(
        self, run, photos: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()
        status, _, err = run("export", "--index", photos, "--vectors", out / "v.npy", "--keys", out / "k.txt")

        assert status == 1
        assert "line break" in err or "UTF-8" in err
        assert list(out.iterdir()) == []


class TestProgress:
    def test_lines_every_ten_seconds(self) -> None:
        stream, now = io.StringIO(), [0.0]
        view = Lines(stream, clock=lambda: now[0])
        for second in range(31):
            now[0] = float(second)
            view(Progress(phase="embed", done=100 * second, total=6000, skipped=second // 10))
        view.close()

        assert stream.getvalue().splitlines() == [
            "encoding: 1,000 of 6,000 images, 100/s, 50 s left, 1 skipped",
            "encoding: 2,000 of 6,000 images, 100/s, 40 s left, 2 skipped",
            "encoding: 3,000 of 6,000 images, 100/s, 30 s left, 3 skipped",
        ]

    def test_messages_are_printed_at_once_and_escaped(self) -> None:
        stream = io.StringIO()
        Lines(stream)(Progress(phase="plan", message="about 3 min\x1b"))

        assert stream.getvalue() == "about 3 min\\x1b\n"

    def test_a_bar_on_a_terminal(self) -> None:
        from retrieval.cli.progress import Bar

        stream = io.StringIO()
        view = Bar(stream, every=0)
        for done in range(0, 101, 50):
            view(Progress(phase="embed", done=done, total=100, skipped=3))
        view(Progress(phase="tune", done=1, total=4))
        view.close()

        assert "encoding" in stream.getvalue()
        assert "3 skipped" in stream.getvalue()
        assert "tuning" in stream.getvalue()

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0.4, "0 s"), (90, "90 s"), (125, "2 min"), (7500, "2 h 5 min")]
    )
    def test_duration(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text
