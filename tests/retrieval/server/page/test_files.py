"""The files of the page: whole, typed, and fetched again only if they changed."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("starlette", reason="the extra serve is not installed")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from retrieval.render import LOOK
from retrieval.server import Settings
from retrieval.server.page import CONTENT_SECURITY_POLICY, routes


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=routes(Settings())))


def test_every_file_that_the_page_names_is_there(client: TestClient) -> None:
    named = re.findall(r'(?:src|href)="(page/[^"]+)"', client.get("/").text)

    assert len(named) > 10
    assert {name: client.get(f"/{name}").status_code for name in named} == dict.fromkeys(named, 200)


def test_every_module_that_is_imported_is_loaded_at_once(client: TestClient) -> None:
    page = client.get("/").text
    named = re.findall(r'href="page/([a-z_]+\.js)"', page)
    imported = {
        found
        for name in named
        for found in re.findall(r'from "\./([a-z_]+\.js)"', client.get(f"/page/{name}").text)
    }
    imported |= set(re.findall(r'from "\./([a-z_]+\.js)"', client.get("/page/app.js").text))

    assert sorted(named) == sorted(imported)


def test_what_did_not_change_is_not_sent_again(client: TestClient) -> None:
    for path in ("/", "/page/app.js", "/page/look.css"):
        mark = client.get(path).headers["ETag"]
        again = client.get(path, headers={"If-None-Match": mark})

        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", mark)


def test_scripts_and_styles_say_what_they_are(client: TestClient) -> None:
    kinds = [
        client.get(f"/page/{name}").headers["Content-Type"].split(";")[0]
        for name in ("app.js", "page.css", "icon.svg")
    ]

    assert kinds == ["text/javascript", "text/css", "image/svg+xml"]
    assert client.get("/").headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


def test_the_look_is_that_of_the_result_page(client: TestClient) -> None:
    assert client.get("/page/look.css").text == LOOK


def test_nothing_else_is_given_out(client: TestClient) -> None:
    for path in ("/page/index.html", "/page/../files.py", "/page/%2e%2e/files.py", "/page/"):
        assert client.get(path).status_code == 404


def test_addresses_are_below_the_prefix() -> None:
    prefixed = TestClient(Starlette(routes=routes(Settings(prefix="/photos"))))

    assert '<base href="/photos/">' in prefixed.get("/").text
