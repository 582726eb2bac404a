"""Seal JSON files with a checksum of all that comes before it, and check it before anything is believed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indexes.fields import corrupt
from indexes.repair_hints import unreadable

_CHECKSUM = re.compile(rb',\n  "checksum": "([0-9a-f]{64})"\n}\n\Z')
"""How such a file ends: the SHA-256 of everything before."""


def sealed(facts: Mapping[str, Any]) -> bytes:
    """Return what lies in the file: the object, ending in its checksum."""
    whole = json.dumps(facts, indent=2, allow_nan=False).encode()
    start = whole.removesuffix(b"\n}")
    return start + b',\n  "checksum": "%b"\n}\n' % hashlib.sha256(start).hexdigest().encode()


def read_whole(path: Path) -> bytes:
    """Read a file.

    Raises:
        FileNotFoundError, PermissionError: it is not there, or not ours to read.
        StoreCorrupt: the system cannot read it, for instance a link that leads to itself.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        raise
    except OSError as error:
        raise unreadable(error, path) from error


def parsed_json(whole: bytes, *, path: Path) -> Any:
    """Parse the contents of a file; ``path`` is named in messages.

    Raises:
        StoreCorrupt: it is not JSON.
    """
    try:
        return json.loads(whole)
    except (ValueError, RecursionError) as error:
        raise corrupt(path, f"not JSON: {error}") from error


def check_seal(whole: bytes, *, path: Path) -> None:
    """Refuse a file that was changed since it was written.

    Raises:
        StoreCorrupt: the checksum is missing, or does not fit.
    """
    seal = _CHECKSUM.search(whole)
    if seal is None:
        raise corrupt(path, "its checksum is missing at the end")
    if hashlib.sha256(whole[: seal.start()]).hexdigest() != seal.group(1).decode():
        raise corrupt(path, "its checksum does not fit: something in it was changed since it was written")
