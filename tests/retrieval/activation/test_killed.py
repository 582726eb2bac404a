"""A run that is killed leaves no copy that its collection does not know, and the next run goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import retrieval
from retrieval.collection import activations
from retrieval.evaluation import survival
from tests.retrieval.activation.galleries import NAMES

pytest.importorskip("torch", reason="torch comes with the extra open-clip")

ROOT = Path(__file__).parents[3]
CHOSEN = NAMES[:6]
KILLED = """
import os, signal, sys
from pathlib import Path
import retrieval
from retrieval.activation import batch_reader, copies

photos, out, survive = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
batch_reader.BATCH_IMAGES = 2
write = copies.Copy.write
done = []

def killed(copy, path):
    if len(done) == survive:
        os.kill(os.getpid(), signal.SIGKILL)
    write(copy, path)
    done.append(path)

copies.Copy.write = killed
retrieval.activate([photos / name for name in sys.argv[4:]], out=out, device="cpu")
"""


def recorded(photos: Path) -> list[str]:
    with retrieval.open(photos) as collection:
        return [
            copy.name
            for run in activations.activations(collection)
            for _, copy, _ in activations.entries(collection, run)
        ]


@pytest.mark.parametrize("survive", [2, 3])  # before a batch's first copy, and in the middle of one
def test_what_a_killed_run_wrote_is_known_and_not_made_again(photos, tmp_path, survive):
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, photos, out, str(survive), *CHOSEN],
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    written = {path.name: path.read_bytes() for path in out.glob("[0-9]*")}
    with retrieval.open(photos, device="cpu") as collection:
        pairs = survival.pairs(collection)
    known = recorded(photos)
    rest = retrieval.activate([photos / name for name in CHOSEN], out=out, device="cpu")

    assert sorted(written) == CHOSEN[:survive]
    assert sorted(pair.copy.name for pair in pairs) == CHOSEN[:survive]
    assert known == CHOSEN[:4]  # announced by batches of two
    assert [result.already for result in rest] == [True] * survive + [False] * (6 - survive)
    assert [result.status for result in rest] == ["refused"] * survive + ["activated"] * (6 - survive)
    assert all(result.cosine_after > result.cosine_before for result in rest)
    assert {name: (out / name).read_bytes() for name in written} == written
    assert set(recorded(photos)) == set(CHOSEN)


def test_another_file_in_the_place_of_a_recorded_copy_is_not_taken_for_it(photos, tmp_path):
    out = tmp_path / "out"
    retrieval.activate(photos / NAMES[0], out=out, device="cpu")
    (out / NAMES[0]).write_bytes(b"mine")
    (again,) = retrieval.activate(photos / NAMES[0], out=out, device="cpu")

    assert (again.already, again.output) == (False, None)
    assert "not overwritten" in again.reason


def test_what_could_not_be_put_in_its_place_is_recorded_no_longer(photos, tmp_path, monkeypatch):
    from retrieval.activation.copies import Copy

    write = Copy.write

    def late(copy, path):
        if path.name in NAMES[1:3]:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"mine")
        write(copy, path)

    monkeypatch.setattr(Copy, "write", late)
    results = retrieval.activate([photos / name for name in NAMES[:4]], out=tmp_path / "out", device="cpu")
    alone = retrieval.activate(photos / NAMES[2], out=tmp_path / "other", device="cpu")

    assert [result.output is None for result in results] == [False, True, True, False]
    assert "appeared meanwhile" in results[1].reason
    assert alone[0].output is None
    assert recorded(photos) == [NAMES[0], NAMES[3]]
    assert len(retrieval.open(photos).info()["activations"]) == 1


def test_a_list_that_grew_when_the_run_was_killed_is_read_as_far_as_it_counts(photos, tmp_path):
    retrieval.activate([photos / name for name in NAMES[:2]], out=tmp_path / "out", device="cpu")
    with retrieval.open(photos) as collection:
        listed = collection.directory / collection.manifest.activations[0]["file"]
    with listed.open("ab") as file:
        file.write(b'{"path": "to')

    assert recorded(photos) == NAMES[:2]


def test_an_unfinished_copy_is_removed_by_the_next_run(photos, tmp_path):
    """At 460ecca it stays beside the copies for ever."""
    out = tmp_path / "out"
    midway = KILLED.replace(
        "copies.Copy.write = killed",
        """
def stopped(copy, path):
    os.link = lambda *_args, **_options: os.kill(os.getpid(), signal.SIGKILL)
    write(copy, path)

copies.Copy.write = stopped""",
    )
    done = subprocess.run(
        [sys.executable, "-c", midway, photos, out, "0", *CHOSEN], capture_output=True, check=False, cwd=ROOT
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path.name for path in out.iterdir() if path.name.startswith(".partial-")]
    foreign = out / ".partial-of another program"
    foreign.touch()

    retrieval.activate([photos / CHOSEN[0]], out=out, device="cpu")
    assert list(out.rglob(".partial-*")) == [foreign]
