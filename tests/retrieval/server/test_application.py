"""The server is warm before it is ready, and its numbers can be read."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from retrieval.server import Settings, create_app
from retrieval.testing import FakeEncoder


def test_the_encoder_has_worked_before_the_first_request(photos: Path, monkeypatch) -> None:
    encoded: list[str] = []
    pixels, words = FakeEncoder.encode_pixels, FakeEncoder.encode_text
    monkeypatch.setattr(
        FakeEncoder, "encode_pixels", lambda self, batch: (encoded.append("image"), pixels(self, batch))[1]
    )
    monkeypatch.setattr(
        FakeEncoder, "encode_text", lambda self, texts: (encoded.append("text"), words(self, texts))[1]
    )
    told: list[bool] = []
    app = create_app(
        [str(photos)], Settings(), on_ready=lambda: told.append({"image", "text"} <= set(encoded))
    )
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/readyz").status_code == 200

    assert told == [True]


def test_numbers(client) -> None:
    client.post("/v1/search", json={"text": "red", "k": 3})
    client.get("/strange/path/of/a/stranger")
    text = client.get("/metrics").text

    assert 'retrieval_requests_total{method="POST",route="/v1/search",status="200"} 1.0' in text
    assert 'retrieval_hits_total{collection="photos"}' in text
    assert "retrieval_generation" in text
    assert "stranger" not in text


def test_a_bug_is_a_problem_and_one_line(client, monkeypatch, capsys) -> None:
    from retrieval.server.api.collections import collections

    monkeypatch.setattr(collections, "_facts_of", lambda *_: 1 / 0)
    answer = client.get("/v1/collections")
    said = capsys.readouterr().err

    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "division" not in answer.text
    assert (said.count("\n"), "ZeroDivisionError" in said) == (1, True)
    assert answer.headers["x-content-type-options"] == "nosniff"
