"""Take text, profiles and damaged extras out of a PNG file, which Pillow would refuse to read."""

from __future__ import annotations

import struct
import zlib
from typing import Any

_HEADER = 8
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_SMALL_TEXT = 1 << 16  # bytes of plain text that are left to Pillow
_SMALL_PACKED = 900  # bytes that cannot unpack to Pillow's limit of 1 MiB: deflate packs by 1,032 at most
_PILLOWS_LIMIT = 1 << 20  # of a text or a profile, unpacked
_LARGEST = 16 << 20  # of a text or a profile that is still read; a larger one is dropped
_XMP = "XML:com.adobe.xmp"
_READ = frozenset({_XMP, "Raw profile type exif", "Raw profile type APP1"})


def readable_png(data: bytes) -> tuple[bytes, dict[str, Any]]:
    """Return the file without the chunks that Pillow would refuse, and what these say, as in Pillow's ``info``.

    Dropped are large texts and profiles, and chunks beside the picture whose checksum is wrong. A file without any is
    returned as it is. Only what states the orientation (XMP, raw EXIF) and a colour profile are read.
    """
    dropped: list[tuple[int, int]] = []
    said: dict[str, Any] = {}
    place, kept = _HEADER, 0
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if end > len(data):
            break
        if kind[:1].islower():
            body = data[place + 8 : end - 4]
            sound = zlib.crc32(body, zlib.crc32(kind)) == int.from_bytes(data[end - 4 : end], "big")
            if not sound:
                dropped.append((place, end))
            elif kind in _TEXTS:
                limit = _SMALL_PACKED if _packed(kind, body) else _SMALL_TEXT
                if length > limit or kept + length > _PILLOWS_LIMIT:
                    dropped.append((place, end))
                    _note_text(kind, body, said)
                else:
                    kept += length
            elif kind == b"iCCP" and length > _SMALL_PACKED:
                profile = _unpacked(body.partition(b"\0")[2][1:])
                if profile is None or len(profile) > _PILLOWS_LIMIT:
                    dropped.append((place, end))
                    if profile is not None:
                        said["icc_profile"] = profile
        place = end
    if not dropped:
        return data, said
    parts, place = [], 0
    for begin, end in dropped:
        parts.append(data[place:begin])
        place = end
    parts.append(data[place:])
    return b"".join(parts), said


def transparent_value(data: bytes, stated: Any) -> Any:
    """Return the value of ``tRNS`` as it is after Pillow has brought the samples to 8 bits; ``stated`` is Pillow's own.

    Pillow hands out the sample of the file for grey of 2 and 4 bits and for colours of 16 bits, but scales the pixels.
    """
    depth, colour = data[24], data[25]
    if colour == 0 and isinstance(stated, int) and depth in (2, 4):
        top = (1 << depth) - 1
        return (stated & top) * (255 // top)
    if colour == 0 and isinstance(stated, int) and depth == 8:
        return stated & 255
    if colour == 2 and isinstance(stated, tuple):
        return tuple(value >> 8 if depth == 16 else value & 255 for value in stated)
    return stated


def _packed(kind: bytes, body: bytes) -> bool:
    if kind == b"iTXt":
        return body.partition(b"\0")[2][:1] == b"\1"
    return kind == b"zTXt"


def _note_text(kind: bytes, body: bytes, said: dict[str, Any]) -> None:
    """Read a text that states the orientation."""
    key, _, rest = body.partition(b"\0")
    name = key.decode("latin-1")
    if name not in _READ:
        return
    text: bytes | None
    if kind == b"iTXt":
        packed = rest[:1] == b"\1"
        text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]  # after the language and the translated key
        text = _unpacked(text) if packed else text
    else:
        text = _unpacked(rest[1:]) if kind == b"zTXt" else rest
    if text is None or len(text) > _LARGEST:
        return
    if name == _XMP:
        said["xmp"] = text
    said[name] = text.decode("utf-8" if kind == b"iTXt" else "latin-1", "replace")


def _unpacked(packed: bytes) -> bytes | None:
    """Return the text behind deflate; None if it is broken or larger than `_LARGEST`."""
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(packed, _LARGEST)
    except zlib.error:
        return None
    return None if inflate.unconsumed_tail else text
