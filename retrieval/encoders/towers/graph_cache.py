"""Keep exported graphs in the user's cache: made once, then used by every process."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.files import remove_tree
from retrieval.encoders import cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FORMAT = 1
FACTS = "towers.json"
PARTIAL = ".partial-"
_STALE = 24 * 3600  # seconds after which nobody still writes a folder


def folder_of(*parts: Any, packages: Sequence[str]) -> Path:
    """Return the folder of a model's graphs; it may not exist.

    Args:
        parts: what decides the graphs, in values that JSON has: the hash of the weights, the configuration.
        packages: those that made them; another version makes them anew.
    """
    versions = {name: _version(name) for name in packages}
    text = json.dumps([FORMAT, parts, versions], sort_keys=True, default=str)
    return cache_directory() / "towers" / hashlib.sha256(text.encode()).hexdigest()[:32]


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Return what was found out when the graphs of a folder were made; None where there are none."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def write(folder: Path, make: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Make graphs in a folder beside ``folder``, and give it that name once they are whole.

    Args:
        folder: as `folder_of` gives it.
        make: writes graphs into the folder that it is given, and returns facts in values that JSON has.
    Returns:
        The facts of the folder that is there now, which another process may have made first.
    Raises:
        OSError: the cache cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    made = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=folder.parent))
    try:
        facts = make(made)
        (made / FACTS).write_text(json.dumps(facts), encoding="utf-8")
        if read_facts(folder) is None:
            remove_tree(folder)
            made.rename(folder)
    except OSError:
        if read_facts(folder) is None:  # else another process was first
            raise
    finally:
        remove_tree(made)
    return read_facts(folder) or facts


def _sweep(parent: Path) -> None:
    """Remove what killed processes left."""
    for left in parent.glob(f"{PARTIAL}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE:
                remove_tree(left)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
