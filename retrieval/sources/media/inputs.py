"""Open a film or a document for reading: a path, bytes, or an open binary file."""

from __future__ import annotations

import io
import os
import stat
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from retrieval.sources.decoding import image_error, os_reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrieval.errors import ImageError

MediaSource: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO"
"""A path, the bytes of a file, or an open binary file that can be sought."""


@contextmanager
def opened(source: MediaSource, name: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a source at its beginning; a file that was handed in stays open.

    Raises:
        ImageError: ``empty``, ``vanished``, ``permission``, ``not-a-file`` (a pipe or device is not opened) or ``read-error``.
    """
    with ExitStack() as stack:
        try:
            if isinstance(source, str | os.PathLike):
                file: BinaryIO = stack.enter_context(open_regular(source, name))
            else:
                file = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
            if file.seek(0, os.SEEK_END) == 0:
                raise image_error("empty", name, "is empty (0 bytes)")
            file.seek(0)
        except OSError as error:
            raise not_read(error, name) from error
        yield file


def not_read(error: OSError, name: str | os.PathLike[str]) -> ImageError:
    """Return the error for a file that the system does not open or read."""
    return image_error(os_reason(error), name, f"cannot be read ({error.strerror or type(error).__name__})")


def name_of(source: MediaSource, name: str | os.PathLike[str] | None, kind: str) -> str | os.PathLike[str]:
    """Return what messages call a source: its name, its path, or its kind."""
    if name is not None:
        return name
    return source if isinstance(source, str | os.PathLike) else kind


def open_regular(path: str | os.PathLike[str], name: str | os.PathLike[str] | None = None) -> BinaryIO:
    """Open a regular file for reading; a pipe that may have taken its place is never waited for.

    Raises:
        ImageError: ``vanished``, ``permission``, ``not-a-file`` or ``read-error``.
    """
    name = path if name is None else name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError as error:  # a NUL, or half a character
        raise image_error("vanished", ascii(name), "cannot be read (no file can have this name)") from error
    except OSError as error:
        raise not_read(error, name) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise image_error("not-a-file", name, "is not a regular file")
    return open(descriptor, "rb")
