"""Define the root of the error tree and the errors about vectors and files.

    RetrievalError
    ├── ShapeError (ValueError)           a shape or dtype that does not fit
    ├── VectorError (ValueError)          values that are not finite, or a row without direction
    ├── SpaceMismatch (ValueError)        vectors of two embedding spaces would be compared
    ├── OptionError (ValueError)          a value that this collection cannot take
    ├── MissingRow (LookupError)          an id that the store does not hold
    ├── MissingExtra (ImportError)        an optional package that is not installed
    ├── DistributionConflict (ImportError) another distribution brings packages of our names
    ├── StoreLocked (BlockingIOError)     another process is writing
    ├── StoreReadOnly (PermissionError)   the folder cannot be written
    ├── StoreFull (OSError)               no space left on the device
    ├── StoreCorrupt (OSError)            a file is missing, short, or not what the manifest says
    ├── StoreClosed (ValueError)          used after it was closed
    ├── SystemLimit (OSError)             the system gives no more open files or memory; nothing is damaged
    ├── ManifestTooNew (ValueError)       written by a later version
    └── ... the leaves about images, encoders and collections: `retrieval.errors`

A message names the path, what was expected, what was found, and the next step.
"""


class RetrievalError(Exception):
    """Every error that this project raises on purpose."""


class ShapeError(RetrievalError, ValueError):
    """An array's shape or dtype does not fit."""


class VectorError(RetrievalError, ValueError):
    """A vector holds a value that is not finite, or has no direction."""


class SpaceMismatch(RetrievalError, ValueError):
    """Vectors of two different embedding spaces would be compared."""


class OptionError(RetrievalError, ValueError):
    """A value that this collection cannot take."""


class MissingRow(RetrievalError, LookupError):
    """An id that the store does not hold."""


class MissingExtra(RetrievalError, ImportError):
    """An optional package is needed and not installed; the message says which extra to install."""


class DistributionConflict(RetrievalError, ImportError):
    """Another distribution brings packages of our names; the message holds the line that removes it."""


class StoreLocked(RetrievalError, BlockingIOError):
    """Another process is writing to this collection; the message holds its pid.

    Attributes:
        pid: that process; None where nobody knows.
    """

    def __init__(self, message: str, *, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class StoreReadOnly(RetrievalError, PermissionError):
    """The collection's folder cannot be written."""


class StoreFull(RetrievalError, OSError):
    """No space is left on the device; what was committed before still opens."""


class StoreCorrupt(RetrievalError, OSError):
    """A file of the collection is missing, short, or not what the manifest says."""


class StoreClosed(RetrievalError, ValueError):
    """A collection, or a part of one, is used after it was closed."""


class SystemLimit(RetrievalError, OSError):
    """The system gives no more open files or memory; nothing is damaged, and the message says which limit to raise."""


class ManifestTooNew(RetrievalError, ValueError):
    """The collection was written by a later version of this software."""


def value_text(value: object, most: int = 80) -> str:
    """Return a value as Python writes it, cut to some characters.

    A list that is nested thousands deep, or an object whose own description fails, must not hide the error that is told.
    """
    try:
        return repr(value)[:most]
    except Exception:  # noqa: BLE001 - the value's own code
        return f"<{type(value).__name__}>"


class Restored(RuntimeWarning):
    """Say that a lost or damaged file was written again from another one; the command line prints this warning as a note."""
