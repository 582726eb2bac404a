"""Ctrl-C at any moment, and standard streams that are closed, broken or cannot seek."""

from __future__ import annotations

import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.cli.frame import interrupts
from retrieval.testing import FakeEncoder
from tests.retrieval.cli.shell import ROOT, RUN
from tests.retrieval.folders import fill, picture

WAYS = {"module": ["-m", "retrieval.cli"], "package": ["-m", "retrieval"], "code": ["-c", RUN]}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = fill(tmp_path_factory.mktemp("c") / "photos", [f"{n}.png" for n in range(12)])
    retrieval.build_index(folder, encoder="nano", device="cpu")
    return folder


def interrupted(way: str, *arguments: str | Path, after: float) -> tuple[int, str, str]:
    with subprocess.Popen(
        [sys.executable, *WAYS[way], *map(os.fspath, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd="/",
    ) as process:  # fmt: skip
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def seconds_of(way: str, *arguments: str | Path) -> float:
    """Return how long a command takes on this machine, as busy as it is."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, *WAYS[way], *map(os.fspath, arguments)],
        check=True,
        capture_output=True,
        env=ENVIRONMENT,
    )
    return time.monotonic() - began


def answer_of(way: str, *arguments: str | Path) -> str:
    """Return what a command prints when nothing stops it."""
    return subprocess.run(
        [sys.executable, *WAYS[way], *map(os.fspath, arguments)],
        check=True, capture_output=True, text=True, env=ENVIRONMENT, cwd="/",
    ).stdout  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_while_modules_are_imported_ends_the_command_without_a_word(photos, way):
    commands = [["query", "a red bus"], ["info"], ["verify"]]
    chance, usual = random.Random(way), seconds_of(way, "info", "--index", photos)
    whole = {tuple(asked): answer_of(way, *asked, "--index", photos) for asked in commands}
    reached = 0
    for _ in range(16):
        asked = chance.choice(commands)
        status, out, err = interrupted(way, *asked, "--index", photos, after=chance.uniform(0.1, 1.1) * usual)

        # What Python itself says while it starts, before it has read a line of ours, is beyond our reach.
        assert re.findall(r'File ".*/(?:retrieval|indexes)/.*"', err) == []
        if "KeyboardInterrupt" in err or status == -signal.SIGINT:
            continue
        assert err == ""
        assert status in {0, 130}
        # Once the answer is there the interrupt has nothing left to stop; half an answer would be a fault.
        assert out == whole[tuple(asked)] or (status == 130 and out == "")
        reached += out == ""
    assert reached


def test_an_interrupt_of_a_build_says_what_is_kept_and_goes_on(tmp_path):
    folder = fill(tmp_path / "p", [f"{n}.png" for n in range(150)])
    chance, usual, said = random.Random(5), seconds_of("module", "encoders"), 0
    for _ in range(8):
        status, _, err = interrupted("module", "build-index", folder, after=chance.uniform(1, 4) * usual)
        if "Fatal Python error" in err:  # on a busy machine it had not read a line of ours
            continue
        assert "Traceback" not in err
        assert "Exception ignored" not in err
        assert status in {0, 130}
        if status == 130 and err:
            said += 1
            assert err.splitlines()[-1].startswith("interrupted: what was committed is kept")
    done = subprocess.run(
        [sys.executable, *WAYS["module"], "build-index", folder, "--quiet"], env=ENVIRONMENT, check=False
    )

    assert done.returncode == 0
    with retrieval.open(folder) as collection:
        assert len(collection) == 150


def test_a_program_that_imports_the_library_keeps_its_own_handling():
    code = (
        "import signal, retrieval.cli, retrieval.cli.outcome\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "retrieval.cli.main(['encoders', '--quiet'])\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT, capture_output=True)


def test_an_interrupt_that_is_ignored_stays_ignored(photos):
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, *WAYS["module"]]
    with subprocess.Popen(
        [*command, "info", "--index", photos], stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert out


def test_within_an_import_the_exception_waits(monkeypatch):
    raised = []
    previous = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
    try:
        interrupts.leave_at_once()
        interrupts.raise_from_now_on()
        source = "import signal, time\nsignal.raise_signal(signal.SIGINT)\ntime.sleep(0.05)\nDONE = True\n"
        import importlib.util

        class Loader:
            def create_module(self, spec):
                return None

            def exec_module(self, module):
                exec(compile(source, "x", "exec"), module.__dict__)  # noqa: S102 - a module made here
                raised.append(module.DONE)

        class Finder:
            def find_spec(self, name, path=None, target=None):
                return importlib.util.spec_from_loader(name, Loader()) if name == "made_here" else None

        monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - where it is raised is what is tested
            __import__("made_here")
            time.sleep(1)
    finally:
        signal.signal(signal.SIGINT, previous[0])
        signal.signal(signal.SIGALRM, previous[1])
        sys.modules.pop("made_here", None)

    assert raised == [True]


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", ">&- <&- 2>&-", "<&- >&-"])
@pytest.mark.parametrize(
    "command", [["info"], ["query", "a cat"], ["query", "a cat", "--json"], ["--help"], ["encoders"]]
)
def test_closed_streams_are_no_reason_to_fail(photos, closed, command):
    where = [] if command in (["--help"], ["encoders"]) else ["--index", str(photos)]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", sys.executable, *WAYS["module"], *command, *where],
        env=ENVIRONMENT, check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_what_is_written_with_closed_streams_is_whole(tmp_path, photos):
    done = subprocess.run(
        ["sh", "-c", '"$@" >&- <&- 2>&-', "sh", sys.executable, *WAYS["module"], "export", "--index", photos,
         "--vectors", tmp_path / "v.npy", "--keys", tmp_path / "k.txt"],
        env=ENVIRONMENT, check=False,
    )  # fmt: skip

    assert done.returncode == 0
    assert np.load(tmp_path / "v.npy").shape == (12, retrieval.load_encoder("nano").space.dim)
    assert len((tmp_path / "k.txt").read_text().splitlines()) == 12


@pytest.mark.parametrize(
    "form",
    [
        "cat {0} | {1} query - ",
        "{1} query --image - < {0} ",
        "cat {0} | {1} query 2:- ",
        "cat {0} | {1} query /dev/stdin ",
    ],
)
def test_an_image_comes_through_a_pipe(photos, form):
    command = f"{sys.executable} -m retrieval.cli"
    text = form.format(photos / "3.png", command) + f"--index {photos} -k 1 -f"
    done = subprocess.run(["sh", "-c", text], env=ENVIRONMENT, check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "3.png\n", "")


def test_a_reader_that_leaves_early_ends_the_command_quietly(photos):
    text = f"{sys.executable} -m retrieval.cli query 'a cat' --index {photos} | true"
    done = subprocess.run(["sh", "-c", text], env=ENVIRONMENT, check=False, capture_output=True, text=True)

    assert done.stderr == ""


def test_a_stream_that_cannot_seek_is_read_once():
    data = io.BytesIO()
    picture(3).save(data, format="PNG")
    read, write = os.pipe()
    os.write(write, data.getvalue())
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        term = retrieval.image(pipe)

    assert term.terms[0].value == data.getvalue()
    assert FakeEncoder().preprocess(Image.open(io.BytesIO(term.terms[0].value))).shape == (8, 8, 3)
