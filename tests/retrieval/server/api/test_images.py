"""Thumbnails, originals, facts and downloads of single images."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import retrieval
from retrieval.server import Limits
from retrieval.server.api.images.thumbnails import Thumbnails
from tests.retrieval.pictures import jpeg, scene, stored_turned


def opened(answer) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


class TestThumbnails:
    def test_they_fit_into_the_size(self, tmp_path: Path, open_client) -> None:
        folder = tmp_path / "large"
        folder.mkdir()
        scene(1600, 800).save(folder / "x.png")
        retrieval.build_index(folder, encoder="fake")
        client = open_client(folder)

        assert opened(client.get("/v1/images/0/thumbnail")).size == (256, 128)
        assert opened(client.get("/v1/images/0/thumbnail?size=500")).size == (512, 256)
        assert opened(client.get("/v1/collections/large/images/0/thumbnail?size=64")).size == (64, 32)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_they_are_upright(self, tmp_path: Path, open_client, orientation: int) -> None:
        folder = tmp_path / "turned"
        folder.mkdir()
        shown = scene(240, 160)
        (folder / "x.jpg").write_bytes(jpeg(stored_turned(shown, orientation), orientation=orientation))
        retrieval.build_index(folder, encoder="fake")
        small = opened(open_client(folder).get("/v1/images/0/thumbnail?size=64")).convert("RGB")
        expected = shown.resize(small.size)

        assert small.size == (64, 43)
        pairs = zip(small.get_flattened_data(), expected.get_flattened_data(), strict=True)
        assert (
            sum(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True)) / (64 * 43 * 3)
            < 6
        )

    def test_a_browser_that_has_it_gets_it_no_second_time(self, client) -> None:
        first = client.get("/v1/images/0/thumbnail")
        again = client.get(
            "/v1/images/0/thumbnail", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'}
        )
        larger = client.get("/v1/images/0/thumbnail?size=512")

        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        assert larger.headers["etag"] != first.headers["etag"]

    def test_its_address_in_a_hit_gives_it(self, client) -> None:
        hit = client.post("/v1/search", json={"text": "red", "k": 1}).json()["hits"][0]

        assert opened(client.get(hit["thumbnail"])).format == "JPEG"
        assert opened(client.get(f"{hit['thumbnail']}&size=64")).format == "JPEG"
        assert (hit["width"], hit["height"]) == (48, 48)

    @pytest.mark.parametrize(
        "query", ["size=0", "size=1025", "size=x", "size=-1", "size=1e3", "wide=1", "size=٣"]
    )
    def test_wrong_sizes(self, client, query: str) -> None:
        assert client.get(f"/v1/images/0/thumbnail?{query}").status_code == 400

    def test_what_is_kept_is_bounded(self) -> None:
        kept = Thumbnails(Limits(cached_bytes=1000))
        for number in range(50):
            kept.keep(str(number), b"x" * 100)
            kept.get("0")
        kept.keep("huge", b"x" * 1001)

        assert [number for number in range(50) if kept.get(str(number))] == [0, *range(41, 50)]
        assert kept.get("huge") is None

    def test_an_image_that_is_gone(self, client, photos: Path) -> None:
        (photos / "a.png").unlink()
        answer = client.get("/v1/images/0/thumbnail")

        assert (answer.status_code, answer.json()["reason"]) == (404, "vanished")


class TestFacts:
    def test_of_an_image(self, client, photos: Path) -> None:
        facts = client.get("/v1/images/0").json()

        assert (facts["path"], facts["width"], facts["height"]) == ("a.png", 48, 48)
        assert facts["bytes"] == (photos / "a.png").stat().st_size
        assert facts["original"] is None

    def test_of_one_that_is_not_there(self, client) -> None:
        assert client.get("/v1/images/6").status_code == 404
        for digits in (18, 19, 20, 5000):
            assert client.get(f"/v1/images/{'9' * digits}").status_code == 404
        assert client.get("/v1/collections/nothing/images/0").status_code == 404

    def test_of_collections(self, open_client, photos: Path, tmp_path: Path) -> None:
        shutil.copytree(photos, tmp_path / "others")
        client = open_client(photos, f"my-art={tmp_path / 'others'}")
        listed = client.get("/v1/collections").json()["collections"]

        assert [(one["name"], one["images"], one["words"]) for one in listed] == [
            ("photos", 6, True),
            ("my-art", 6, True),
        ]
        assert client.get("/v1/collections/my-art").json() == listed[1]
        assert client.post("/v1/search", json={"text": "red"}).status_code == 404
        assert (
            client.post("/v1/search", json={"text": "red", "collection": "my-art"}).json()["collection"]
            == "my-art"
        )
        assert client.get("/v1/images/0").status_code == 404

    def test_columns_and_folders(self, client) -> None:
        columns = {one["name"]: one for one in client.get("/v1/collections/photos/columns").json()["columns"]}
        top = client.get("/v1/collections/photos/folders").json()
        below = client.get("/v1/collections/photos/folders", params={"under": "blue"}).json()

        assert (columns["width"]["type"], columns["width"]["values"]) == ("integer", [48])
        assert [(one["path"], one["images"]) for one in top["folders"]] == [("blue", 2), ("red", 2)]
        assert [(one["path"], one["name"], one["images"]) for one in below["folders"]] == [
            ("blue/deep", "deep", 1)
        ]
        assert client.get("/v1/collections/photos/folders", params={"under": "../.."}).status_code == 400


class TestDownloads:
    def test_a_list(self, client) -> None:
        answer = client.post("/v1/collections/photos/download", json={"ids": [2, 0, 2]})

        assert answer.text.splitlines() == [client.get("/v1/images/2").json()["path"], "a.png"]
        assert answer.headers["content-type"].startswith("text/plain")

    def test_an_archive(self, open_client, photos: Path) -> None:
        client = open_client(originals=True)
        answer = client.post("/v1/download", json={"ids": [0, 1, 2, 3, 4, 5], "what": "zip"})
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            for name in archive.namelist():
                assert archive.read(name) == (photos / name).read_bytes()
            assert len(archive.namelist()) == 6

    @pytest.mark.parametrize(
        "asked", [{}, {"ids": []}, {"ids": ["a"]}, {"ids": [0], "what": "tar"}, {"ids": [0], "path": "/"}]
    )
    def test_what_is_no_request(self, client, asked) -> None:
        assert client.post("/v1/download", json=asked).status_code == 400

    def test_names_in_an_archive_lead_nowhere_else(self) -> None:
        from types import SimpleNamespace

        from retrieval.server.api.images.downloads import _entry

        used: set[str] = set()
        rows = [
            "../../etc/x.png",
            "/abs.png",
            "a\\..\\b.png",
            "C:x.png",
            "x.png",
            "X.PNG",
            "not-included.txt",
            "\udcff.png",
        ]
        names = [_entry(SimpleNamespace(key=key), used) for key in rows]  # type: ignore[arg-type]

        assert names[0] == "etc/x.png"
        assert len({name.casefold() for name in names}) == len(rows)
        assert not any(
            name.startswith("/") or ".." in name.split("/") or ":" in name or "\\" in name for name in names
        )
