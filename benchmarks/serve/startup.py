"""How long until a server answers, and how much memory has it that the library alone does not need?"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.frame import spread
from benchmarks.serve.collections import million
from benchmarks.serve.processes import environment, serving

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = """
import io, json, re, sys
from pathlib import Path
from PIL import Image
import retrieval
file = io.BytesIO()
Image.new("RGB", (64, 64), (120, 130, 140)).save(file, "JPEG")
with retrieval.open(sys.argv[1]) as collection:
    for query in ("a photograph", 0, file.getvalue()):
        collection.search(query)
    told = Path("/proc/self/smaps_rollup").read_text()
print(json.dumps({f"{name.lower()}_mb": int(re.search(rf"^{name}: +([0-9]+)", told, re.M)[1]) / 1024 for name in ("Anonymous", "Pss")}))
"""


def start(work: Path, *, rows: int, repeats: int) -> dict[str, Any]:
    """Return seconds from the start of the process to ready and from the order to stop to its end, and megabytes when ready.

    The library has been asked by words, by a vector and by an image then, as the server has when it is ready.
    """
    home = million(work, rows=rows)
    ready, stopped, beyond = [], [], []
    sides: dict[str, list[dict[str, float]]] = {"server": [], "library": []}
    for round_ in range(-1, repeats):
        alone = _library(home)
        with serving(home, work=work) as server:
            served = server.memory()
            seconds = server.stop()
        if round_ >= 0:  # the first one reads files that nobody has read before
            ready.append(round(server.seconds, 3))
            stopped.append(round(seconds, 3))
            sides["server"].append(served)
            sides["library"].append(alone)
            beyond.append(round(served["anonymous_mb"] - alone["anonymous_mb"], 1))
    return {
        "start_to_ready_seconds": spread(ready),
        "stop_seconds": spread(stopped),
        "memory": sides,
        "beyond_library_mb": spread(beyond),
    }


def _library(home: Path) -> dict[str, float]:
    """Return the megabytes of a process that opens the collection and asks it in each way."""
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY, str(home)],
        check=True,
        capture_output=True,
        text=True,
        env=environment(),
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found
