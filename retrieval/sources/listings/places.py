"""Find and read the images that a listing or a table names: paths and URLs, relative to where it lies."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO
from urllib.parse import quote, unquote_to_bytes

from retrieval.errors import ImageError, MissingExtra, OptionError
from retrieval.sources import keys
from retrieval.sources.decoding import MAX_PIXELS, os_reason, read_file
from retrieval.sources.media import open_regular
from retrieval.sources.remote import RemoteFiles, is_url, joined, protocol_of, public_url

_QUOTED = "/%:@!$&'()*+,;=~-._"  # what stays as it is written in a URL's path
_FILE = b"file://"

_PUBLIC = frozenset({
    "abfs", "abfss", "adl", "az", "gcs", "gs", "hf", "http", "https", "memory", "oci", "oss", "s3", "s3a",
})  # fmt: skip
"""Schemes that lead to the public internet, or to stores that the environment names; others lead anywhere."""


class Places:
    """Where images lie that are named relative to a folder or a URL.

    Args:
        base: the folder, absolute, or the URL of one.
        remote: reads URLs.
    """

    def __init__(self, base: str, remote: RemoteFiles) -> None:
        self.base, self._remote = base, remote
        self._is_remote = is_url(base)

    @staticmethod
    def key_of(place: bytes) -> bytes:
        """Return the key of an image: its place as it is written, without what grants access."""
        text = os.fsdecode(place)
        return os.fsencode(public_url(text)) if is_url(text) else place

    def locate(self, place: bytes) -> str:
        """Return the path, absolute, or the URL of an image.

        Raises:
            ImageError: a list from elsewhere names a file of this machine, or the other way round a scheme that is not read.
        """
        if not self._is_remote and place[:7].lower() == _FILE:
            place = unquote_to_bytes(place[7:].partition(b"/")[1] + place[7:].partition(b"/")[2])
        text = os.fsdecode(place)
        if is_url(text):
            protocol = protocol_of(text)
            if self._is_remote and protocol == "file":
                raise _elsewhere(text)
            if (
                protocol not in _PUBLIC
                and not self._remote.allow_private
                and protocol != protocol_of(self.base)
            ):
                what = f"{protocol}:// may lead into private networks; `allow_private` lets it be read"
                raise ImageError(f"{public_url(text)}: {what}", reason="private-address", what=what)
            return text
        if not self._is_remote:
            return os.path.join(self.base, text)
        if text.startswith("/") or "\0" in text:
            raise _elsewhere(text)
        if protocol_of(self.base) in ("http", "https"):
            text = quote(os.fsencode(text), safe=_QUOTED)
        return joined(self.base, os.path.normpath(text))

    def stamp(self, location: str) -> bytes:
        """Return the stamp of an image. That of a URL does not ask the network: it is the same as long as the URL is.

        Raises:
            ImageError: there is no file.
        """
        if is_url(location):
            return keys.stamp_of_tag(size=0, tag=os.fsencode(public_url(location)))
        try:
            status = os.stat(location)
        except ValueError as error:  # a NUL
            raise ImageError(f"{location!a}: is no path", reason="vanished", what="is no path") from error
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise ImageError(f"{location}: {what}", reason=os_reason(error), what=what) from error
        if not stat.S_ISREG(status.st_mode):
            what = "is not a regular file; name an image file"
            raise ImageError(f"{location}: {what}", reason="not-a-file", what=what)
        return keys.stamp(size=status.st_size, mtime_ns=status.st_mtime_ns)

    def read(self, location: str, *, max_pixels: int | None = None) -> bytes:
        """Return an image's bytes.

        Raises:
            ImageError: it is not there, too large, or cannot be read.
        """
        if is_url(location):
            with _as_skipped():
                return self._remote.read(location)
        return read_file(location, max_pixels=max_pixels or MAX_PIXELS)

    def open(self, location: str) -> BinaryIO:
        """Open a file, to be read at any place; raises as `read`."""
        if is_url(location):
            with _as_skipped():
                return self._remote.open(location)
        return open_regular(location)


@contextmanager
def _as_skipped() -> Iterator[None]:
    """Let a URL that cannot be asked for be the fault of its line alone."""
    try:
        yield
    except MissingExtra as error:
        raise ImageError(str(error), reason="needs-remote", what=str(error)) from error
    except OptionError as error:
        raise ImageError(str(error), reason="unsupported", what=str(error)) from error


def _elsewhere(place: str) -> ImageError:
    what = "is a path of another machine; a list at a URL may name only what lies beside it, or URLs"
    return ImageError(f"{place}: {what}", reason="unreadable", what=what)
