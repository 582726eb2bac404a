"""A web server on this machine that is slow, redirects, refuses and breaks off as a test asks."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


class Site:
    """What the server has.

    Attributes:
        files: path → bytes.
        answers: path → statuses that are answered first, one a request.
        redirects: path → where it leads.
        delay: seconds before each answer.
        pause: seconds in the middle of a file.
        asked: path → how often it was asked for, over GET.
        peak: how many requests were under way at once, at most.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, list[int]] = {}
        self.redirects: dict[str, str] = {}
        self.broken: set[str] = set()
        self.delay = self.pause = 0.0
        self.asked: Counter[str] = Counter()
        self.authorizations: list[str | None] = []
        self.headers: dict[str, str] = {}
        self.peak = self.now = 0
        self.lock = threading.Lock()
        self.url = ""


@contextmanager
def serving() -> Iterator[Site]:
    """Serve a site; its `url` ends without a slash."""
    site, closing = Site(), threading.Event()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # whoever asked waited no longer
                super().handle_error(request, client_address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            """Print nothing."""

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            path = self.path
            with site.lock:
                site.asked[path] += 1
                site.now += 1
                site.peak = max(site.peak, site.now)
            try:
                closing.wait(site.delay)
                self.answer(body=True)
            finally:
                with site.lock:
                    site.now -= 1

        def answer(self, *, body: bool) -> None:
            path = self.path
            site.authorizations.append(self.headers.get("Authorization"))
            pathname = path.partition("?")[0]
            waiting = site.answers.get(pathname)
            if waiting:
                return self.send(waiting.pop(0), b"", body=body)
            if pathname in site.redirects:
                return self.send(302, b"", {"Location": site.redirects[pathname]}, body=body)
            if pathname not in site.files:
                page = self.index(pathname)
                if page is None:
                    return self.send(404, b"", body=body)
                return self.send(200, page, {"Content-Type": "text/html"}, body=body)
            data = site.files[pathname]
            if pathname in site.broken:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data) + 10))
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = True
                return None
            headers = {"Content-Type": "image/png", "ETag": f'"{hash(data)}"', "Accept-Ranges": "bytes"}
            asked = self.headers.get("Range")
            if asked:
                start, stop = asked.removeprefix("bytes=").split("-")
                last = min(int(stop or len(data) - 1), len(data) - 1)
                headers["Content-Range"] = f"bytes {start}-{last}/{len(data)}"
                return self.send(206, data[int(start) : last + 1], headers, body=body)
            return self.send(200, data, headers, body=body)

        def index(self, path: str) -> bytes | None:
            """Return the page of a folder: what lies in it, and a link that sorts it."""
            if not path.endswith("/"):
                return None
            below = {name[len(path) :] for name in site.files if name.startswith(path)}
            if not below:
                return None
            names = {name.partition("/")[0] + ("/" if "/" in name else "") for name in below}
            links = "".join(f'<a href="{name}">{name}</a>' for name in sorted(names))
            return f'<a href="?C=N">Name</a><a href="../">up</a>{links}'.encode()

        def send(
            self, status: int, data: bytes, headers: dict[str, str] | None = None, *, body: bool = True
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            for name, value in {**site.headers, **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(data[: len(data) // 2])
                time.sleep(site.pause)
                self.wfile.write(data[len(data) // 2 :])

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
