"""How many bytes does a first install download, beside other tools that search images?

    python benchmarks/first_use/bench_install.py [--tools rclip lancedb …]

pip resolves each tool for this Python and platform and installs nothing (``pip install --dry-run --report``); the sizes of
the files that it would fetch are summed. Of ours it is the wheel built here and what the extra ``cpu`` brings. Models that a
tool fetches later are not counted; ours needs none. Needs a package index.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.frame import save, watch

ROOT = Path(__file__).parents[2]
TOOLS = (
    "rclip",
    "lancedb",
    "fiftyone",
    "open_clip_torch",
    "autofaiss",
    "txtai",
    "imagededup",
    "lightly-studio",
)


def pip(*arguments: str) -> None:
    """Run pip quietly.

    Raises:
        CalledProcessError: it failed; what it said is in ``stderr``.
    """
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True, capture_output=True, text=True)


def size_of(url: str) -> int:
    """Return the bytes of a file that a package index names."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return os.path.getsize(unquote(parts.path))
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the index that pip was told of
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return int(answer.headers["Content-Length"])


def download(requirement: str) -> dict[str, object]:
    """Return the version, the number of wheels and their bytes that pip would fetch for a requirement."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip("install", "--dry-run", "--ignore-installed", "--quiet", "--report", str(report), requirement)
        wheels = json.loads(report.read_text())["install"]
    files = {
        wheel["metadata"]["name"]: size_of(wheel["download_info"]["url"])
        for wheel in wheels
        if "archive_info" in wheel["download_info"]
    }
    asked = [wheel["metadata"]["version"] for wheel in wheels if wheel["requested"]]
    return {"version": asked[0], "wheels": len(wheels), "bytes": sum(files.values()), "files": files}


def ours() -> dict[str, object]:
    """Return the same for this checkout with the extra ``cpu``, its own wheel counted too."""
    with tempfile.TemporaryDirectory() as folder:
        pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(ROOT))
        (wheel,) = Path(folder).glob("*.whl")
        return download(f"{wheel}[cpu]")


def main() -> None:
    """Resolve ours and each tool, print a table, save it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tools", nargs="*", default=TOOLS)
    asked = parser.parse_args()
    found: dict[str, object] = {}
    with watch() as load:
        found["retrieve"] = ours()
        for tool in asked.tools:
            try:
                found[tool] = download(tool)
            except subprocess.CalledProcessError as error:
                found[tool] = {"error": error.stderr.strip().splitlines()[-1]}
            print(tool, {key: value for key, value in dict(found[tool]).items() if key != "files"})  # type: ignore[call-overload]
    save("install", load=load, parameters={"python": sys.version.split()[0]}, downloads=found)


if __name__ == "__main__":
    main()
