"""A build that ends early keeps what it has, and the next one goes on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import PROBES, CountingEncoder, fill, picture
from tests.retrieval.ingestion.galleries import build, paths


class Interrupted(CountingEncoder):
    """Stops as Ctrl-C does after some images."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def encode_pixels(self, batch: object) -> object:
        if self.encoded >= self.after:
            raise KeyboardInterrupt
        return super().encode_pixels(batch)


def test_an_interrupted_build_keeps_what_it_has_and_continues(tmp_path: Path) -> None:
    photos = fill(tmp_path / "p", [f"{number:03}.png" for number in range(100)])

    with pytest.raises(KeyboardInterrupt):
        build(photos, Interrupted(after=40))

    kept = len(paths(photos, FakeEncoder()))
    assert kept >= 32
    rest = CountingEncoder()
    assert build(photos, rest).images == 100
    # Of those kept, three are compared with what this other object gives.
    assert rest.encoded == 100 - kept + 3 + PROBES


def interrupt_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("retrieval.ingestion.publication.derive", interrupt)


def test_a_build_interrupted_while_it_trains_answers_with_every_row(
    photos: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_training(monkeypatch)

    with pytest.raises(KeyboardInterrupt):
        build(photos, encoder)

    with retrieval.open(photos, encoder=encoder) as collection:
        assert len(collection) == 12
        assert len(collection.search(picture(0), k=20)) == 12


def test_a_callback_that_fails_ends_the_build_and_keeps_its_rows(
    photos: Path, encoder: CountingEncoder
) -> None:
    def fail(progress: retrieval.Progress) -> None:
        if progress.phase == "embed":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build(photos, encoder, progress=fail)

    assert len(paths(photos, encoder)) == 12


def test_a_build_that_fails_before_its_first_row_leaves_nothing(photos: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(photos, Interrupted(after=0))

    assert not (photos / ".retrieve").exists()
    assert build(photos, FakeEncoder(name="other", dim=32)).images == 12


def test_a_store_left_empty_by_a_kill_does_not_bind_the_next_encoder(photos: Path) -> None:
    from indexes.store.store import VectorStore

    VectorStore.create(photos / ".retrieve", dim=32).close()

    assert build(photos, FakeEncoder(dim=64)).images == 12


CHILD = """
import sys
from pathlib import Path
import retrieval
from indexes.store import commit_pace
from tests.retrieval.folders import CountingEncoder
commit_pace.SECONDS = 0.0
print("start", flush=True)
retrieval.build_index(Path(sys.argv[1]), encoder=CountingEncoder())
print("done", flush=True)
"""


def killed_at(delay: float, folder: Path) -> Iterator[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdout is not None
    yield child.stdout.readline()
    time.sleep(delay)
    child.send_signal(signal.SIGKILL)
    yield child.stdout.read()
    child.wait()
    child.stdout.close()


def test_builds_killed_again_and_again_end_in_the_whole_collection(tmp_path: Path) -> None:
    """A few kills of a whole build; the store's own test kills at every write."""
    photos = fill(tmp_path / "p", [f"{number:04}.png" for number in range(400)])
    encoder = FakeEncoder()
    for attempt in range(6):
        said = "".join(killed_at(0.02 + 0.08 * attempt, photos))
        assert said.startswith("start")
        if (photos / ".retrieve" / "manifest.json").exists():
            assert len(paths(photos, encoder)) <= 400

    assert build(photos, encoder).images == 400
    found = paths(photos, encoder)
    assert sorted(found) == sorted(path.name for path in photos.glob("*.png"))
    assert len(set(found.values())) == 400


@pytest.mark.parametrize("images", [True, False])
def test_a_build_that_changes_nothing_removes_generations_that_a_killed_writer_left(
    tmp_path: Path, *, images: bool
) -> None:
    """One killed right after its publish could not remove the generation before."""
    photos = fill(tmp_path / "p", [f"{number}.png" for number in range(5)])
    rows = np.eye(5, 8, dtype=np.float32)

    def again() -> None:
        if images:
            build(photos, FakeEncoder())
        else:
            retrieval.sync_vectors(photos, rows, [*"abcde"], space="made")

    again()
    generations = photos / ".retrieve" / "generations"
    published = sorted(path.name for path in generations.iterdir())
    shutil.copytree(generations / published[-1], generations / "0000")

    again()

    assert sorted(path.name for path in generations.iterdir()) == published
