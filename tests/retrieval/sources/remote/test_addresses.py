"""Strangers' URLs reach no private network, whatever names and redirects they use."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from retrieval.errors import ImageError
from retrieval.sources.remote import Attempts, RemoteFiles
from tests.retrieval.sources.remote.server import Site

pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")

from retrieval.sources.remote.addresses import is_private

PRIVATE = """
127.0.0.1 10.1.2.3 172.16.0.1 192.168.0.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255 ::1 :: fe80::1 fe80::1%eth0
fc00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: 2001:0:53aa:64c::
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public(address: str) -> None:
    assert not is_private(address)


@pytest.fixture
def guarded(waits: list[float]) -> RemoteFiles:
    return RemoteFiles(attempts=Attempts(sleep=waits.append))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "127.1", "2130706433"])
def test_no_way_of_writing_an_address_gets_through(site: Site, guarded: RemoteFiles, host: str) -> None:
    site.files["/a.png"] = b"secret"
    port = site.url.rpartition(":")[2]

    with pytest.raises(ImageError) as refused:
        guarded.read(f"http://{host}:{port}/a.png")
    assert refused.value.reason == (
        "read-error" if host in ("127.1", "2130706433") else "private-address"
    )  # no valid host
    assert site.asked == {}


def test_every_access_is_guarded(site: Site, guarded: RemoteFiles) -> None:
    site.files["/a/b.png"] = b"secret"
    url = f"{site.url}/a/b.png"
    calls = [
        lambda: guarded.status(url),
        lambda: guarded.read_range(url, 0, 2),
        lambda: guarded.open(url),
        lambda: list(guarded.walk(f"{site.url}/a/")),
    ]

    for call in calls:
        with pytest.raises(ImageError) as refused:
            call()
        assert refused.value.reason == "private-address"
    assert site.asked == {}


class _Names:
    """A name server that gives what the test says, one answer a look-up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]) -> None:
        self.answers, self.asked = answers, 0
        self.real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebind.example":
            return self.real(host, port, *args, **kwargs)
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


def test_a_name_is_looked_up_once_and_its_checked_address_is_used(
    site: Site, guarded: RemoteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the first answer is public, a second one would be private."""
    names = _Names(monkeypatch, [["192.0.2.1"], ["127.0.0.1"]])
    monkeypatch.setattr(
        "retrieval.sources.remote.addresses.is_private", lambda address: address != "192.0.2.1"
    )
    tried: list[str] = []
    real = socket.socket.connect_ex

    def watch(self: socket.socket, address: Any) -> int:
        tried.append(address[0])
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect_ex", watch)
    port = site.url.rpartition(":")[2]
    short = RemoteFiles(
        attempts=Attempts(tries=1), limits=type(guarded.limits)(seconds=0.5, connect_seconds=0.5)
    )

    with pytest.raises(ImageError):
        short.read(f"http://rebind.example:{port}/a.png")
    assert names.asked == 1
    assert site.asked == {}
    assert "127.0.0.1" not in tried


def test_a_name_with_a_public_and_a_private_address_is_refused(
    site: Site, guarded: RemoteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Names(monkeypatch, [["8.8.8.8", "127.0.0.1"]])

    with pytest.raises(ImageError) as refused:
        guarded.read(f"http://rebind.example:{site.url.rpartition(':')[2]}/a.png")
    assert refused.value.reason == "private-address"


def test_a_redirect_to_a_private_address_is_refused(
    site: Site, guarded: RemoteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first host counts as public here; what it leads to is checked all the same."""
    site.files["/a.png"] = b"secret"
    port = site.url.rpartition(":")[2]
    site.redirects["/start"] = f"http://127.0.0.2:{port}/a.png"
    monkeypatch.setattr(
        "retrieval.sources.remote.addresses.is_private", lambda address: address != "127.0.0.1"
    )

    with pytest.raises(ImageError) as refused:
        guarded.read(f"{site.url}/start")
    assert refused.value.reason == "private-address"
    assert site.asked == {"/start": 1}
