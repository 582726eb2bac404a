"""Recognise an image file by its first bytes, whatever its name says."""

from __future__ import annotations

import os
import stat
from typing import Final

from retrieval.sources.decoding import plugin_for

FIRST_BYTES: Final = 64
"""How much of a file is read to recognise it."""

_LEAST = 12  # bytes; no image file is shorter

_BMP_HEADERS = {12: 24, 16: 28, 40: 28, 52: 28, 56: 28, 64: 28, 108: 28, 124: 28}
"""Length of a bitmap's second header -> where its bits a pixel stand."""

_BMP_DEPTHS = (1, 2, 4, 8, 16, 24, 32)

_NOT_READ: Final = (
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "j2k"),
    (b"8BPS\0\x01", "psd"),
    (b"8BPS\0\x02", "psb"),
    (b"gimp xcf ", "xcf"),
    (b"v/1\x01", "exr"),
    (b"qoif", "qoi"),
    (b"DDS \x7c\0\0\0", "dds"),
    (b"FUJIFILMCCD-RAW", "raf"),
    (b"FOVb", "x3f"),
    (b"\0MRM", "mrw"),
    (b"IIU\0", "rw2"),
    (b"IIRO", "orf"),
    (b"IIRS", "orf"),
    (b"MMOR", "orf"),
    (b"II\x1a\0\0\0HEAPCCDR", "crw"),
    (b"II\xbc\x01", "jxr"),
)
"""Signatures of images in formats that are not read, with the suffix that such a file usually has."""


def recognise(head: bytes, *, size: int) -> str:
    """Say what a file is: ``image``, ``no image``, or the suffix of an image format that is not read.

    Args:
        head: its first `FIRST_BYTES` bytes, or all of them.
        size: of the file in bytes.
    """
    if size < _LEAST:
        return "no image"
    if head[4:8] == b"ftyp" and head[8:12] == b"crx ":
        return "cr3"
    if head.startswith(b"BM"):
        return "image" if _is_bitmap(head, size=size) else "no image"
    if head[8:10] == b"CR" and head.startswith((b"II*\0", b"MM\0*")):
        return "cr2"
    if plugin_for(head) is not None:
        return "image"
    for signature, suffix in _NOT_READ:
        if head.startswith(signature):
            return suffix
    return "no image"


def first_bytes(path: str | os.PathLike[str]) -> bytes | None:
    """Return the first `FIRST_BYTES` bytes of a regular file; None for anything else, which is never waited for.

    Raises:
        OSError: it cannot be opened or read.
    """
    # A pipe may have taken the file's place since it was listed: opening it must not wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.read(descriptor, FIRST_BYTES)
    finally:
        os.close(descriptor)


def _is_bitmap(head: bytes, *, size: int) -> bool:
    """Say whether a file that begins with ``BM`` goes on as a bitmap: many texts begin so, too."""
    if len(head) < 30:
        return False
    header = int.from_bytes(head[14:18], "little")
    depth = _BMP_HEADERS.get(header)
    if depth is None:
        return False
    pixels = int.from_bytes(head[10:14], "little")
    width, height = (head[18:20], head[20:22]) if header == 12 else (head[18:22], head[22:26])
    return (
        14 + header <= pixels <= size
        and any(width)
        and any(height)
        and head[depth - 2 : depth] == b"\1\0"
        and int.from_bytes(head[depth : depth + 2], "little") in (*_BMP_DEPTHS, 0)
    )
