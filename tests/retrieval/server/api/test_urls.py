"""Pictures at addresses: only where allowed, and never from private ones, through redirects too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="the extra remote is not installed")


@pytest.fixture
def site(photos: Path) -> Iterator[tuple[int, list[str]]]:
    """A web server on this machine with a picture and a redirect to another address; give its port and what it was asked for."""
    asked: list[str] = []
    picture = (photos / "red/c.png").read_bytes()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.2:{self.server.server_port}/red.png")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(picture)))
            self.end_headers()
            self.wfile.write(picture)

        def log_message(self, *arguments) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, asked
    server.shutdown()
    server.server_close()


def test_none_is_fetched_unless_allowed(client, site) -> None:
    port, asked = site
    answer = client.post("/v1/search", json={"url": f"http://127.0.0.1:{port}/red.png"})

    assert (answer.status_code, asked) == (403, [])


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "127.1"]
)
def test_private_addresses_never(open_client, site, host: str) -> None:
    port, asked = site
    client = open_client(allow_urls=True)
    for asks in (
        {"url": f"http://{host}:{port}/red.png"},
        {"queries": [{"url": f"http://{host}:{port}/red.png"}]},
        {"text": "red", "minus": {"url": f"http://{host}:{port}/red.png"}},
    ):
        assert client.post("/v1/search", json=asks).status_code in {404, 422}
    clip = client.post("/knn-service", json={"image_url": f"http://{host}:{port}/red.png", "num_images": 1})

    assert clip.status_code in {404, 422}
    assert asked == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "ftp://127.0.0.1/x",
        "s3://bucket/x",
        "http:///x",
        "http://",
        "simplecache::http://a/b",
        "\n",
    ],
)
def test_nothing_but_http(open_client, url: str) -> None:
    assert open_client(allow_urls=True).post("/v1/search", json={"url": url}).status_code in {404, 422}


def test_a_redirect_from_a_public_address_to_a_private_one(
    open_client, site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrieval.sources.remote import addresses

    port, asked = site
    seen: list[str] = []
    real = addresses.is_private

    def first_is_public(text: str) -> bool:
        seen.append(text)
        return len(seen) > 1 and real(text)

    monkeypatch.setattr(addresses, "is_private", first_is_public)
    answer = open_client(allow_urls=True).post(
        "/v1/search", json={"url": f"http://127.0.0.1:{port}/moved", "k": 1}
    )

    assert (answer.status_code, answer.json()["reason"]) == (422, "private-address")
    assert asked == ["/moved"]
    assert seen == ["127.0.0.1", "127.0.0.2"]


def test_a_public_address_is_fetched(open_client, site, monkeypatch: pytest.MonkeyPatch) -> None:
    from retrieval.sources.remote import addresses

    port, asked = site
    monkeypatch.setattr(addresses, "is_private", lambda _: False)
    found = open_client(allow_urls=True).post(
        "/v1/search", json={"url": f"http://127.0.0.1:{port}/red.png", "k": 1}
    )

    assert [hit["path"] for hit in found.json()["hits"]] == ["red/c.png"]
    assert asked == ["/red.png"]
