"""ONNX Runtime reports nothing: not a file is left in the home of somebody who encodes a picture."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENCODE = """
import numpy as np
from retrieval.encoders.families.nano import open_nano

encoder = open_nano(device="cpu", threads=1)
encoder.encode_pixels(np.zeros((1, 3, 160, 160), np.float32))
"""
ON_ONE_CORE = """
import os
from pathlib import Path

own = {min(os.sched_getaffinity(0))}
os.sched_setaffinity(0, own)  # before numpy, whose BLAS starts threads when it is imported

import numpy as np
from retrieval.encoders.families.nano import open_nano

open_nano(device="cpu").encode_pixels(np.zeros((1, 3, 160, 160), np.float32))
print(all(os.sched_getaffinity(int(task.name)) == own for task in Path("/proc/self/task").iterdir()))
"""
SAY = "import os; from retrieval.encoders.devices.runtime import onnx_runtime; onnx_runtime(); print(os.environ['ORT_DISABLE_TELEMETRY'])"


def run(code: str, home: Path, **environment: str) -> str:
    """Run ``code`` with a home of its own, without what makes ONNX Runtime silent by itself (``CI`` and its like)."""
    root = Path(__file__).parents[4]
    told = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(root), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=told, capture_output=True, text=True, check=True, cwd=home
    )
    return done.stdout.strip()


def test_encoding_leaves_nothing_at_home(tmp_path: Path) -> None:
    run(ENCODE, tmp_path)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_the_user_chose_stays(tmp_path: Path) -> None:
    assert run(SAY, tmp_path) == "1"
    assert run(SAY, tmp_path, ORT_DISABLE_TELEMETRY="0", CI="true") == "0"


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or (os.cpu_count() or 1) < 2, reason="needs Linux and two cores"
)
def test_no_thread_runs_on_a_core_that_the_process_was_not_given(tmp_path: Path) -> None:
    assert run(ON_ONE_CORE, tmp_path) == "True"
