"""A sharded collection is served as any other."""

from __future__ import annotations

from pathlib import Path

from retrieval import build_index


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
