from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import fsspec
import pytest

from retrieval.errors import ImageError, OptionError
from retrieval.sources.remote import Attempts, Limits, RemoteError, RemoteFiles
from tests.retrieval.sources.remote.server import Site, serving

pytest.importorskip("aiohttp", reason="the extra `remote` is not installed")


def reason(files: RemoteFiles, url: str, **options: int) -> str:
    with pytest.raises(ImageError) as refused:
        files.read(url, **options)
    assert "\n" not in str(refused.value)
    return refused.value.reason


class TestReading:
    def test_what_is_there(self, site: Site, files: RemoteFiles) -> None:
        site.files["/a.png"] = b"picture"

        assert files.read(f"{site.url}/a.png") == b"picture"
        assert files.read_range(f"{site.url}/a.png", 2, 5) == b"ctu"
        with files.open(f"{site.url}/a.png") as opened:
            opened.seek(3)
            assert opened.read() == b"ture"

    def test_answers_become_reasons(self, site: Site, files: RemoteFiles, waits: list[float]) -> None:
        site.files |= {"/forbidden": b"x", "/teapot": b"x"}
        site.answers = {"/forbidden": [403], "/teapot": [418]}
        site.redirects = {"/loop": "/loop", "/away": "ftp://example.org/a"}

        assert reason(files, f"{site.url}/none") == "vanished"
        assert reason(files, f"{site.url}/forbidden") == "permission"
        assert reason(files, f"{site.url}/teapot") == "read-error"
        assert reason(files, f"{site.url}/loop") == "redirect-loop"
        assert reason(files, f"{site.url}/away") == "read-error"
        assert site.asked["/loop"] <= 10
        assert waits == []

    def test_a_redirect_is_followed(self, site: Site, files: RemoteFiles) -> None:
        site.files["/a"], site.redirects["/b"] = b"picture", "/a"

        assert files.read(f"{site.url}/b") == b"picture"

    def test_what_fails_for_a_moment_is_tried_again_after_growing_pauses(
        self, site: Site, files: RemoteFiles, waits: list[float]
    ) -> None:
        site.files["/a"], site.answers["/a"] = b"picture", [503, 500, 429]

        assert files.read(f"{site.url}/a") == b"picture"
        assert site.asked["/a"] == 4
        assert [0.25 * 2**n <= wait <= 0.25 * 2**n * 1.5 for n, wait in enumerate(waits)] == [True] * 3

    def test_it_is_given_up_in_the_end(self, site: Site, files: RemoteFiles) -> None:
        site.files["/a"], site.answers["/a"] = b"picture", [503] * 9

        assert reason(files, f"{site.url}/a") == "read-error"
        assert site.asked["/a"] == 4

    def test_the_server_says_how_long_to_wait(
        self, site: Site, files: RemoteFiles, waits: list[float]
    ) -> None:
        site.files["/a"], site.answers["/a"], site.headers = b"picture", [429], {"Retry-After": "7"}

        assert files.read(f"{site.url}/a") == b"picture"
        assert waits == [7.0]
        site.answers["/a"], site.headers = [429], {"Retry-After": "3600"}
        assert reason(files, f"{site.url}/a") == "read-error"

    def test_a_connection_that_breaks_off(self, site: Site, files: RemoteFiles) -> None:
        site.files["/a"] = b"picture"
        site.broken.add("/a")

        assert reason(files, f"{site.url}/a") == "read-error"
        assert site.asked["/a"] == 4

    def test_what_is_too_large_is_not_read_to_its_end(self, site: Site, files: RemoteFiles) -> None:
        site.files["/a"] = bytes(5000)

        assert reason(files, f"{site.url}/a", most=4999) == "too-large"
        assert len(files.read(f"{site.url}/a", most=5000)) == 5000

    def test_time_is_limited(self, site: Site) -> None:
        site.files["/a"], site.delay = b"picture", 60.0
        files = RemoteFiles(
            allow_private=True, limits=Limits(seconds=0.2), attempts=Attempts(tries=2, sleep=lambda _: None)
        )
        started = time.monotonic()

        assert reason(files, f"{site.url}/a") == "timeout"
        assert time.monotonic() - started < 30  # an answer takes a minute, the two tries 0.4 s

    def test_a_large_file_has_more_time_than_a_small_one(self, site: Site) -> None:
        site.files["/a"], site.pause = bytes(2 << 20), 0.4
        files = RemoteFiles(
            allow_private=True, limits=Limits(seconds=0.3), attempts=Attempts(tries=1, sleep=lambda _: None)
        )

        assert len(files.read(f"{site.url}/a")) == 2 << 20
        site.files["/a"] = bytes(2000)
        assert reason(files, f"{site.url}/a") == "timeout"

    def test_a_host_that_sends_too_slowly_is_not_asked_again(self, site: Site) -> None:
        site.files["/a"], site.pause = bytes(2000), 5.0
        files = RemoteFiles(
            allow_private=True, limits=Limits(seconds=1.5), attempts=Attempts(tries=3, sleep=lambda _: None)
        )

        with pytest.raises(RemoteError, match=r"sent 1,000 bytes in 1\.5 s, which is too slow") as raised:
            files.read(f"{site.url}/a")
        assert raised.value.reason == "timeout"
        assert site.asked["/a"] == 1

    def test_a_host_that_is_not_there(self, files: RemoteFiles) -> None:
        assert reason(files, "http://no-such-host.invalid/a.png") == "unreachable"
        assert reason(files, "http://127.0.0.1:9/a.png") == "unreachable"

    def test_a_dead_host_is_not_asked_for_ever(self, files: RemoteFiles, waits: list[float]) -> None:
        for number in range(8):
            assert reason(files, f"http://127.0.0.1:9/{number}.png") == "unreachable"
        asked = len(waits)

        with pytest.raises(ImageError, match="8 times in a row"):
            files.read("http://127.0.0.1:9/9.png")
        assert len(waits) == asked

    def test_nothing_secret_is_shown(self, site: Site, files: RemoteFiles, tmp_path: Path) -> None:
        secret = site.url.replace("//", "//user:pa55word@") + "/none?token=s3cret&size=2"
        for url in (secret, secret.replace("http", "s3"), "http://user:pa55word@127.0.0.1:9/a?sig=s3cret"):
            with pytest.raises((ImageError, OptionError, ImportError)) as refused:
                files.read(url)
            shown = f"{refused.value} {getattr(refused.value, 'what', '')}"
            assert "pa55word" not in shown
            assert "s3cret" not in shown
        assert site.authorizations == ["Basic dXNlcjpwYTU1d29yZA=="]
        assert "/none?token=s3cret&size=2" in site.asked  # the request had it

    @pytest.mark.parametrize("allow_private", [True, False])
    def test_credentials_come_from_the_environment(
        self, site: Site, allow_private: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("retrieval.sources.remote.addresses.is_private", lambda _: False)
        files = RemoteFiles(allow_private=allow_private)
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password pa55word\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        site.files["/a"] = b"picture"

        files.read(f"{site.url}/a")
        assert site.authorizations == ["Basic dXNlcjpwYTU1d29yZA=="]
        with serving() as other:
            other.files["/b"], site.redirects["/b"] = (
                b"picture",
                other.url.replace("127.0.0.1", "localhost") + "/b",
            )
            files.read(f"{site.url}/b")
        assert other.authorizations == [None]  # it is another host

    def test_a_proxy_is_asked_only_where_private_addresses_are_allowed(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = "http://no-such-host.invalid/a.png"
        site.files[url] = b"picture"  # as a proxy is asked
        monkeypatch.setenv("http_proxy", site.url)

        assert RemoteFiles(allow_private=True).read(url) == b"picture"
        assert reason(RemoteFiles(attempts=Attempts(tries=1)), url) == "unreachable"
        assert site.asked == {url: 1}

    @pytest.mark.parametrize(
        "url",
        ["file:///etc/passwd", "local://x", "simplecache::http://h/a", "zip://a::http://h/b", "noscheme://x"],
    )
    def test_schemes_that_are_not_read(self, files: RemoteFiles, url: str) -> None:
        with pytest.raises(OptionError):
            files.read(url)

    def test_a_forked_child_reads_too(self, site: Site, files: RemoteFiles) -> None:
        site.files["/a"] = b"picture"
        files.read(f"{site.url}/a")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if files.read(f"{site.url}/a") == b"picture" else 2
            finally:
                os._exit(code)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                break
            time.sleep(0.02)

        assert (pid, status) == (child, 0)


class TestMemory:
    @pytest.fixture
    def bucket(self) -> str:
        files = fsspec.filesystem("memory")
        files.store.clear()
        files.pseudo_dirs[:] = [""]
        for name in ("b/2.png", "a/1.png", "a/deep/3.png", "c.png"):
            files.pipe(f"/bucket/{name}", name.encode())
        return "memory://bucket"

    def test_it_is_listed_in_a_fixed_order(self, bucket: str, files: RemoteFiles) -> None:
        found = list(files.walk(bucket))

        assert [file.path for file in found] == ["c.png", "a/1.png", "a/deep/3.png", "b/2.png"]
        assert [file.size for file in found] == [5, 7, 12, 7]
        assert [files.read(file.url) for file in found] == [file.path.encode() for file in found]
        assert files.is_folder(bucket)
        assert not files.is_folder(f"{bucket}/c.png")

    def test_a_stamp_changes_with_the_file(self, bucket: str, files: RemoteFiles) -> None:
        url = f"{bucket}/c.png"
        before = files.status(url).stamp
        assert files.status(url).stamp == before

        time.sleep(0.001)
        fsspec.filesystem("memory").pipe("/bucket/c.png", b"12345")

        assert len(before) == 16
        assert before[:8] == (5).to_bytes(8, "little") == files.status(url).stamp[:8]
        assert files.status(url).stamp != before

    def test_names_with_question_marks_are_files_too(self, bucket: str, files: RemoteFiles) -> None:
        fsspec.filesystem("memory").pipe("/bucket/d/what?.png#1", b"x")

        found = list(files.walk(f"{bucket}/d"))

        assert [file.path for file in found] == ["what?.png#1"]
        assert files.read(found[0].url) == b"x"

    def test_limits_hold(self, bucket: str, files: RemoteFiles) -> None:
        assert reason(files, f"{bucket}/c.png", most=4) == "too-large"
        assert reason(files, f"{bucket}/none.png") == "vanished"
        with pytest.raises(ImageError, match="ends before"):
            files.read_range(f"{bucket}/c.png", 3, 9)

    def test_a_folder_that_fails_in_the_middle_is_told(
        self, bucket: str, files: RemoteFiles, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kind = type(fsspec.filesystem("memory"))
        real = kind.ls

        def ls(self: object, path: str, **options: object) -> object:
            if path.endswith("/a"):
                raise ConnectionResetError
            return real(self, path, **options)

        monkeypatch.setattr(kind, "ls", ls)
        listed = files.walk(bucket)

        assert next(listed).path == "c.png"
        with pytest.raises(ImageError) as failed:
            next(listed)
        assert failed.value.reason == "unreachable"


def test_a_page_of_links_is_a_folder(site: Site, files: RemoteFiles) -> None:
    site.files |= {"/album/b.png": b"12", "/album/sub/a.png": b"1", "/other.png": b"3"}

    found = list(files.walk(f"{site.url}/album/"))

    assert [file.path for file in found] == ["b.png", "sub/a.png"]
    assert files.is_folder(f"{site.url}/album/")
    described = files.status(found[0].url)
    assert described.size == 2
    assert described.mark != ""


def test_several_threads_read(site: Site, files: RemoteFiles) -> None:
    site.delay = 1.0
    site.files = {f"/{number}": str(number).encode() for number in range(32)}
    results: dict[int, bytes] = {}

    def read(number: int) -> None:
        results[number] = files.read(f"{site.url}/{number}")

    threads = [threading.Thread(target=read, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {number: str(number).encode() for number in range(32)}
    assert site.peak > 8
