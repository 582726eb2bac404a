"""Graphs in the cache are whole or not there, and every process agrees on one."""

import os
import time

import pytest

from retrieval.encoders.towers import graph_cache


def test_the_folder_depends_on_weights_configuration_and_versions(monkeypatch):
    one = graph_cache.folder_of("weights", {"width": 4}, packages=("numpy",))

    assert one == graph_cache.folder_of("weights", {"width": 4}, packages=("numpy",))
    assert one != graph_cache.folder_of("others", {"width": 4}, packages=("numpy",))
    assert one != graph_cache.folder_of("weights", {"width": 5}, packages=("numpy",))
    assert one != graph_cache.folder_of("weights", {"width": 4}, packages=("numpy", "nothing-of-that-name"))
    monkeypatch.setattr(graph_cache.metadata, "version", lambda name: "999")
    assert one != graph_cache.folder_of("weights", {"width": 4}, packages=("numpy",))


def test_what_fails_leaves_nothing(tmp_path):
    def make(folder):
        (folder / "image.onnx").write_bytes(b"half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        graph_cache.write(tmp_path / "model", make)

    assert list(tmp_path.iterdir()) == []
    assert graph_cache.read_facts(tmp_path / "model") is None


def test_the_process_that_was_first_is_right(tmp_path):
    def second(folder):
        assert graph_cache.write(tmp_path / "model", lambda _: {"by": "the first"}) == {"by": "the first"}
        return {"by": "the second"}

    assert graph_cache.write(tmp_path / "model", second) == {"by": "the first"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_without_facts_is_made_again(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "image.onnx").write_bytes(b"half")
    graph_cache.write(tmp_path / "model", lambda _: {"by": "me"})

    assert graph_cache.read_facts(tmp_path / "model") == {"by": "me"}
    assert not (tmp_path / "model" / "image.onnx").exists()


def test_what_killed_processes_left_is_swept_when_it_is_old(tmp_path):
    for name, age in ((".partial-old", 2 * 24 * 3600), (".partial-new", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    graph_cache.write(tmp_path / "model", lambda _: {})

    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-new", "model"]
