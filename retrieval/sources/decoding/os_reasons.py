"""Name an error of the file system in one short word, and say what is installed; apart, so that a query by words does not load Pillow."""

from __future__ import annotations

import errno
import importlib.util


def os_reason(error: OSError) -> str:
    """Return the short word for an error of the file system; never ``unreadable``, which is said of a file's bytes."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "vanished"
    if error.errno == errno.ELOOP:
        return "link-loop"
    return "permission" if isinstance(error, PermissionError) else "read-error"


def has_rawpy() -> bool:
    """Say whether what reads raw photographs is installed."""
    return importlib.util.find_spec("rawpy") is not None
