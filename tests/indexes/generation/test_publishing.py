"""Generations are published whole, pinned by readers, and removed when nobody reads them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from indexes.errors import OptionError, StoreCorrupt, StoreFull, StoreReadOnly
from indexes.files import link_or_copy
from indexes.generation import Inverted, pin_generation, read_pinned
from indexes.generation.manifest import (
    check_sizes,
    generation_path,
    new_generation_dir,
    publish,
    read_manifest,
)
from tests.indexes.generation.generations import manifest, published


def test_publishing_names_the_generation_and_measures_its_files(tmp_path):
    prepared = new_generation_dir(tmp_path, 7)
    (prepared / "index.faiss").write_text("12345")
    index = Inverted(kind="factory", factory="IVF4,SQ8", dim=16, base_rows=3, recall_target=0.95)
    done = publish(tmp_path, manifest(generation=7, index=index), prepared)

    assert generation_path(tmp_path, 7) == tmp_path / "generations" / "0007"
    assert (generation_path(tmp_path, 7) / "index.faiss").read_text() == "12345"
    assert done == read_manifest(tmp_path)
    assert done.index.file is not None
    assert (done.index.file.bytes, done.files["index.faiss"]) == (5, done.index.file)
    assert done.index.file.sha256.startswith("5994471abb01112a")
    assert [path.name for path in (tmp_path / "generations").iterdir()] == ["0007"]


def test_an_old_generation_is_removed_when_nobody_reads_it(tmp_path):
    published(tmp_path, 1)
    published(tmp_path, 2)
    reader = pin_generation(tmp_path, 2)
    published(tmp_path, 3)

    assert not generation_path(tmp_path, 1).exists()
    assert (reader.path / "report").read_text() == "of generation 2"
    reader.close()
    published(tmp_path, 4)
    assert sorted(path.name for path in (tmp_path / "generations").iterdir()) == ["0004"]


def test_a_generation_read_by_another_process_stays(tmp_path):
    published(tmp_path, 1)
    code = (
        "import sys; from indexes.generation import read_pinned\n"
        "m, pin = read_pinned(sys.argv[1]); print(m.generation, flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=pipe, stdout=pipe, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "1\n"
        published(tmp_path, 2)
        assert generation_path(tmp_path, 1).exists()
        reader.kill()
        reader.wait()
    published(tmp_path, 3)
    assert not generation_path(tmp_path, 1).exists()


def test_a_reader_that_comes_too_late_takes_the_newer_generation(tmp_path, monkeypatch):
    """Between reading the manifest and pinning, a writer may publish and remove."""
    published(tmp_path, 1)
    stale = read_manifest(tmp_path)
    published(tmp_path, 2)
    with pytest.raises(FileNotFoundError):
        pin_generation(tmp_path, 1)
    answers = iter([stale])
    real = read_manifest
    monkeypatch.setattr(
        "indexes.generation.manifest.read_manifest", lambda path: next(answers, None) or real(path)
    )
    found, pin = read_pinned(tmp_path)

    assert found.generation == 2
    pin.close()


def test_a_generation_under_removal_cannot_be_pinned(tmp_path):
    published(tmp_path, 1)
    with (generation_path(tmp_path, 1) / "pin").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FileNotFoundError):
            pin_generation(tmp_path, 1)


def test_a_missing_generation_is_corrupt_and_says_the_cure(tmp_path):
    published(tmp_path, 1)
    generation_path(tmp_path, 1).rename(tmp_path / "elsewhere")
    with pytest.raises(StoreCorrupt, match=r"0001: missing, but manifest\.json names it; run `build_index`"):
        read_pinned(tmp_path)


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    published(tmp_path, 1)
    (tmp_path / "generations" / ".partial-0002").mkdir()
    (tmp_path / "generations" / ".partial-0002" / "index.faiss").write_text("half")
    (tmp_path / "generations" / "0002").mkdir()  # renamed, but the manifest never named it
    (tmp_path / ".partial-manifest.json").write_text("{")
    published(tmp_path, 2)

    assert read_manifest(tmp_path).generation == 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["generations", "0002", "pin", "report", "manifest.json"]
    )


def test_a_published_number_is_not_used_again(tmp_path):
    published(tmp_path, 1)
    with pytest.raises(OptionError, match="published already"):
        published(tmp_path, 1)
    assert (generation_path(tmp_path, 1) / "report").exists()


def test_a_file_is_carried_by_a_hard_link_or_copied(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_text("codes")
    link_or_copy(source, tmp_path / "linked")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "Operation not permitted")))
    link_or_copy(source, tmp_path / "copied")

    assert (tmp_path / "linked").samefile(source)
    assert not (tmp_path / "copied").samefile(source)
    assert (tmp_path / "copied").read_text() == "codes"


def test_a_carried_file_keeps_its_hash_and_a_new_one_of_its_length_does_not(tmp_path, monkeypatch):
    first = published(tmp_path, 1, carried="12345", rewritten="abcde")
    prepared = new_generation_dir(tmp_path, 2)
    link_or_copy(generation_path(tmp_path, 1) / "carried", prepared / "carried")
    (prepared / "rewritten").write_text("fghij")
    hashed = []
    real = sys.modules["indexes.generation.description.index_kinds"].sha256
    monkeypatch.setattr(
        "indexes.generation.description.index_kinds.sha256",
        lambda path: hashed.append(path.name) or real(path),
    )
    second = publish(tmp_path, replace(first, generation=2), prepared)

    assert first.files["carried"] == second.files["carried"]
    assert first.files["rewritten"] != second.files["rewritten"]
    assert "carried" not in hashed
    assert (generation_path(tmp_path, 2) / "carried").read_text() == "12345"


def test_opening_checks_sizes(tmp_path):
    done = published(tmp_path, 1, index="12345")
    check_sizes(tmp_path, done)
    file = generation_path(tmp_path, 1) / "index"
    file.write_text("1234")
    with pytest.raises(StoreCorrupt, match=r"index: 4 bytes, expected 5 bytes; delete this one file and run"):
        check_sizes(tmp_path, done)
    file.unlink()
    with pytest.raises(StoreCorrupt, match="no such file"):
        check_sizes(tmp_path, done)


@pytest.mark.parametrize(("number", "error"), [(28, StoreFull), (30, StoreReadOnly)])
@pytest.mark.parametrize("call", ["fsync", "rename", "replace"])
def test_a_refused_publish_leaves_the_one_before(tmp_path, monkeypatch, call, number, error):
    published(tmp_path, 1)

    def refuse(*_args):
        raise OSError(number, "refused")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(error):
            published(tmp_path, 2)
    found, pin = read_pinned(tmp_path)

    with pin:
        assert (found.generation, (pin.path / "report").read_text()) == (1, "of generation 1")
    assert published(tmp_path, 2) == read_manifest(tmp_path)
