"""Turn what goes wrong while an image is decoded into an error with a reason."""

from __future__ import annotations

import os
import struct
import zlib

from PIL import Image

from retrieval.errors import ImageError
from retrieval.sources.decoding.formats import looks_cut

# What Pillow and its plugins raise on broken files. Anything else is a bug, and propagates.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    AssertionError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def broken(error: BaseException, data: bytes, name: str | os.PathLike[str]) -> ImageError:
    """Return the error for a file whose decoder raised ``error``: short of memory, too large, cut short, or broken."""
    words = " ".join(str(error).split()) or type(error).__name__
    # Decoders written in C say it in words. Another time there may be room.
    if isinstance(error, MemoryError) or "out of memory" in words.lower():
        return image_error("out-of-memory", name, f"does not fit in memory now ({words})")
    if isinstance(error, Image.DecompressionBombError):
        return image_error("too-large", name, f"is too large to decode ({words})")
    if isinstance(error, EOFError) or "truncated" in words.lower() or looks_cut(data):
        return image_error("truncated", name, f"is cut short ({words})")
    return image_error("unreadable", name, f"is broken ({words})")


def image_error(reason: str, name: str | os.PathLike[str], what: str) -> ImageError:
    """Return an error of one line about an image."""
    shown = os.fsencode(name).decode("utf-8", "backslashreplace")
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)
    return ImageError(f"{line}: {what}", reason=reason, what=what)
