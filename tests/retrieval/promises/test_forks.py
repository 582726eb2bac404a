"""Collections across processes: forked, spawned, from a fork server, in a data loader; copied and pickled."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from indexes.engine import backend
from indexes.store.store import VectorStore
from retrieval.testing import FakeEncoder

ROWS, DIM = 3000, 32
SECONDS = 120.0  # usual: 0.3 forked, 2 spawned

STARTS = ("fork", "spawn", "forkserver")
BEFORE = ("opened before", "opened after", "searched before")
TASKS = ("search", "open", "build")


def vectors() -> np.ndarray:
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((50, DIM))
    return (centres[draw.integers(0, 50, ROWS)] + 0.4 * draw.standard_normal((ROWS, DIM))).astype(np.float32)


def queries() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((64, DIM)).astype(np.float32)


@pytest.fixture(autouse=True)
def _several_threads(monkeypatch) -> None:
    """Let batches use two threads however busy the machine is: with one, nothing of OpenMP is there to hang."""
    monkeypatch.setattr(backend, "_allowed_cores", lambda: 2)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("forks") / "home"
    names = [str(number) for number in range(ROWS)]
    retrieval.sync_vectors(home, vectors(), names, kind="ivfrabitq", space="made")
    return home


def work(answer, task: str, home: Path, collection, elsewhere: Path) -> None:
    """Do in another process what it is asked to, and send what came of it."""
    try:
        if task == "search":
            opened = collection or retrieval.open(home)
            answer.send(opened.search_vectors(queries(), k=5).ids.tolist())
        elif task == "open":
            with retrieval.open(home) as opened:
                answer.send(opened.key_of(7))
        else:
            names = [str(number) for number in range(ROWS)]
            report = retrieval.sync_vectors(elsewhere, vectors(), names, kind="ivfrabitq")
            answer.send(report.rows)
    except BaseException as error:
        answer.send(repr(error))
        raise


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("start", STARTS)
def test_another_process(home, tmp_path, start, before, task):
    """At 460ecca eight of the nine forked ones hang or fail, and a collection cannot be sent to the others."""
    with retrieval.open(home) as collection:
        expected = {
            "search": collection.search_vectors(queries(), k=5).ids.tolist(),
            "open": "7",
            "build": ROWS,
        }
        if before != "searched before":
            collection.close()
            collection = retrieval.open(home)  # noqa: PLW2901 - as if nobody had searched
        passed = None if before == "opened after" else collection
        if before == "opened after":
            collection.close()
        context = multiprocessing.get_context(start)
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(there, task, home, passed, tmp_path / "new"))
        process.start()
        there.close()
        try:
            assert here.poll(SECONDS), "the other process hangs"
            assert here.recv() == expected[task]
            process.join(SECONDS)
            assert process.exitcode == 0
        finally:
            process.kill()
            process.join()
            collection.close()


class Dataset:
    """What a training program would write: every item is a search."""

    def __init__(self, collection, home: Path, *, own: bool) -> None:
        self.collection, self.home, self.own = collection, home, own

    def __len__(self) -> int:
        return 8

    def __getitem__(self, number: int):
        if self.own:
            with retrieval.open(self.home) as collection:
                return collection.search_vectors(queries(), k=3).ids[number].tolist()
        return self.collection.search_vectors(queries(), k=3).ids[number].tolist()


@pytest.mark.parametrize("own", [False, True], ids=["passed on", "opened there"])
@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_data_loader_with_two_workers(home, start, own):
    data = pytest.importorskip("torch.utils.data")
    with retrieval.open(home) as collection:
        expected = collection.search_vectors(queries(), k=3).ids[:8].tolist()

        loader = data.DataLoader(
            Dataset(collection, home, own=own),
            batch_size=None,
            num_workers=2,
            multiprocessing_context=start,
            timeout=SECONDS,
        )
        found = list(loader)

        assert found == expected
        assert collection.search_vectors(queries(), k=3).ids[:8].tolist() == expected


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda collection: pickle.loads(pickle.dumps(collection))],  # noqa: S301 - our own
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_opens_itself(home, again):
    """At 460ecca a copy closes the descriptors of the first one, and a pickle is an error about a lock."""
    with retrieval.open(home) as collection:
        other = again(collection)
        expected = collection.search_vectors(queries(), k=5).ids.tolist()
    with other:
        assert other.search_vectors(queries(), k=5).ids.tolist() == expected


def test_a_copy_keeps_encoder_root_and_relative_places(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (16, 16), (200, 30, 30)).save(folder / "red.png")
    encoder = FakeEncoder(dim=32)
    retrieval.build_index(folder, encoder=encoder)
    monkeypatch.chdir(tmp_path)
    with retrieval.open("photos", encoder=encoder, root="photos", device="cpu") as collection:
        assert copy.copy(collection).encoder is encoder
        data = pickle.dumps(collection)
    monkeypatch.chdir("/")
    with pickle.loads(data) as again:  # noqa: S301 - our own
        assert again.root == folder
        (hit,) = again.search("red", k=1)
        assert hit.path == "red.png"


def test_what_holds_files_is_not_copied(home):
    with (
        VectorStore.open(home / ".retrieve", dim=DIM) as store,
        pytest.raises(TypeError, match="send the path"),
    ):
        copy.copy(store)


NANO = """
import os, sys, threading
import numpy as np
import retrieval
encoder = retrieval.load_encoder("nano", device="cpu")
batch = np.stack([encoder.preprocess(__import__("PIL.Image").Image.new("RGB", (64, 64), (number, 9, 99))) for number in range(8)])
expected = encoder.encode_pixels(batch)
child = os.fork()
if child == 0:
    np.testing.assert_allclose(encoder.encode_pixels(batch), expected, atol=1e-5)
    assert encoder.encode_text(["a red bus"]).shape == (1, encoder.space.dim)
    sys.exit(7)  # and the interpreter ends: what was inherited must not wait for threads that are not there
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
unused = os.fork()
if unused == 0:
    sys.exit(8)
assert os.waitstatus_to_exitcode(os.waitpid(unused, 0)[1]) == 8
np.testing.assert_allclose(encoder.encode_pixels(batch), expected, atol=1e-5)
import pickle
np.testing.assert_allclose(pickle.loads(pickle.dumps(encoder)).encode_pixels(batch), expected, atol=1e-5)
"""


def test_a_forked_child_encodes():
    """At 460ecca the child waits for the threads of its parent's ONNX Runtime."""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", NANO],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
