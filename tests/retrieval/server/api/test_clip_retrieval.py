"""clip-retrieval's clients are answered as its back end answers them."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
from pathlib import Path

import pytest
from PIL import Image

import retrieval

CLIENT = {
    "text": None, "image": None, "image_url": None, "embedding_input": None, "deduplicate": True, "use_safety_model": True,
    "use_violence_detector": True, "indice_name": "photos", "use_mclip": False, "aesthetic_score": 9, "aesthetic_weight": 0.5,
    "modality": "image", "num_images": 3, "num_result_ids": 3, "verbose": False,
}  # fmt: skip
"""Everything that the published Python client sends."""

FRONT = {
    "text": "red", "image": None, "image_url": None, "modality": "image", "num_images": 2, "indice_name": "photos",
    "num_result_ids": 6, "use_mclip": False, "deduplicate": False, "use_safety_model": False,
}  # fmt: skip
"""Everything that the published front end sends."""


def ask(client, **fields):
    # its client posts a text without a type, as `requests.post(data=...)` does
    answer = client.post("/knn-service", content=json.dumps(CLIENT | fields))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_words(client, photos: Path) -> None:
    with retrieval.open(photos) as collection:
        expected = collection.search("red", k=3, names="off")
    found = ask(client, text="red")

    assert [one["id"] for one in found] == [hit.id for hit in expected]
    assert [one["similarity"] for one in found] == pytest.approx([hit.score for hit in expected])
    assert Image.open(io.BytesIO(base64.b64decode(found[0]["image"]))).size == (48, 48)
    assert found[0]["image_path"] == found[0]["caption"] == expected[0].path


def test_a_picture_and_a_vector(client, photos: Path) -> None:
    data = (photos / "red/c.png").read_bytes()
    with retrieval.open(photos) as collection:
        vector = collection["red/c.png"].vector.tolist()

    assert ask(client, image=base64.b64encode(data).decode())[0]["image_path"] == "red/c.png"
    assert ask(client, embedding_input=vector)[0]["image_path"] == "red/c.png"


def test_the_front_end(client) -> None:
    names = client.get("/indices-list").json()
    found = client.post("/knn-service", content=json.dumps(FRONT)).json()
    rest = client.post(
        "/metadata", content=json.dumps({"ids": [one["id"] for one in found[2:]], "indice_name": names[0]})
    ).json()

    assert names == ["photos"]
    assert [set(one) >= {"image", "caption"} for one in found] == [True, True, False, False, False, False]
    assert [one["id"] for one in rest] == [one["id"] for one in found[2:]]
    assert all(one["metadata"]["image_path"] for one in rest)


def test_what_cannot_be_answered(client) -> None:
    for fields, status in (
        ({"text": "red", "modality": "text"}, 400),
        ({"text": "red", "indice_name": "laion"}, 404),
        ({"image_url": "http://example.org/x.jpg"}, 403),
        ({}, 400),
        ({"image": "no base64!"}, 400),
    ):
        answer = client.post("/knn-service", content=json.dumps(CLIENT | fields))
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), (
            fields
        )
    assert (
        client.post("/metadata", content=json.dumps({"ids": [99], "indice_name": "photos"})).status_code
        == 404
    )
    assert client.post("/metadata", content=b"[").status_code == 400


def test_its_published_client(open_client, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module alone: its package imports all of the back end."""
    package = importlib.util.find_spec("clip_retrieval")
    if package is None or importlib.util.find_spec("requests") is None:
        pytest.skip("clip-retrieval or requests is not installed")
    place = Path(package.submodule_search_locations[0]) / "clip_client.py"
    found = importlib.util.spec_from_file_location("published_clip_client", place)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    client = open_client()
    monkeypatch.setattr(module.requests, "post", lambda url, data, timeout: client.post(url, content=data))
    asked = module.ClipClient(url="http://localhost/knn-service", indice_name="photos", num_images=2)

    assert len(asked.query(text="red")) == 2
    assert asked.query(image=str(photos / "red/c.png"))[0]["image_path"] == "red/c.png"
