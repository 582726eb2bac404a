"""Read and write `skipped.tsv`: every image that did not become a vector, with the reason."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, unquote_to_bytes

from indexes.files import replace_file, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FILE = "skipped.tsv"

_HEADER = "path\treason\tdetail\n"
_HEADER_WITH_STAMP = "path\treason\tstamp\tdetail"  # as the first versions wrote it

# Reasons that lie in the file's bytes: such a file is not opened again until it changes.
LASTING = frozenset({
    "empty", "truncated", "unreadable", "too-large", "unsupported", "no-vector", "no-video", "password",
})  # fmt: skip

# Reasons that lie in the system, at that moment: nobody knows what the file holds now, so a row of it stays. So it is where
# an extra is missing.
UNKNOWN = frozenset({
    "permission", "read-error", "out-of-memory", "timeout", "unreachable", "private-address", "redirect-loop",
    "needs-remote",
    "needs-video", "needs-pdf", "needs-raw",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    """One file that did not become a vector.

    Attributes:
        key: its path relative to the root, as raw bytes.
        reason: a short, stable word.
        stamp: size and modification time when it was tried; empty if unknown. Not in the list: see `retrieval.sources.folders.folder_memory`.
        detail: one line for people.
    """

    key: bytes
    reason: str
    stamp: bytes = b""
    detail: str = ""


def write_skipped(directory: Path, skipped: Iterable[SkippedFile]) -> None:
    """Replace ``skipped.tsv``: a header, then a line a file; control characters and bytes that are not UTF-8 percent-encoded."""
    lines = [_HEADER]
    lines += [
        f"{quote_path(file.key)}\t{file.reason}\t{_line(file.detail)}\n"
        for file in sorted(skipped, key=lambda file: file.key)
    ]
    data = "".join(lines).encode()
    path = directory / FILE
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    with writing(path):
        replace_file(path, data)


def read_skipped(directory: Path) -> dict[bytes, SkippedFile]:
    """Return the skipped files of the last build by key; nothing if there was none or the list is damaged."""
    try:
        text = (directory / FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    header, *lines = text.split("\n")
    stamped = header == _HEADER_WITH_STAMP
    files: dict[bytes, SkippedFile] = {}
    for line in lines:
        fields = line.split("\t")
        with suppress(ValueError):
            path, reason, *stamp, detail = fields
            if len(stamp) == stamped:
                key = unquote_to_bytes(path)
                files[key] = SkippedFile(
                    key=key, reason=reason, stamp=bytes.fromhex("".join(stamp)), detail=detail
                )
    return files


def count_reasons(skipped: Iterable[SkippedFile]) -> dict[str, int]:
    """Count skipped files by reason, most frequent first."""
    return dict(Counter(file.reason for file in skipped).most_common())


def reason_words(by_reason: Mapping[str, int]) -> str:
    """Say in words how many files were skipped for each reason."""
    return ", ".join(f"{count:,} {reason}" for reason, count in by_reason.items())


def quote_path(key: bytes) -> str:
    """Write a path on one line of text: control characters, ``%`` and bytes that are not UTF-8 percent-encoded."""
    return "".join(
        quote_from_bytes(char.encode("utf-8", "surrogateescape"), safe="")
        if char == "%" or not char.isprintable()
        else char
        for char in key.decode("utf-8", "surrogateescape")
    )


def _line(detail: str) -> str:
    """Return a detail as one line without control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in detail).split())
