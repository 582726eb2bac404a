"""Collections of all kinds are served: archives, vectors, names that are no text, collections that change."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

import retrieval
from tests.retrieval.folders import fill, picture
from tests.retrieval.pictures import png


def test_images_in_an_archive(open_client, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for number in range(3):
            data = png(picture(number))
            entry = tarfile.TarInfo(f"red/{number}.png")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    retrieval.build_index(tmp_path / "shard.tar", index=tmp_path / "index", encoder="fake")
    client = open_client(f"shard={tmp_path / 'index'}", originals=True)
    hits = client.post("/v1/search", json={"text": "red", "k": 3}).json()["hits"]
    archive_bytes = client.post("/v1/download", json={"ids": [0, 1, 2], "what": "zip"}).content

    assert {hit["path"] for hit in hits} == {f"shard.tar/red/{number}.png" for number in range(3)}
    for hit in hits:
        assert Image.open(io.BytesIO(client.get(hit["thumbnail"]).content)).size == (48, 48)
        number = int(hit["path"][-5])
        assert client.get(f"/v1/images/{hit['id']}/original").content == png(picture(number))
    with zipfile.ZipFile(io.BytesIO(archive_bytes)) as archive:
        assert sorted(archive.namelist()) == sorted(hit["path"] for hit in hits)
    assert len(client.post("/v1/search", json={"id": 0, "region": [0, 0, 0.5, 0.5]}).json()["hits"]) == 3


def test_vectors_without_an_encoder(open_client, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((5, 8))
    retrieval.sync_vectors(tmp_path / "vectors", vectors, [f"row{number}" for number in range(5)])
    client = open_client(tmp_path / "vectors")
    facts = client.get("/v1/collections/vectors").json()
    words = client.post("/v1/search", json={"text": "qwertz"})

    assert (facts["words"], facts["pictures"], facts["dim"]) == (False, False, 8)
    assert (
        client.post("/v1/search", json={"vector": vectors[3].tolist(), "k": 1}).json()["hits"][0]["path"]
        == "row3"
    )
    assert (words.status_code, words.json()["type"]) == (422, "urn:retrieve:capability-missing")
    assert client.get("/v1/images/3/thumbnail").status_code == 404


HOSTILE = ["new\nline.png", "<script>alert(1)<.png", "esc\x1b[31m.png", 'quote".png', "東京/夜景.png"]


def test_hostile_names(open_client, tmp_path: Path) -> None:
    folder = fill(tmp_path / "hostile", HOSTILE)
    raw = os.path.join(os.fsencode(folder), b"raw\xff\xfe.png")
    with open(raw, "wb") as file:
        picture(99).save(file, format="PNG")
    retrieval.build_index(folder, encoder="fake")
    client = open_client(folder, originals=True)
    hits = client.post("/v1/search", json={"text": "red", "k": 10}).json()["hits"]
    listed = client.post("/v1/download", json={"ids": [hit["id"] for hit in hits]}).text
    archived = client.post("/v1/download", json={"ids": [hit["id"] for hit in hits], "what": "zip"}).content

    assert {hit["path"] for hit in hits} == {*HOSTILE, "raw%FF%FE.png"}
    assert len(listed.splitlines()) == 6
    assert "\x1b" not in listed
    with zipfile.ZipFile(io.BytesIO(archived)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 6
    for hit in hits:
        assert client.get(hit["thumbnail"]).status_code == 200
        original = client.get(f"/v1/images/{hit['id']}/original")
        assert original.status_code == 200
        assert original.headers["content-disposition"].isascii()
        assert "\n" not in original.headers["content-disposition"]


def test_no_request_fails_while_a_collection_changes(client, photos: Path) -> None:
    failures: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            for asked in ({"text": "red", "k": 20}, {"id": 0}, {"queries": ["red", {"id": 1}]}):
                answer = client.post("/v1/search", json=asked)
                if answer.status_code != 200:
                    failures.append(answer.text)
            if client.get("/v1/images/0/thumbnail").status_code != 200:
                failures.append("thumbnail")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(4):
            fill(photos, [f"new{number}.png"], first=80 + number)
            retrieval.build_index(photos)
            ended.wait(0.7)
    finally:
        ended.set()
        for thread in threads:
            thread.join()

    assert failures == []
    assert client.get("/v1/collections/photos").json()["images"] == 10
