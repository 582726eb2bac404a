"""The benchmark of cards says what it lacks, and its index parts run by the stand-in for faiss-gpu."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import pytest

from benchmarks.encode import bench_gpu
from indexes.engine import backend
from tests.indexes.engine import faiss_gpu


def test_without_a_card_nothing_is_measured_and_it_ends_well(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("indexes.engine.cuda_devices", lambda: 0)
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py", "--out", str(tmp_path)])
    bench_gpu.main()

    assert capsys.readouterr().out == (
        "this machine has no CUDA device that a driver sees: nothing is measured\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_part_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(backend.faiss(), "get_num_gpus", lambda: 0, raising=False)

    assert "torch is not installed" in (bench_gpu.missing("tower") or "")
    assert "pip install onnxruntime-gpu" in (bench_gpu.missing("onnx") or "")
    assert "pip install faiss-gpu" in (bench_gpu.missing("ivfpq") or "")


def test_parts_that_do_not_fit_leave_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("indexes.engine.cuda_devices", lambda: 1)
    clock, asked = [0.0], []
    monkeypatch.setattr(bench_gpu.time, "perf_counter", lambda: clock[0])

    def slow(part: str, *, seconds: float) -> None:
        asked.append((part, seconds))
        clock[0] += 400

    monkeypatch.setattr(bench_gpu, "apart", slow)
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py", "--parts", "one,two"])
    bench_gpu.main()

    assert asked == [("one", 480.0)]
    assert capsys.readouterr().out == "two: not measured; 80 s are left, and a part took 400\n"


def test_a_part_that_hangs_or_dies_is_said(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hangs, dies = tmp_path / "hangs.py", tmp_path / "dies.py"
    hangs.write_text("import time; time.sleep(60)")
    dies.write_text("import os; os.abort()")
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py"])
    for script, seconds in ((hangs, 0.5), (dies, 30.0)):
        monkeypatch.setattr(bench_gpu, "__file__", str(script))
        bench_gpu.apart(script.stem, seconds=seconds)

    assert capsys.readouterr().out.splitlines() == [
        "hangs: stopped; it took more than the 0 s that were left",
        "dies: failed; its process ended with -6",
    ]


def test_a_part_that_fails_says_why_and_one_that_ends_keeps_its_result(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_options: argparse.Namespace) -> dict[str, Any]:
        raise RuntimeError("the card is hot")

    monkeypatch.setattr(bench_gpu, "missing", lambda _: None)
    monkeypatch.setattr(bench_gpu, "PARTS", {"one": fails, "two": lambda _: {"found": 1}})
    for part in ("one", "two"):
        monkeypatch.setattr(sys, "argv", ["bench_gpu.py", "--out", str(tmp_path), "--alone", part])
        bench_gpu.main()

    said = capsys.readouterr().out.splitlines()
    assert said == ["one: failed; RuntimeError: the card is hot", "two: 0 s {'found': 1}"]
    assert [path.name for path in tmp_path.iterdir()] == ["gpu_two.json"]


def test_training_rabitq_is_measured_on_the_card_and_off_it(monkeypatch: pytest.MonkeyPatch) -> None:
    faked = faiss_gpu.Faked()
    faked.install(monkeypatch)
    monkeypatch.setattr(bench_gpu, "DIM", 32)
    monkeypatch.setattr(bench_gpu.synthetic, "blocks", _few)
    found = bench_gpu.rabitq(argparse.Namespace(rows=6000))

    assert found["rows"] == 6000
    assert set(found["seconds"]) == {"card", "cpu"}
    assert found["share of the best 100 that both find"] > 0.5
    assert faked.used


def _few(recipe: Any) -> Any:
    import numpy as np

    rows = np.random.default_rng(0).standard_normal((70_000, recipe.dim), dtype=np.float32)
    yield rows / np.linalg.norm(rows, axis=1, keepdims=True)
