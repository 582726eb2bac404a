"""How many bytes of wheels does the extra `serve` add?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.first_use.bench_install import ROOT, download, pip


def wheels() -> dict[str, Any]:
    """Return the wheels that pip would fetch with the extras `cpu` and `serve`, and not with `cpu` alone. Needs a package index."""
    with tempfile.TemporaryDirectory() as folder:
        pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(ROOT))
        (wheel,) = Path(folder).glob("*.whl")
        without, whole = (download(f"{wheel}[{extras}]")["files"] for extras in ("cpu", "cpu,serve"))
    added = {name: size for name, size in dict(whole).items() if name not in dict(without)}  # type: ignore[call-overload]
    return {"added": added, "bytes": sum(added.values())}
