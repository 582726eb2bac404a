"""What the guides promise of buckets and servers, asked from outside: by the command, or in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import retrieval
from retrieval.errors import RetrievalError
from tests.retrieval.folders import picture
from tests.retrieval.promises.sources.places import build, keys, members, skipped, table
from tests.retrieval.sources.remote.server import serving
from tests.retrieval.sources.tar.archives import png, write_tar


class TestRemote:
    @pytest.fixture(autouse=True)
    def _extra(self) -> None:
        pytest.importorskip("aiohttp")
        pytest.importorskip("fsspec")

    def test_a_store_gives_what_a_folder_gives(self) -> None:
        import fsspec

        store = fsspec.filesystem("memory")
        for name, data in members():
            store.pipe(f"/promised/{name}", data)
        write_tar(Path("shard.tar"), members())
        store.pipe("/shards/shard.tar", Path("shard.tar").read_bytes())
        store.pipe("/tables/photos.parquet", Path(table()).read_bytes())
        try:
            assert (
                build(
                    "memory://promised", "memory://shards/shard.tar", "memory://tables/photos.parquet"
                ).encoded
                == 8
            )
            assert len(keys()) == 24
            again = build()
            assert (again.encoded, again.reused, again.removed) == (0, 0, 0)
            with retrieval.open("index") as rows:
                for hit in rows.search(picture(2), k=3, fold_duplicates=False):
                    assert (hit.open().size, hit.score) == ((48, 48), pytest.approx(1, abs=1e-3))
        finally:
            store.rm("/", recursive=True)

    def test_private_addresses_are_refused_without_allow_private(self, run) -> None:
        with serving() as site:
            site.files = {f"/photos/{name}": data for name, data in members()}
            url = f"{site.url}/photos/"
            status, _, err = run("build-index", url, "--index", "index", "--encoder", "fake")
            assert (status, "--allow-private" in err, sum(site.asked.values())) == (1, True, 0)

            status, out, err = run(
                "build-index", url, "--index", "index", "--encoder", "fake", "--allow-private", "--json"
            )
            assert (status, json.loads(out)["encoded"]) == (0, 8), err
            status, out, err = run("build-index", "--index", "index", "--json")
            assert (status, json.loads(out)["encoded"]) == (0, 0), err

    def test_secrets_of_a_url_are_nowhere(self, run) -> None:
        with serving() as site:
            site.files = {"/a.png": png(1), "/b.png": png(2)}
            host = site.url.removeprefix("http://")
            Path("list.txt").write_text(
                f"http://me:pa55word@{host}/a.png?size=2&X-Amz-Signature=5ecret\n"
                f"http://{host}/b.png?token=5ecret\nhttp://{host}/none.png?sig=5ecret&token=pa55word\n"
            )
            words = ("build-index", "list.txt", "--index", "index", "--encoder", "fake", "--allow-private")
            status, out, err = run(*words)
            assert status == 0
            assert "2 encoded" in out
            status, found, _ = run("query", "red", "--index", "index", "--json", "--html", "page.html")
            assert status == 0
        assert keys() == [f"http://{host}/a.png?size=2", f"http://{host}/b.png"]
        written = [path.read_bytes() for path in Path("index").rglob("*") if path.is_file()]
        shown = (out + err + found).encode()
        for text in [*written, shown, Path("page.html").read_bytes()]:
            assert b"5ecret" not in text
            assert b"pa55word" not in text

    def test_what_a_server_does_wrong_is_a_line_with_its_reason(self) -> None:
        with serving() as site:
            site.files = {"/a.png": png(1)}
            site.redirects = {"/loop.png": "/loop.png"}
            site.answers = {"/secret.png": [403] * 20}
            Path("list.txt").write_text(
                "".join(f"{site.url}/{name}.png\n" for name in ("a", "loop", "none", "secret"))
            )
            report = build("list.txt", allow_private=True)
            found = {key.removeprefix(site.url): reason for key, reason in skipped().items()}
        assert report.images == 1
        assert found == {"/loop.png": "redirect-loop", "/none.png": "vanished", "/secret.png": "permission"}

    def test_a_store_that_stops_answering_removes_nothing(self) -> None:
        with serving() as site:
            site.files = {f"/photos/{name}": data for name, data in members()}
            build(f"{site.url}/photos/", allow_private=True)
            site.answers = {"/photos/dogs/": [500] * 20}
            report = build()
            assert (report.removed, report.not_seen, report.images) == (0, 4, 8)
            assert report.incomplete
            site.answers = {"/photos/": [500] * 20}
            with pytest.raises(RetrievalError):
                build()
        assert len(keys()) == 8
