"""Read, describe and list files at URLs, whatever store they lie in."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from indexes.distribution import pip_install
from retrieval.errors import MissingExtra, OptionError
from retrieval.sources.remote.attempts import Attempts
from retrieval.sources.remote.failures import remote_error
from retrieval.sources.remote.limits import Limits
from retrieval.sources.remote.range_file import open_ranges
from retrieval.sources.remote.urls import protocol_of, public_url

if TYPE_CHECKING:
    from collections.abc import Iterator

_HTTP = ("http", "https")

_LOCAL = frozenset({
    "arrow_hdfs", "asynclocal", "blockcache", "cached", "data", "dask", "dir", "file", "filecache", "generic", "libarchive", "local",
    "reference", "simplecache", "tar", "zip",
})  # fmt: skip
"""Schemes of fsspec that read this machine's files, or wrap another scheme."""

_MARKS = (
    "ETag", "etag", "e_tag", "md5Hash", "content_md5", "generation", "blob_id", "Content-MD5", "LastModified", "Last-Modified",
    "last_modified", "updated", "mtime", "modified", "created",
)  # fmt: skip
"""What stores call the mark that changes with a file: etags and hashes first, then times."""

_DEEPEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file at a URL, not read.

    Attributes:
        url: where it lies; may hold what grants access.
        path: relative to the folder that was listed.
        size: in bytes; -1 if the store does not tell.
        mark: what changes with it: etag, hash or time; empty if the store does not tell.
    """

    url: str
    path: str
    size: int
    mark: str

    @property
    def stamp(self) -> bytes:
        """Sixteen bytes that differ once the file has changed; the first eight are its size, 0 if that is not known."""
        mark = blake2b(f"{self.size} {self.mark}".encode(), digest_size=8).digest()
        return max(self.size, 0).to_bytes(8, "little") + mark


class RemoteFiles:
    """Files at URLs of any kind: ``https://``, ``s3://``, ``gs://`` and what else fsspec has an implementation for.

    Credentials come from the environment, as each store's own client reads them. Safe to use from several threads.

    Args:
        allow_private: HTTP may reach addresses of private networks.
        limits: of each request.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        limits: Limits | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        self.allow_private = allow_private
        self.limits = limits or Limits()
        self._attempts = attempts or Attempts(tries=self.limits.tries)
        self._lock = threading.Lock()
        self._http: tuple[int, Any] | None = None

    def read(self, url: str, *, most: int | None = None) -> bytes:
        """Return the bytes of a file.

        Args:
            url: of the file.
            most: bytes that it may have.
        Raises:
            RemoteError: it is not there, too large, or cannot be read.
        """
        most = self.limits.most_bytes if most is None else most
        files, path = self._files(url)
        if protocol_of(url) in _HTTP:
            from retrieval.sources.remote.http_client import fetch

            return self._attempts.run(url, lambda: fetch(files, url, most=most, limits=self.limits))

        def read() -> bytes:
            data: bytes = _call(files, "cat_file", path, start=0, end=most + 1, seconds=self.limits.seconds)
            if len(data) > most:
                raise remote_error(url, "too-large", f"has more than {most:,} bytes")
            return data

        return self._attempts.run(url, read)

    def read_range(self, url: str, start: int, stop: int) -> bytes:
        """Return the bytes of a file from ``start`` to before ``stop``.

        Raises:
            RemoteError: they cannot be read, or are not all there.
        """
        files, path = self._files(url)

        def read() -> bytes:
            data: bytes = _call(files, "cat_file", path, start=start, end=stop, seconds=self.limits.seconds)
            if len(data) > stop - start:  # a server that knows no ranges sends all
                data = data[start:stop]
            if len(data) < stop - start:
                raise remote_error(url, "truncated", f"ends before byte {stop:,}")
            return data

        return self._attempts.run(url, read)

    def status(self, url: str) -> RemoteFile:
        """Describe a file without reading it.

        Raises:
            RemoteError: it is not there, or the store does not answer.
        """
        files, path = self._files(url)
        facts = self._attempts.run(url, lambda: _call(files, "info", path, seconds=self.limits.seconds))
        return _file(facts, url, path.rpartition("/")[2])

    def is_folder(self, url: str) -> bool:
        """Say whether there is a folder at a URL: for HTTP, whether it ends in a slash.

        Raises:
            RemoteError: there is nothing, or the store does not answer.
        """
        if protocol_of(url) in _HTTP:
            return url.partition("?")[0].endswith("/")
        files, path = self._files(url)
        facts = self._attempts.run(url, lambda: _call(files, "info", path, seconds=self.limits.seconds))
        return bool(facts["type"] == "directory")

    def open(self, url: str) -> BinaryIO:
        """Open a file for reading at any place; each piece that is read is a request with the limits and retries.

        Raises:
            RemoteError: it is not there, or the store does not tell its size.
        """
        size = self.status(url).size
        if size < 0:
            raise remote_error(
                url, "read-error", "its store does not tell its size, so that no part of it can be read"
            )
        return cast("BinaryIO", open_ranges(partial(self.read_range, url), size=size))

    def walk(self, url: str, *, deepest: int | None = None) -> Iterator[RemoteFile]:
        """Yield the files below a folder, folder by folder, sorted by name; what is not listed is not held.

        Args:
            url: of the folder.
            deepest: how many folders of folders are entered, 0 for none; None for all.
        Raises:
            RemoteError: a folder could not be listed; files were missed.
        """
        files, path = self._files(url)
        start = path if path.endswith("/") else path + "/"
        is_page = protocol_of(url) in _HTTP
        query = url.partition("?")[2] if is_page else ""
        ahead, most = [start], _DEEPEST if deepest is None else deepest
        while ahead:
            folder = ahead.pop()
            listed = self._list(files, url, folder, top=folder == start)
            below = []
            for facts in listed:
                name: str = facts["name"]
                relative = name[len(start) :] if name.startswith(start) else ""
                if not relative.strip("/") or (is_page and ("?" in relative or "#" in relative)):
                    continue  # the folder itself, or links that sort its page
                if facts["type"] == "directory":
                    if name.rstrip("/") + "/" != folder and relative.rstrip("/").count("/") < most:
                        below.append(name.rstrip("/") + "/")
                elif not relative.endswith("/"):
                    location = name if is_page else files.unstrip_protocol(name)
                    yield _file(facts, f"{location}?{query}" if query else location, relative)
            ahead.extend(reversed(below))

    def _list(self, files: Any, url: str, folder: str, *, top: bool) -> list[dict[str, Any]]:
        """Return what lies directly in a folder, by name."""
        path = folder if files.protocol[0] in _HTTP else folder.rstrip("/")

        def ask() -> list[dict[str, Any]]:
            try:
                found: list[dict[str, Any]] = _call(
                    files, "ls", path, detail=True, seconds=self.limits.seconds
                )
            except FileNotFoundError:
                if top:
                    raise
                return []  # a folder without entries, in stores that have no folders
            return found

        return sorted(self._attempts.run(url, ask), key=lambda facts: str(facts["name"]))

    def _files(self, url: str) -> tuple[Any, str]:
        """Return the file system of a URL, and what it calls the file."""
        protocol = protocol_of(url)
        if protocol in _LOCAL or ("::" in url and protocol not in _HTTP):  # a chain of schemes
            raise OptionError(
                f"{public_url(url)}: URLs of the kind {protocol}:// are not read; give a path, or a URL such as s3://"
            )
        if protocol in _HTTP:
            return self._http_files(), url
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise _missing(url) from error
        try:
            files, path = url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            raise MissingExtra(f"{public_url(url)}: a package is missing: {error}") from error
        except ValueError as error:
            raise OptionError(
                f"{public_url(url)}: the scheme {protocol}:// is not known; fsspec has those that are read"
            ) from error
        except Exception as error:
            raise remote_error(url, "permission", f"its store cannot be opened ({error})") from error
        return files, str(path)

    def _http_files(self) -> Any:
        try:
            from retrieval.sources.remote.http_client import http_files
        except ImportError as error:
            raise _missing("https://…") from error
        with self._lock:
            if self._http is None or self._http[0] != os.getpid():  # its event loop does not outlive a fork
                self._http = os.getpid(), http_files(self.limits, allow_private=self.allow_private)
            return self._http[1]


def _missing(url: str) -> MissingExtra:
    return MissingExtra(
        f"{public_url(url)}: reading URLs needs fsspec and aiohttp, which are not installed: {pip_install('remote')}"
    )


def _call(files: Any, method: str, *args: Any, seconds: float, **kwargs: Any) -> Any:
    """Call a method of a file system, within a time if it can be interrupted."""
    if files.async_impl:
        from fsspec.asyn import sync

        return sync(files.loop, getattr(files, f"_{method}"), *args, timeout=seconds, **kwargs)
    return getattr(files, method)(*args, **kwargs)


def _file(facts: dict[str, Any], url: str, path: str) -> RemoteFile:
    size = facts.get("size")
    mark = next((facts[name] for name in _MARKS if facts.get(name)), "")
    text = str(mark.timestamp() if isinstance(mark, datetime) else mark).removeprefix("W/").strip('"')
    return RemoteFile(url=url, path=path, size=-1 if size is None else int(size), mark=text)
