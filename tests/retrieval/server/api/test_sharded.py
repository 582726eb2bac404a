"""A sharded collection is served as any other."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from retrieval import build_index
from retrieval.collection import open_collection
from retrieval.errors import StoreCorrupt
from retrieval.server import catalogue


def test_a_sharded_collection_is_served(photos: Path, tmp_path: Path, open_client):
    build_index(photos, index=tmp_path / "big", shards=2, encoder="fake", progress=False)
    client = open_client(f"big={tmp_path / 'big'}")

    found = client.post("/v1/search", json={"text": "red", "k": 6}).json()["hits"]

    assert len(found) == 6
    assert {hit["id"] >> 32 for hit in found} == {0, 1}
    number = found[0]["id"]
    again = client.post("/v1/search", json={"id": number, "include_self": True}).json()["hits"]
    assert again[0]["path"] == found[0]["path"]
    assert client.get(f"/v1/images/{number}").json()["path"] == found[0]["path"]
    assert client.get(f"/v1/images/{number}/thumbnail").status_code == 200
    assert client.get("/v1/collections").json()


def test_an_answer_says_what_was_not_searched(photos: Path, tmp_path: Path, open_client, monkeypatch):
    build_index(photos, index=tmp_path / "big", shards=2, encoder="fake", progress=False)
    shutil.rmtree(tmp_path / "big/shard-00001")
    with pytest.raises(StoreCorrupt, match="shard-00001"):
        open_client(f"big={tmp_path / 'big'}")

    monkeypatch.setattr(catalogue, "open_collection", partial(open_collection, allow_partial=True))
    client = open_client(f"big={tmp_path / 'big'}")
    for asked in ({"text": "red"}, {"text": "red", "glob": "none*"}):
        answer = client.post("/v1/search", json=asked).json()

        assert (len(answer["hits"]) > 0, answer["missing"]) == ("glob" not in asked, ["shard-00001"])


def test_an_answer_of_a_whole_collection_misses_nothing(client):
    assert client.post("/v1/search", json={"text": "red"}).json()["missing"] == []
