"""A disk that is full: one line that says so, nothing half written, nothing lost, and on it goes when there is room."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexes import files
from indexes.engine import ivf
from indexes.engine.backend import faiss
from indexes.errors import StoreFull
from retrieval.activation.copies import Copy
from retrieval.cli import main
from retrieval.render.output import replacing
from tests.small_disk import small_disk

ROWS, DIM = 3000, 64


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path, "256k") as disk:
        yield disk


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("built") / "home"
    rows = np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)
    retrieval.sync_vectors(home, rows, [f"{number:06}" for number in range(ROWS)], space="made")
    return home


def leave(disk: Path, free: int) -> Path:
    """Fill a disk up to so many bytes."""
    filling = disk / "filling"
    filling.write_bytes(b"\1" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize - free))
    return filling


def everything(disk: Path) -> set[str]:
    return {path.name for path in disk.iterdir()}


@pytest.mark.parametrize("free", [0, 4096, 64 << 10])
def test_export_to_a_full_disk(disk, home, capsys, free):
    """At 460ecca: "this is a bug: OSError", for numpy counts what it wrote and gives its error no number; keys stay."""
    filling = leave(disk, free)
    words = ["export", "--vectors", f"{disk}/v.npy", "--keys", f"{disk}/k.txt", "--index", str(home)]

    assert main(words) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "cannot be written, no space left on device" in message
    assert "free some space and run the command again" in message
    assert everything(disk) == {"filling"}

    filling.unlink()
    disk_is_large_enough = subprocess.run(["mount", "-o", "remount,size=1m", disk], check=False)
    assert disk_is_large_enough.returncode == 0
    assert main(words) == 0
    assert everything(disk) == {"v.npy", "k.txt"}


def test_export_keeps_the_files_that_had_the_names(disk, home):
    (disk / "v.npy").write_bytes(b"before")
    (disk / "k.txt").write_bytes(b"before")
    leave(disk, 8192)

    assert (
        main(["export", "--vectors", f"{disk}/v.npy", "--keys", f"{disk}/k.txt", "--index", str(home)]) == 1
    )
    assert (disk / "v.npy").read_bytes() == (disk / "k.txt").read_bytes() == b"before"


def test_a_page_of_results_on_a_full_disk(disk, home, capsys):
    leave(disk, 0)

    assert main(["query", "--id", "3", "--html", f"{disk}/page.html", "--index", str(home)]) == 1
    assert "page.html: cannot be written, no space left on device (0 bytes free)" in capsys.readouterr().err
    assert everything(disk) == {"filling"}


def test_a_figure_on_a_full_disk(disk):
    plots = pytest.importorskip("retrieval.evaluation.plots")
    pytest.importorskip("matplotlib")
    leave(disk, 4096)

    with (
        pytest.raises(StoreFull, match=r"f\.svg: cannot be written, no space left"),
        plots.figure(disk / "f.svg", width=4, height=3, panels=1) as (axes,),
    ):
        axes.plot([1, 2])
    assert everything(disk) == {"filling"}


@pytest.mark.parametrize("rows", [980, 1000])
def test_an_index_that_does_not_fit_by_its_last_bytes(tmp_path, disk, rows):
    """At 460ecca no error: FAISS prints that its file cannot be closed, and a short index is published."""
    index = faiss().IndexFlatIP(16)
    index.add(np.random.default_rng(0).standard_normal((rows, 16)).astype(np.float32))
    size = len(faiss().serialize_index(index))
    leave(disk, size // 4096 * 4096)

    with pytest.raises(StoreFull, match="no space left on device"), files.writing(disk / "index"):
        ivf.save(index, disk / "index")
    ivf.save(index, tmp_path / "index")
    assert (tmp_path / "index").stat().st_size == size


@pytest.mark.parametrize("save", [np.save, np.savez])
def test_numpy_on_a_full_disk(disk, save):
    leave(disk, 4096)
    with pytest.raises(StoreFull, match="no space left on device"), files.writing(disk / "a.npy"):
        save(disk / "a.npy", np.zeros(100_000))


def fail_at(monkeypatch, call: str, number: int) -> list[int]:
    """Let the ``number``-th call of a function of `os` from now on find the disk full, and those that follow."""
    real, seen = getattr(os, call), [0]

    def failing(*args, **options):
        seen[0] += 1
        if seen[0] >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **options)

    monkeypatch.setattr(os, call, failing)
    return seen


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_refused_sync_leaves_the_old_file(tmp_path, monkeypatch, call):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with monkeypatch.context() as patch:
        fail_at(patch, call, 1)
        with pytest.raises(StoreFull), replacing(path) as file:
            file.write(b"after")
    assert path.read_bytes() == b"before"
    assert everything(tmp_path) == {"file"}


@pytest.mark.parametrize("call", ["fsync", "rename", "replace", "mkdir", "pwrite"])
def test_builds_go_on_when_there_is_room(tmp_path, monkeypatch, call):
    """Fail at every call of a kind in turn: one line, the last collection answers, and the same build gets through."""
    draw = np.random.default_rng(1)
    home = tmp_path / "home"
    rows = draw.standard_normal((300, 16)).astype(np.float32)
    retrieval.sync_vectors(home, rows, [str(n) for n in range(300)], space="made")
    turns, faults = 0, []
    for number in range(1, 60):
        more = np.concatenate([rows, draw.standard_normal((5, 16)).astype(np.float32)])
        names = [str(n) for n in range(len(more))]
        with monkeypatch.context() as patch:
            seen = fail_at(patch, call, number)
            try:
                retrieval.sync_vectors(home, more, names)
            except StoreFull as error:
                faults.append(str(error))
                turns += 1
            else:
                if seen[0] < number:
                    break  # all were tried; what failed without a word was the removal of what nobody reads
        with retrieval.open(home) as collection:
            assert len(collection) in (len(rows), len(more))
        retrieval.sync_vectors(home, more, names)
        rows = more
        with retrieval.open(home) as collection:
            assert len(collection) == len(rows)
        inside = everything(home / ".retrieve") | everything(home / ".retrieve" / "generations")
        assert not [name for name in inside if name.startswith(".partial-")]
    assert turns >= 1
    assert not [fault for fault in faults if "\n" in fault]


def test_an_activated_copy_on_a_full_disk(disk):
    leave(disk, 4096)
    copy = Copy(data=b"\1" * 20_000, scale=1.0, psnr=40.0, ssim=1.0, linf=1)

    with pytest.raises(StoreFull, match=r"a\.png: cannot be written, no space left on device"):
        copy.write(disk / "a.png")
    assert everything(disk) == {"filling"}
    (disk / "filling").unlink()
    copy.write(disk / "a.png")
    assert everything(disk) == {"a.png"}


@pytest.mark.parametrize("call", ["fsync", "rename", "replace", "mkdir", "pwrite"])
def test_a_row_by_hand_is_there_whole_or_not_at_all(tmp_path, monkeypatch, call):
    """Fail at every call of a kind in turn: one line, what was there answers, and the same call gets through."""
    draw = np.random.default_rng(1)
    kept = {}
    faults = []
    with retrieval.create(tmp_path / "home", dim=16) as collection:
        for number in range(1, 40):
            vector = draw.standard_normal(16).astype(np.float32)
            with monkeypatch.context() as patch:
                seen = fail_at(patch, call, number)
                try:
                    collection.upsert(vector, f"row {number}")
                except StoreFull as error:
                    faults.append(str(error))
                else:
                    if seen[0] < number:
                        break  # all were tried
            assert set(collection) in (set(kept), {*kept, f"row {number}"})
            collection.upsert(vector, f"row {number}")
            kept[f"row {number}"] = vector
            assert set(collection) == set(kept)
            assert collection.search(vector, k=1)[0].path == f"row {number}"
        assert [check for check in collection.verify() if not check.ok] == []
    assert not [fault for fault in faults if "\n" in fault]
    with retrieval.open(tmp_path / "home") as collection:
        assert set(collection) >= set(kept)
