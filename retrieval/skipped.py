"""The list of image files, and folders, that did not become vectors, kept beside the collection with its reasons."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, unquote_to_bytes

from indexes.files import writing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "skipped.tsv"

_HEADER = "path\treason\tstamp\tdetail\n"

# Reasons that lie in the file's bytes: such a file is not opened again until it changes.
LASTING = frozenset({"empty", "truncated", "unreadable", "too-large", "unsupported"})

# Reasons that lie in the system, at that moment: nobody knows what the file holds now, so a row of it stays.
UNKNOWN = frozenset({"permission", "read-error", "out-of-memory"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    """One file that did not become a vector.

    Attributes:
        key: its path relative to the root, as raw bytes.
        reason: a short, stable word.
        stamp: size and modification time when it was tried; empty if unknown.
        detail: one line for people.
    """

    key: bytes
    reason: str
    stamp: bytes = b""
    detail: str = ""


def write_skipped(directory: Path, skipped: Iterable[SkippedFile]) -> None:
    """Replace ``skipped.tsv``: a header, then a line a file; control characters and bytes that are not UTF-8 percent-encoded."""
    partial = directory / f"{FILE}.partial"
    with writing(partial):
        with partial.open("w", encoding="utf-8") as lines:
            lines.write(_HEADER)
            for file in sorted(skipped, key=lambda file: file.key):
                detail = " ".join(file.detail.encode("utf-8", "replace").decode().split())
                lines.write(f"{_escape(file.key)}\t{file.reason}\t{file.stamp.hex()}\t{detail}\n")
            lines.flush()
            os.fsync(lines.fileno())
        partial.replace(directory / FILE)


def read_skipped(directory: Path) -> dict[bytes, SkippedFile]:
    """Return the skipped files of the last build by key; nothing if there was none or the list is damaged."""
    try:
        text = (directory / FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    files: dict[bytes, SkippedFile] = {}
    for line in text.split("\n")[1:]:
        fields = line.split("\t")
        if len(fields) != len(_HEADER.split("\t")):
            continue
        path, reason, stamp, detail = fields
        try:
            file = SkippedFile(
                key=unquote_to_bytes(path), reason=reason, stamp=bytes.fromhex(stamp), detail=detail
            )
        except ValueError:
            continue
        files[file.key] = file
    return files


def count_reasons(skipped: Iterable[SkippedFile]) -> dict[str, int]:
    """Count skipped files by reason, most frequent first."""
    return dict(Counter(file.reason for file in skipped).most_common())


def _escape(key: bytes) -> str:
    try:
        text = key.decode("utf-8")
    except UnicodeDecodeError:
        return quote_from_bytes(key, safe="/ ()[]!&,;=+@'")
    return "".join(
        quote_from_bytes(char.encode(), safe="") if char == "%" or not char.isprintable() else char
        for char in text
    )
