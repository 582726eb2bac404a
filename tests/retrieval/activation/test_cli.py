"""``retrieve activate`` from a shell: the contract's keys, exit statuses, one-line errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.retrieval.activation.galleries import NAMES

pytest.importorskip("torch", reason="torch comes with the extra open-clip")

ROOT = Path(__file__).parents[3]


class TestCommandLine:
    @pytest.fixture
    def run(self, capsysbinary, monkeypatch):
        from retrieval.cli import main

        def run(*arguments):
            status = main([os.fspath(argument) for argument in arguments])
            out, err = capsysbinary.readouterr()
            return status, out.decode(), err.decode()

        return run

    def test_json_has_the_contracts_keys(self, run, photos, tmp_path):
        status, out, _ = run(
            "activate",
            photos / NAMES[0],
            photos / NAMES[1],
            "--out",
            tmp_path / "o",
            "--json",
            "--device",
            "cpu",
        )
        rows = json.loads(out)

        assert status == 0
        assert list(rows[0])[:8] == [
            "path", "output", "status", "psnr", "ssim", "linf", "cosine_before", "cosine_after",
        ]  # fmt: skip
        assert [row["status"] for row in rows] == ["activated"] * 2

    def test_a_summary_and_what_was_refused(self, run, photos, tmp_path):
        run("activate", photos / NAMES[0], "--out", tmp_path / "o", "--device", "cpu")
        status, out, err = run(
            "activate", photos / NAMES[0], photos / NAMES[1], "--out", tmp_path / "o", "--device", "cpu"
        )
        nothing = run("activate", photos / NAMES[0], "--out", tmp_path / "o", "--device", "cpu")
        _, info, _ = run("info", "--index", photos)
        _, table, _ = run("evaluate", "--attacks", "--index", photos, "--device", "cpu")

        assert status == 0
        assert "1 activated, 1 already there" in out
        assert "cosine to the code" in out
        assert "1 of 2 are already activated for this index and were left as they are\n" in err
        assert str(photos / NAMES[0]) not in err
        assert nothing[0] == 0
        assert "valid" in info
        assert "rotation 25" in table
        assert " -> " in table

    def test_errors_are_one_line(self, run, photos, tmp_path):
        for arguments in (
            ("activate", photos / "gone.png", "--out", tmp_path / "o"),
            ("activate", photos, "--out", photos),
            ("activate", photos / NAMES[0], "--out", tmp_path / "o", "--steps", "0"),
        ):
            status, out, err = run(*arguments)

            assert (status, out, err.count("\n")) == (1, "", 1)
        assert run("activate", "--out", tmp_path / "o")[0] == 2
        assert run("activate", photos / NAMES[0])[0] == 2

    def test_help_loads_nothing_heavy(self):
        code = (
            "import sys\nfrom retrieval.cli import main\nmain(['activate', '--help'])\n"
            "sys.exit(str({'torch', 'faiss', 'onnxruntime'} & set(sys.modules) or ''))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=False, cwd=ROOT, text=True
        )

        assert done.stderr.strip() in ("", "set()")
