"""Hostile requests: whatever is sent, the answer is one that was foreseen, and the next request is answered."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from retrieval.errors import OptionError
from retrieval.server import Limits, Settings, create_app
from retrieval.server.connections import HEAD_BYTES, PatientProtocol

SHOWN = "many-letters"
FORESEEN = {200, 204, 400, 404, 410, 413, 415, 422}
ROUTES: dict[str, list[dict[str, Any]]] = {
    "/v1/search": [
        {"text": "red", "k": 3, "where": "width > 1", "under": "red", "glob": "*.png", "min_score": 0.1},
        {"queries": ["red", {"id": 1, "weight": 0.5, "region": [0.1, 0.1, 0.5, 0.5]}], "minus": "blue"},
        {"vector": [0.5] * 8, "cursor": "x", "collection": "photos"},
        {"searches": [{"text": "red"}, {"id": 2, "k": 1}]},
    ],
    "/v1/download": [{"ids": [1, 2], "what": "list"}],
    "/knn-service": [{"text": "red", "num_images": 2, "num_result_ids": 2, "indice_name": "photos"}],
    "/metadata": [{"ids": [0, 1], "indice_name": "photos"}],
    "/session": [{"token": "x"}],
}
ODD: list[Any] = [
    *(None, True, 0, -1, 2**63, -(2**63), 10**40, 1e308, float("nan"), float("inf"), 0.5),
    *(
        "",
        " ",
        "\0",
        "\ud800",
        "../../etc/passwd",
        "/etc/passwd",
        "x" * 30_000,
        "'; DROP TABLE x --",
        "\r\nX: y",
    ),
    *([], {}, [[]], [None], [float("nan")] * 8, [1e300] * 8, ["a"] * 8, {"a": 1}, "file:///etc/passwd"),
    *("(" * 9_000, "not " * 2_000 + "ok", "width in (select 1)", "read_text('/etc/passwd') = ''", "1/0"),
]
FIELDS = sorted({name for bodies in ROUTES.values() for body in bodies for name in body} | {"image", "url"})
BROKEN = [
    b"",
    b"[" * 50_000,
    b'{"a":' * 20_000,
    b"\xff\xfe{}",
    b"null",
    b'{"k":1e999}',
    b'{"text":"\\ud800"}',
]


def changed(value: Any, rng: random.Random) -> Any:
    """Return a value in which one place is another."""
    if isinstance(value, dict) and value:
        name = rng.choice([*value, rng.choice(FIELDS)])
        inner = value.get(name)
        return value | {name: changed(inner, rng) if rng.random() < 0.5 else rng.choice(ODD)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [*value[:place], changed(value[place], rng), *value[place + 1 :]]
    return rng.choice(ODD)


def picture_bytes(photos: Path, rng: random.Random) -> bytes:
    """Return a picture with some bits turned, or a part of it."""
    data = bytearray((photos / "a.png").read_bytes())
    for _ in range(rng.choice([0, 1, 9])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data)


def body_of(path: str, photos: Path, rng: random.Random) -> tuple[bytes, str]:
    """Return a body and its type."""
    fields = rng.choice(ROUTES[path])
    for _ in range(rng.choice([1, 1, 2, 3])):
        fields = changed(fields, rng)
    if rng.random() < 0.2:
        fields["image"] = base64.b64encode(picture_bytes(photos, rng)).decode()
    data, kind = json.dumps(fields).encode("utf-8", "surrogatepass"), "application/json"
    if rng.random() < 0.25:
        parts = [(name, json.dumps(value).encode()) for name, value in fields.items()]
        parts.append(("image", picture_bytes(photos, rng)))
        data = b"".join(
            b'--x\r\nContent-Disposition: form-data; name="%b"; filename="../%b"\r\n\r\n%b\r\n'
            % (name.encode(), name.encode(), value)
            for name, value in parts
        )
        data, kind = data + b"--x--\r\n", "multipart/form-data; boundary=x"
    if rng.random() < 0.1:
        data = rng.choice(BROKEN)
    if rng.random() < 0.1:
        data = data[: rng.randrange(len(data) + 1)]
    return data, kind


@pytest.mark.parametrize("seed", range(4))
def test_mutated_bodies(client, photos: Path, capfd, seed: int) -> None:
    rng = random.Random(seed)
    for number in range(100):
        path = rng.choice([*ROUTES, "/v1/search"])
        data, kind = body_of(path, photos, rng)
        answer = client.post(path, content=data, headers={"Content-Type": kind})

        assert answer.status_code in FORESEEN, (number, path, data[:500], answer.text)
        assert b"root:" not in answer.content
        if answer.status_code >= 400:
            assert answer.json()["status"] == answer.status_code
            assert len(answer.json()["detail"]) < 12_001  # escaped
    assert client.post("/v1/search", json={"text": "red"}).status_code == 200
    assert capfd.readouterr().err == ""


def test_an_error_does_not_repeat_a_long_body(client) -> None:
    answer = client.post("/v1/download", json={"ids": [1], "what": "é" * 100_000})

    assert answer.status_code == 400
    assert len(answer.text) < 3_000


def test_a_condition_with_thousands_of_open_brackets_is_refused_at_once(client) -> None:
    began = time.monotonic()
    answer = client.post("/v1/search", json={"text": "red", "where": "(" * 9_000})

    assert answer.status_code == 400
    assert "brackets" in answer.json()["detail"]
    assert time.monotonic() - began < 30  # usually at once


def test_a_form_that_is_cut_off_is_refused(client, photos: Path) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    text = part % (b"text", b"", b"red")
    image = part % (b"image", b'; filename="a.png"', (photos / "a.png").read_bytes())
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    whole, cut = (
        client.post("/v1/search", content=content, headers=headers)
        for content in (text + image + b"--x--\r\n", text + image[:-20])
    )

    assert whole.status_code == 200
    assert (cut.status_code, "last line" in cut.json()["detail"]) == (400, True)


def test_whoever_has_no_token_can_send_little(open_client) -> None:
    client = open_client(token=SHOWN)

    assert client.post("/session", content=b"x" * 20_000).status_code == 413
    assert client.post("/session", content=(b"x" * 9_000 for _ in range(2))).status_code == 413
    assert client.post("/session", json={"token": SHOWN}).status_code == 204


def _scope(path: str) -> dict[str, Any]:
    """Return the head of a request with a body of JSON, as applications get it."""
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }


def test_bodies_are_bounded_together(photos: Path) -> None:
    app = create_app([str(photos)], Settings(limits=Limits(bodies_bytes=100)))
    body = b'{"text": "red", "k": 1' + b" " * 37 + b"}"  # of 60 bytes

    async def ask(rest: asyncio.Event, began: asyncio.Event) -> int:
        sent: list[Any] = []
        parts = iter([(body[:-1], True), (body[-1:], False)])

        async def receive() -> Any:
            part, more = next(parts)
            if not more:
                began.set()
                await rest.wait()
            return {"type": "http.request", "body": part, "more_body": more}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(_scope("/v1/search"), receive, send)
        if sent[0]["status"] == 429:
            assert (b"retry-after", b"1") in sent[0]["headers"]
        return int(sent[0]["status"])

    async def ask_several() -> list[int]:
        rest, began, now = asyncio.Event(), asyncio.Event(), asyncio.Event()
        now.set()
        slow = asyncio.create_task(ask(rest, began))
        await began.wait()
        refused = await ask(now, asyncio.Event())
        rest.set()
        answered = await slow
        return [refused, answered, await ask(now, asyncio.Event())]

    with TestClient(app, base_url="http://localhost") as client:
        assert client.portal is not None
        assert client.portal.call(ask_several) == [429, 200, 200]


def test_a_client_that_leaves_is_no_bug(photos: Path, capfd) -> None:
    app = create_app([str(photos)], Settings())
    sent: list[Any] = []

    async def ask(path: str) -> None:
        messages = iter([{"type": "http.request", "body": b'{"to', "more_body": True}])

        async def receive() -> Any:
            return next(messages, {"type": "http.disconnect"})

        async def send(message: Any) -> None:
            sent.append(message)

        await app(_scope(path), receive, send)

    with TestClient(app, base_url="http://localhost"):
        for path in ROUTES:
            asyncio.run(asyncio.wait_for(ask(path), 10))

    assert [one for one in sent if one.get("status", 0) >= 500] == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "settings",
    [
        {"prefix": "/../x"},
        {"prefix": "a/.."},
        {"prefix": "a//b"},
        {"prefix": "a?b"},
        {"allow_hosts": ("x/y",)},
        {"allow_hosts": ("",)},
    ],
)
def test_settings_that_cannot_be_are_refused(settings) -> None:
    with pytest.raises(OptionError, match=r"prefix is|is no name"):
        Settings(**settings)


@contextmanager
def listening(app: Any) -> Iterator[int]:
    """Run an application in a thread, as the command does, and give its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http=PatientProtocol, ws="none", log_config=None, log_level="critical")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


def told(port: int, *pieces: bytes) -> bytes:
    """Send pieces over one connection, and return all that comes until the server closes it."""
    came = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            while data := connection.recv(1 << 16):
                came += data
        except ConnectionError:  # closed while something was under way
            pass
    return came


def test_heads_without_an_end_and_bodies_that_never_come_are_ended(photos: Path) -> None:
    app = create_app([str(photos)], Settings(limits=Limits(seconds=0.5)))
    with listening(app) as port:
        header = b"X: " + b"a" * 4_000 + b"\r\n"
        long = told(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", *[header] * 2_000)
        late = told(port, b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        well = told(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    assert len(header) * 2_000 > 8 * HEAD_BYTES
    assert b" 200 " not in long
    assert late.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in late.lower()
    assert well.endswith(b"ok\n")
