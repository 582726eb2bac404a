"""Safe by default: what the guide promises of tokens, names, origins, sizes, headers and files, each with a request that tries."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from retrieval.errors import OptionError
from retrieval.server import Settings
from retrieval.server.page import CONTENT_SECURITY_POLICY
from retrieval.server.safety import POLICY, read_token, shared_sessions
from retrieval.server.safety.sessions import Sessions
from tests.retrieval.folders import picture

TOKEN = "a token of 24 letters".replace(" ", "-")
SHOWN = {"Authorization": f"Bearer {TOKEN}"}


class TestToken:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/v1/search"),
            ("GET", "/v1/collections"),
            ("GET", "/v1/images/0/thumbnail"),
            ("GET", "/openapi.json"),
            ("GET", "/metrics"),
            ("GET", "/indices-list"),
            ("POST", "/knn-service"),
            ("GET", "/"),
            ("GET", "/nothing"),
            ("GET", "//healthz"),
            ("GET", "/healthz/"),
        ],
    )
    def test_all_but_health_wants_it(self, open_client, method: str, path: str) -> None:
        client = open_client(token=TOKEN)

        assert client.request(method, path).status_code == 401
        assert client.request(method, path, headers={"Authorization": f"Bearer {TOKEN}x"}).status_code == 401
        assert client.request(method, path, headers={"Authorization": TOKEN}).status_code == 401
        assert client.request(method, path, headers=SHOWN).status_code != 401

    def test_health_is_open(self, open_client) -> None:
        client = open_client(token=TOKEN)

        assert client.get("/healthz").text == "ok\n"
        assert client.get("/readyz").text == "ready\n"

    def test_it_is_compared_in_constant_time(self, open_client, monkeypatch: pytest.MonkeyPatch) -> None:
        compared = []
        monkeypatch.setattr(
            "retrieval.server.safety.tokens.hmac.compare_digest",
            lambda a, b: bool(compared.append((a, b)) or a == b),
        )
        open_client(token=TOKEN).get("/v1/collections", headers={"Authorization": "Bearer wrong"})

        assert compared == [(b"wrong", TOKEN.encode())]

    def test_a_session_is_begun_with_it_and_ends(self, open_client) -> None:
        client = open_client(token=TOKEN)
        wrong = client.post("/session", json={"token": "wrong-token"})
        right = client.post("/session", json={"token": TOKEN})
        cookie = right.headers["set-cookie"]

        assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
        assert right.status_code == 204
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert TOKEN not in cookie
        assert client.get("/v1/collections").status_code == 200
        assert "Max-Age=0" in client.delete("/session").headers["set-cookie"]
        assert client.get("/v1/collections").status_code == 401

    def test_a_kept_cookie_opens_nothing_once_its_session_has_ended(self, open_client) -> None:
        client = open_client(token=TOKEN)
        shown = [
            client.post("/session", json={"token": TOKEN}).headers["set-cookie"].partition(";")[0]
            for _ in range(2)
        ]
        client.cookies.clear()

        def statuses() -> list[int]:
            return [
                client.get("/v1/collections", headers={"Cookie": one}).status_code
                for one in (*shown, shown[0][:-1] + "x")
            ]

        assert statuses() == [200, 200, 401]
        client.delete("/session", headers={"Cookie": shown[0]})
        assert statuses() == [401, 200, 401]

    def test_workers_share_sessions_and_another_run_knows_none(self) -> None:
        with shared_sessions():
            first, second, other_token = Sessions(b"token"), Sessions(b"token"), Sessions(b"another")
            session, other = first.begin(), first.begin()

            assert [one.knows(session) for one in (first, second, other_token)] == [True, True, False]
            second.end(session)
            assert [one.knows(session) for one in (first, second)] == [False, False]
            assert [one.knows(other) for one in (first, second)] == [True, True]
            first.end("../key")
            assert first.knows(other)

        assert not Sessions(b"token").knows(other)

    def test_a_form_begins_one_without_a_script(self, open_client) -> None:
        client = open_client(token=TOKEN)
        form = client.get("/")
        wrong = client.post("/session", data={"token": "wrong-token"})
        right = client.post("/session", data={"token": TOKEN}, follow_redirects=False)

        assert (form.status_code, "<form" in form.text, "<script" in form.text) == (401, True, False)
        assert "default-src 'none'" in form.headers["content-security-policy"]
        assert (wrong.status_code, "not the token" in wrong.text) == (401, True)
        assert (right.status_code, right.headers["location"]) == (303, "/")

    def test_files_with_tokens(self, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text(f"  {TOKEN}\r\nmore\n")
        file.chmod(0o600)

        assert read_token(file) == TOKEN

        file.chmod(0o644)
        with pytest.raises(OptionError, match="every user of this machine"):
            read_token(file)
        file.chmod(0o600)
        file.write_text("\n")
        with pytest.raises(OptionError, match="is empty"):
            read_token(file)
        with pytest.raises(OptionError, match="cannot be read"):
            read_token(tmp_path / "missing")

    @pytest.mark.parametrize("token", ["short", "with blank inside", "ümlaut-token", ""])
    def test_tokens_that_are_none(self, token: str) -> None:
        with pytest.raises(OptionError, match="token"):
            Settings(token=token)


class TestNames:
    @pytest.mark.parametrize(
        "host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:9", "LOCALHOST", "127.9.9.9"]
    )
    def test_those_of_this_machine_pass(self, client, host: str) -> None:
        assert client.get("/healthz", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.0.7",
            "a b",
            "[::1",
            "@localhost",
        ],
    )
    def test_others_do_not(self, client, host: str) -> None:
        answer = client.get("/v1/collections", headers={"Host": host})

        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")

    def test_named_ones_pass(self, open_client) -> None:
        client = open_client(allow_hosts=("photos.example",))

        assert client.get("/healthz", headers={"Host": "photos.example:443"}).status_code == 200
        assert client.get("/healthz", headers={"Host": "example"}).status_code == 400

    def test_a_server_for_others_takes_addresses_in_digits(self, open_client) -> None:
        client = open_client(host="192.168.0.7", token=TOKEN)

        assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400
        assert client.get("/healthz", headers={"Host": "192.168.0.9"}).status_code == 200


class TestOrigins:
    def test_no_page_of_another_origin_may_read(self, client) -> None:
        answer = client.get("/v1/collections", headers={"Origin": "https://evil.example"})

        assert [name for name in answer.headers if name.startswith("access-control")] == []
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://localhost:9999", "file://", "x"]
    )
    @pytest.mark.parametrize(
        "path", ["/v1/search", "/session", "/v1/collections/photos/download", "/knn-service"]
    )
    def test_none_may_write(self, client, origin: str, path: str) -> None:
        answer = client.post(path, json={"text": "red"}, headers={"Origin": origin})

        assert answer.status_code == 403

    def test_the_servers_own_pages_may(self, client) -> None:
        asked = {"text": "red"}

        assert (
            client.post("/v1/search", json=asked, headers={"Origin": "http://localhost"}).status_code == 200
        )
        assert client.post("/v1/search", json=asked).status_code == 200

    def test_named_origins_may(self, open_client) -> None:
        client = open_client(cors=("https://art.example",))
        own = {"Origin": "https://art.example"}
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        before = client.options("/v1/search", headers=own | asks)
        answer = client.post("/v1/search", json={"text": "red"}, headers=own)

        assert before.status_code == 204
        assert before.headers["access-control-allow-origin"] == "https://art.example"
        assert "access-control-allow-credentials" not in before.headers
        assert answer.headers["access-control-allow-origin"] == "https://art.example"
        assert (
            client.options("/v1/search", headers={"Origin": "https://evil.example"} | asks).status_code == 403
        )

    def test_all_origins_only_with_a_token(self) -> None:
        with pytest.raises(OptionError, match="token"):
            Settings(cors=("*",))


class TestSizes:
    def test_a_body_that_says_that_it_is_too_large(self, open_client) -> None:
        from retrieval.server import Limits

        client = open_client(limits=Limits(body_bytes=1000))

        assert client.post("/v1/search", content=b"x" * 1001).status_code == 413

    def test_a_body_that_does_not_say_it(self, open_client) -> None:
        from retrieval.server import Limits

        client = open_client(limits=Limits(body_bytes=1000))
        parts = (b"x" * 400 for _ in range(3))

        for path in (
            "/v1/search",
            "/knn-service",
            "/metadata",
            "/session",
            "/v1/collections/photos/download",
        ):
            answer = client.post(path, content=parts, headers={"Content-Type": "application/json"})
            assert answer.status_code in {400, 413}, path
        answer = client.post(
            "/v1/search", content=(b" " * 400 for _ in range(3)), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413

    def test_a_picture_of_too_many_pixels(self, client) -> None:
        import base64
        import io

        from PIL import Image

        file = io.BytesIO()
        Image.new("RGB", (20_000, 20_000)).save(file, "PNG")
        answer = client.post("/v1/search", json={"image": base64.b64encode(file.getvalue()).decode()})

        assert (answer.status_code, answer.json()["reason"]) == (413, "too-large")
        assert "--" not in answer.json()["detail"]

    @pytest.mark.parametrize(
        "asked",
        [
            {"text": "red", "k": 1001},
            {"text": "red", "k": 0},
            {"text": "r" * 10_001},
            {"queries": ["red"] * 33},
            {"text": "red", "ids": list(range(10_001))},
            {"searches": [{"text": "red"}] * 257},
            {"vector": [1.0] * 70_000},
            {"text": "red", "under": "x" * 10_001},
        ],
    )
    def test_what_a_search_may_ask_for(self, client, asked) -> None:
        answer = client.post("/v1/search", json=asked)

        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


class TestHeaders:
    @pytest.mark.parametrize(
        "path", ["/", "/v1/collections", "/nothing", "/healthz", "/v1/images/0/thumbnail"]
    )
    def test_every_answer_has_them(self, client, path: str) -> None:
        headers = client.get(path).headers

        policy = CONTENT_SECURITY_POLICY if path == "/" else POLICY  # the page has one of its own
        assert headers["content-security-policy"] == policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers

    def test_what_people_type_never_becomes_markup(self, client) -> None:
        hostile = "<script>alert(1)</script>"
        for answer in (
            client.get(f"/{hostile}"),
            client.post("/v1/search", json={hostile: 1}),
            client.post("/v1/search", json={"text": "red", "collection": hostile}),
            client.post("/v1/search", json={"text": "red", "under": f"/{hostile}"}),
            client.get("/v1/collections", headers={"Host": hostile}),
        ):
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["x-content-type-options"] == "nosniff"


class TestFiles:
    def test_originals_only_where_allowed(self, client, open_client, photos: Path) -> None:
        assert client.get("/v1/images/0/original").status_code == 403
        assert client.post("/v1/download", json={"ids": [0], "what": "zip"}).status_code == 403

        answer = open_client(originals=True).get("/v1/images/0/original")

        assert answer.content == (photos / "a.png").read_bytes()
        assert answer.headers["content-type"] == "image/png"

    def test_nothing_leaves_the_folder_by_a_link(self, open_client, photos: Path, tmp_path: Path) -> None:
        secret = tmp_path / "secret.png"
        picture(77).save(secret)
        (photos / "b.png").unlink()
        (photos / "b.png").symlink_to(secret)
        (photos / "red").rename(tmp_path / "elsewhere")
        (photos / "red").symlink_to(tmp_path / "elsewhere")
        client = open_client(originals=True)
        ids = {
            hit["path"]: hit["id"] for hit in client.post("/v1/search", json={"text": "red"}).json()["hits"]
        }

        for path, what in (("b.png", "original"), ("b.png", "thumbnail"), ("red/c.png", "original")):
            answer = client.get(f"/v1/images/{ids[path]}/{what}")
            assert (answer.status_code, answer.json()["reason"]) == (404, "permission")
        assert client.post("/v1/search", json={"id": ids["b.png"], "region": [0, 0, 1, 1]}).status_code == 404
        # the very picture that was indexed may be shown small
        for path, what in (("red/c.png", "thumbnail"), ("a.png", "thumbnail"), ("a.png", "original")):
            assert client.get(f"/v1/images/{ids[path]}/{what}").status_code == 200
        archive = client.post("/v1/download", json={"ids": [ids["b.png"], ids["a.png"]], "what": "zip"})
        assert b"not-included.txt" in archive.content
        assert secret.read_bytes() not in archive.content

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/images/..%2f..%2fetc%2fpasswd/original",
            "/v1/collections/..%2f../images/0/original",
            "/v1/collections/photos/images/0/original/../../../../../etc/passwd",
            "/..%2f..%2fetc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/v1/images/-1/original",
            "/v1/images/99999999999999999999/original",
        ],
    )
    def test_no_address_names_a_file(self, open_client, path: str) -> None:
        assert open_client(originals=True).get(path).status_code in {400, 404}

    @pytest.mark.parametrize("under", ["/etc", "..", "../..", "red/../..", "a\0b"])
    def test_no_search_looks_at_a_folder_outside(self, client, under: str) -> None:
        assert client.post("/v1/search", json={"text": "red", "under": under}).status_code == 400

    def test_no_search_tells_what_lies_beside_the_server(
        self, client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "beside").mkdir()
        monkeypatch.chdir(tmp_path)
        there, missing = (
            client.post("/v1/search", json={"text": "red", "under": name})
            for name in ("beside", "not-beside")
        )

        assert there.status_code == missing.status_code == 200
        assert there.json()["hits"] == missing.json()["hits"] == []

    def test_errors_do_not_tell_where_things_lie(self, client, photos: Path) -> None:
        (photos / "a.png").unlink()
        for answer in (
            client.get("/v1/images/99"),
            client.get("/v1/images/0/thumbnail"),
            client.post("/v1/search", json={"id": 99}),
            client.post("/v1/search", json={"text": "red", "where": "nothing = 1"}),
        ):
            assert answer.status_code >= 400
            assert os.fspath(photos.parent) not in answer.text

    def test_a_file_that_is_no_picture_is_never_shown_as_a_page(self, open_client, photos: Path) -> None:
        (photos / "a.png").write_text("<script>alert(1)</script>")
        answer = open_client(originals=True).get("/v1/images/0/original")

        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")


class TestLog:
    def test_a_request_is_one_line_of_json(self, open_client, capsys: pytest.CaptureFixture[str]) -> None:
        client = open_client(access_log=True)
        client.get(
            "/a%0Ab%1b[31m",
            params={"x": 'y"\n'},
            headers={"User-Agent": "agent\u2028x".encode("latin-1", "replace")},
        )
        client.post("/v1/search", json={"text": "a secret wish"})
        lines = capsys.readouterr().out.splitlines()
        first, second = map(json.loads, lines)

        assert (first["status"], first["method"], first["path"]) == (404, "GET", "/a\nb\x1b[31m")
        assert (second["status"], second["path"]) == (200, "/v1/search")
        assert not any(ord(letter) < 32 for line in lines for letter in line)
        assert "secret" not in lines[1]
