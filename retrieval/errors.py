"""Define the errors about images, encoders and collections; export the whole error tree.

RetrievalError                        (`indexes.errors` has the leaves about vectors and bytes)
├── CollectionNotFound (FileNotFoundError)   no manifest where one was looked for
├── ImageError (ValueError)                  an image that cannot be read; `reason` is a short stable word
├── QueryError (ValueError)                  a query that names nothing, or mixes what cannot be mixed
│   └── UnknownWords                         words of which the encoder has learned none
├── EncoderError (RuntimeError)              an encoder that cannot be had or does not keep its contract
│   ├── UnknownEncoder (LookupError)         no such scheme, version or model
│   ├── EncoderConflict                      two distributions claim one scheme
│   ├── WeightsNotFound (FileNotFoundError)  the weights are neither cached nor reachable
│   └── CapabilityMissing (TypeError)        e.g. words for an encoder without a text tower
├── CollectionLocked (StoreLocked)           somebody else still writes after the time to wait
├── PruneRefused (RuntimeError)              a build would remove more rows than it may unasked
├── WorkerLost (ConnectionError)             a process that worked for this one has ended, or answers no more
├── SourceError (RuntimeError)               a source that does not keep its contract
│   ├── SourceIncomplete                     it was not listed to its end: none of its rows is removed
│   └── SourceConflict                       two distributions claim one type of source
└── ImagesSkipped (RuntimeError)             `strict` was asked for and some images were skipped
"""

from __future__ import annotations

from collections.abc import Callable

from indexes.errors import (
    DistributionConflict,
    ManifestTooNew,
    MissingExtra,
    MissingRow,
    OptionError,
    RetrievalError,
    ShapeError,
    SpaceMismatch,
    StoreClosed,
    StoreCorrupt,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    SystemLimit,
    VectorError,
)

__all__ = [
    "CapabilityMissing",
    "CollectionLocked",
    "CollectionNotFound",
    "DistributionConflict",
    "EncoderConflict",
    "EncoderError",
    "ImageError",
    "ImagesSkipped",
    "ManifestTooNew",
    "MissingExtra",
    "MissingRow",
    "OptionError",
    "PruneRefused",
    "QueryError",
    "RetrievalError",
    "ShapeError",
    "SourceConflict",
    "SourceError",
    "SourceIncomplete",
    "SpaceMismatch",
    "StoreClosed",
    "StoreCorrupt",
    "StoreFull",
    "StoreLocked",
    "StoreReadOnly",
    "SystemLimit",
    "UnknownEncoder",
    "UnknownWords",
    "VectorError",
    "WeightsNotFound",
    "WorkerLost",
]


class CollectionNotFound(RetrievalError, FileNotFoundError):
    """No collection lies where one was looked for."""


class CollectionLocked(StoreLocked):
    """Somebody else writes to the collection, and still did when the time to wait was over; `pid` names the process."""


class ImageError(RetrievalError, ValueError):
    """An image that cannot be read.

    Attributes:
        reason: a short, stable word for counting: ``empty``, ``truncated``, ``unreadable``, ``too-large``, ``unsupported`` …
        what: the message without the image's name, for lists that have a column for it; empty if it is not told.
    """

    reason: str
    what: str

    def __init__(self, message: str, *, reason: str, what: str = "") -> None:
        super().__init__(message)
        self.reason, self.what = reason, what

    def __reduce__(self) -> tuple[Callable[..., ImageError], tuple[str, str, str]]:
        """Pickle with what the message alone does not say: pools of processes hand errors on."""
        return _image_error, (str(self), self.reason, self.what)


def _image_error(message: str, reason: str, what: str) -> ImageError:
    return ImageError(message, reason=reason, what=what)


class QueryError(RetrievalError, ValueError):
    """A query that names nothing, or mixes what cannot be mixed."""


class UnknownWords(QueryError):
    """A query by words of which the encoder has learned none, and nothing else to go by.

    Attributes:
        words: those that are not understood.
        encoder: the encoder's name.
    """

    def __init__(self, message: str, *, words: tuple[str, ...] = (), encoder: str = "") -> None:
        super().__init__(message)
        self.words = words
        self.encoder = encoder


class EncoderError(RetrievalError, RuntimeError):
    """An encoder that cannot be had, or that does not keep its contract."""


class UnknownEncoder(EncoderError, LookupError):
    """No such scheme, version or model; the message lists those that exist."""


class EncoderConflict(EncoderError):
    """Two installed distributions claim one encoder scheme; the message names both."""


class WeightsNotFound(EncoderError, FileNotFoundError):
    """Weights that are neither cached nor reachable; the message says which, how large, where they go and which command."""


class CapabilityMissing(EncoderError, TypeError):
    """Something the encoder cannot do, such as words for an encoder without a text tower."""


class PruneRefused(RetrievalError, RuntimeError):
    """A build would remove most of the collection, or rows behind links not followed any more; `prune` allows it."""


class WorkerLost(RetrievalError, ConnectionError):
    """A process that worked for this one has ended, or does not answer any more; what it had committed is kept."""


class SourceError(RetrievalError, RuntimeError):
    """A source of images that does not keep its contract."""


class SourceIncomplete(SourceError):
    """A source that was not listed to its end; the message says what is missing and why.

    A source raises it from `entries` after all that could be listed. The build takes in what it saw, and removes no row of
    that source.
    """


class SourceConflict(SourceError):
    """Two installed distributions claim one type of source, or one text; the message names both."""


class ImagesSkipped(RetrievalError, RuntimeError):
    """Images were skipped and `strict` was asked for; the build itself is complete."""
