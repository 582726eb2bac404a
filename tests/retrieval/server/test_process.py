"""The command `retrieve serve` as a process: its lines, its signals, its workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from retrieval import sync_vectors
from retrieval.errors import OptionError
from retrieval.server import Settings, serve
from tests.retrieval.cli.shell import RUN


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A collection of vectors, which needs no encoder."""
    import numpy as np

    folder = tmp_path / "vectors"
    sync_vectors(folder, np.random.default_rng(0).standard_normal((100, 16)), [f"row{n}" for n in range(100)])
    return folder


@contextmanager
def serving(
    *arguments: str | Path, code: str = RUN
) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """Run the command until the block ends; give the process, its address and what it said."""
    command = [sys.executable, "-c", code, "serve", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    said: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line.rstrip("\n"))
            if line.startswith("serving "):
                yield process, line.rpartition(" at ")[2].strip().rstrip("/"), said
                break
        else:
            pytest.fail(f"it did not start: {said}")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def ask(address: str, path: str, body=None, *, token: str = "", seconds: float = 30):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(address + path, data, headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(asked, timeout=seconds) as answer:  # noqa: S310
        return json.loads(answer.read())


def test_it_answers_and_stops_when_told(vectors: Path) -> None:
    with serving(vectors) as (process, address, said):
        found = ask(address, "/v1/search", {"id": 3, "k": 2, "include_self": True})
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=30)

    assert found["hits"][0]["path"] == "row3"
    assert (status, len(said)) == (0, 1)
    assert address.startswith("http://127.0.0.1:")


def test_an_interrupt_ends_it_with_130(vectors: Path) -> None:
    # a shell in the background lets its children ignore interrupts, and the tests may run there
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {RUN}"
    with serving(vectors, code=code) as (process, _, _):
        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=30) == 130


def test_more_clients_than_files_may_be_open_wait_and_are_told_of_in_one_line(vectors: Path) -> None:
    code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48)); {RUN}"
    with serving(vectors, code=code) as (process, address, _):
        host, port = address.removeprefix("http://").split(":")
        clients = [socket.create_connection((host, int(port))) for _ in range(100)]
        time.sleep(1.5)
        for client in clients:
            client.close()
        found = ask(address, "/v1/search", {"id": 3, "k": 1})
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        told = process.stderr.read()

    assert len(found["hits"]) == 1
    assert (told.count("\n"), "Too many open files" in told, "Traceback" in told) == (1, True, False)


def test_a_token_that_was_made_is_shown_whatever_is_kept_quiet(vectors: Path) -> None:
    command = [
        sys.executable,
        "-c",
        RUN,
        "serve",
        "--port",
        "0",
        "--host",
        "0.0.0.0",  # noqa: S104
        "--quiet",
        str(vectors),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.kill()

    assert first.startswith("token (shown this once): ")


def test_a_taken_port_is_told_of_with_the_option(vectors: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-c", RUN, "serve", "--port", str(port), str(vectors)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "give another --port" in ended.stderr


def test_a_host_that_is_none_is_told_of(vectors: Path) -> None:
    with pytest.raises(OptionError, match=r"cannot listen on bad\.\.name"):
        serve([str(vectors)], Settings(host="bad..name"), say=lambda _: None)


def test_it_needs_no_torch(vectors: Path) -> None:
    code = (
        "import sys\n"
        "from retrieval.cli import main\n"
        "status = main()\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "sys.exit(status)\n"
    )
    with serving(vectors, code=code) as (process, address, _):
        ask(address, "/v1/search", {"id": 3})
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=30) == 0


def test_requests_that_are_under_way_are_answered_when_it_stops(vectors: Path) -> None:
    with serving(vectors) as (process, address, _):
        host, port = address.removeprefix("http://").split(":")
        body = json.dumps({"id": 3, "k": 2}).encode()
        with socket.create_connection((host, int(port))) as slow:
            head = f"POST /v1/search HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            slow.sendall(head.encode() + body[:5])
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            slow.sendall(body[5:])
            slow.settimeout(20)
            answer = slow.recv(65_536)

        assert answer.startswith(b"HTTP/1.1 200")
        assert process.wait(timeout=30) == 0


def test_another_address_makes_a_token_and_shows_it_once(vectors: Path) -> None:
    with serving(vectors, "--host", "0.0.0.0") as (process, address, said):  # noqa: S104
        token = said[0].rpartition(": ")[2]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(address, "/v1/collections")
        found = ask(address, "/v1/collections", token=token)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)

    assert len(token) >= 24
    assert [line for line in said if token in line] == [said[0]]
    assert found["collections"][0]["images"] == 100


def test_workers_share_the_address_and_one_that_dies_is_replaced(vectors: Path) -> None:
    with serving(vectors, "--workers", "2", "--access-log") as (process, address, said):

        def answers() -> list[int]:
            return [len(ask(address, "/v1/search", {"id": 3, "k": 5})["hits"]) for _ in range(20)]

        assert answers() == [5] * 20
        children = subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        workers = [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
        os.kill(workers[0], signal.SIGKILL)
        end = time.monotonic() + 30
        while True:
            try:
                assert answers() == [5] * 20
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert time.monotonic() < end
                time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) in {0, -signal.SIGTERM, 128 + signal.SIGTERM}
    assert len([line for line in said if line.startswith("serving")]) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "99999"], "port is 99999"),
        (["--workers", "0"], "workers is 0"),
        (["--prefix", "a b"], "prefix"),
        (["--cors", "example.org"], "no origin"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1"),
        (["--token-file", "missing"], "missing: the token cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line(vectors: Path, arguments: list[str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, "serve", str(vectors), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    errors = [line for line in done.stderr.splitlines() if not line.startswith("token")]

    assert done.returncode == 1
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert words in errors[0]


def test_a_port_that_is_taken(vectors: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-c", RUN, "serve", str(vectors), "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert (done.returncode, "Address already in use" in done.stderr) == (1, True)


def test_concurrent_clients_are_all_answered(vectors: Path) -> None:
    failures: list[Exception] = []

    def client(address: str) -> None:
        try:
            for number in range(20):
                assert len(ask(address, "/v1/search", {"id": number, "k": 3})["hits"]) == 3
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    with serving(vectors) as (_, address, _):
        threads = [threading.Thread(target=client, args=(address,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []


def test_a_client_that_sends_no_whole_head_is_left(vectors: Path) -> None:
    code = RUN.replace(
        "sys.exit", "from retrieval.server import connections; connections.HEAD_SECONDS = 0.5; sys.exit"
    )
    with serving(vectors, code=code) as (_, address, _):
        host, port = address.removeprefix("http://").split(":")
        with (
            socket.create_connection((host, int(port))) as first,
            socket.create_connection((host, int(port))) as second,
        ):
            second.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            whole = b""
            while not whole.endswith(b"ok\n"):
                whole += second.recv(4096)
            for slow in (first, second):
                slow.settimeout(10)
                slow.sendall(b"GET /healthz HT")
            assert (first.recv(100), second.recv(100)) == (b"", b"")
        assert ask(address, "/v1/search", {"id": 3, "k": 1})["hits"]


def test_two_thousand_open_connections_hold_up_nobody(vectors: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4500:
        pytest.skip(f"this system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4500, hard))
    held: list[socket.socket] = []
    try:
        with serving(vectors) as (_, address, _):
            host, port = address.removeprefix("http://").split(":")
            for _ in range(2000):
                held.append(socket.create_connection((host, int(port)), timeout=20))
                held[-1].sendall(b"POST /v1/search HTTP/1.1\r\n")
            started = time.monotonic()
            assert len(ask(address, "/v1/search", {"id": 3, "k": 4})["hits"]) == 4
            assert time.monotonic() - started < 10
    finally:
        for one in held:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
