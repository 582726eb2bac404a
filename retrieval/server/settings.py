"""Define `Settings`: everything that a server can be told. Every default is written here, once."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from indexes.engine import allowed_cores
from indexes.errors import value_text
from retrieval.errors import OptionError

_NAMES: Final = ("localhost",)
"""Names that every system gives to itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one request may ask for, and how much is kept for later ones.

    Attributes:
        body_bytes: of a request.
        bodies_bytes: of all requests that are being read or answered; more are told to come again.
        pixels: of a picture that a thumbnail is made of; one that is searched by has the library's limit.
        k: hits of one answer.
        depth: hits of one query, over all its pages.
        searches: queries of one request.
        parts: words, pictures, ids and vectors that one query is made of.
        characters: of words, conditions, globs and folders.
        ids: that a filter or a download names.
        verified: hits of one query that are compared with its picture.
        seconds: until a request's body has arrived.
        cached_bytes: thumbnails that are kept in memory.
        generations: older ones of a collection that stay open, so that cursors go on.
        generation_seconds: that an older one stays open.
    """

    body_bytes: int = 32 << 20
    bodies_bytes: int = 256 << 20
    pixels: int = 64 << 20
    k: int = 1_000
    depth: int = 10_000
    searches: int = 256
    parts: int = 32
    characters: int = 10_000
    ids: int = 10_000
    verified: int = 200
    seconds: float = 30.0
    cached_bytes: int = 16 << 20
    generations: int = 3
    generation_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How concurrent queries are gathered, and how long they may take.

    Attributes:
        batch: queries that are answered together, at most.
        batch_wait: seconds that a query waits for a running batch to end while a thread is free.
        queue: queries of one kind that wait, at most; the same for other work. More are refused.
        threads: batches of one kind that run at once, and pieces of other work.
        timeout: seconds until a request is given up.
    """

    batch: int = 32
    batch_wait: float = 0.02
    queue: int = 256
    threads: int = field(default_factory=allowed_cores)
    timeout: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server is told.

    Attributes:
        host: the address that it listens on. Any but this machine's own needs a token; one is made where none is given.
        port: 0 takes any that is free.
        token: what clients must show; None where it listens on this machine only.
        originals: give out the images as they are, not only thumbnails.
        review: show duplicates for a review, and keep what people decide in the collection.
        maps: pages that `retrieval.map_images` wrote, ``FILE`` or ``NAME=FILE`` for a collection of that name each.
        allow_urls: fetch pictures from public addresses that requests name.
        cors: origins, such as ``https://example.org``, whose pages may ask.
        allow_hosts: names by which clients may reach it, besides its addresses.
        prefix: path under which a reverse proxy shows it.
        access_log: write a line of JSON for each request to stdout.
        workers: processes that answer.
        device: where the encoder and the search run.
        limits: of one request.
        batching: of concurrent queries.
    Raises:
        OptionError: a value that cannot be.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = field(default=None, repr=False)
    originals: bool = False
    review: bool = False
    maps: tuple[str, ...] = ()
    allow_urls: bool = False
    cors: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    prefix: str = ""
    access_log: bool = False
    workers: int = 1
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)
    batching: Batching = field(default_factory=Batching)

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65_536:
            raise OptionError(f"port is {self.port}; it must be 0 to 65535")
        if self.workers < 1:
            raise OptionError(f"workers is {self.workers}; it must be at least 1")
        if self.token is not None and not re.fullmatch(r"[!-~]{8,}", self.token):
            raise OptionError("the token must have at least 8 characters, all of them visible ASCII")
        prefix = self.prefix.strip("/")
        steps = prefix.split("/") if prefix else []
        if not all(re.fullmatch(r"[A-Za-z0-9._~-]+", step) and step.strip(".") for step in steps):
            raise OptionError(f"prefix is {value_text(self.prefix)}; it must be a path such as /photos")
        object.__setattr__(self, "prefix", f"/{prefix}" if prefix else "")
        for name in self.allow_hosts:
            if not re.fullmatch(r"[A-Za-z0-9._:%\[\]-]+", name):
                raise OptionError(
                    f"{value_text(name)} is no name of a server; give one such as photos.example.org"
                )
        for origin in self.cors:
            if not re.fullmatch(r"https?://[^/\s,]+|\*", origin):
                raise OptionError(
                    f"{value_text(origin)} is no origin; give a scheme and a host, such as https://example.org"
                )
        if "*" in self.cors and self.token is None:
            raise OptionError("cors=* lets every page of the web ask; name the origins, or give a token")

    @property
    def is_local(self) -> bool:
        """Say whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Say whether an address or name means this machine."""
    if host.lower() in _NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
