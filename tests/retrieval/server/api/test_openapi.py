"""The OpenAPI document says what the routes do."""

from __future__ import annotations

import pytest

from retrieval.server import Limits

TOKEN = "-".join("letters")


def references(value) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_every_route_is_in_it_and_every_reference_leads_somewhere(client) -> None:
    document = client.get("/openapi.json").json()
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    operations = [one for path in document["paths"].values() for one in path.values()]

    assert document["openapi"] == "3.1.0"
    assert {
        "/v1/search",
        "/v1/images/{id}",
        "/v1/collections/{name}/images/{id}/thumbnail",
        "/knn-service",
    } <= set(document["paths"])
    assert references(document) <= known
    assert all(operation["summary"].endswith(".") for operation in operations)
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_limits_and_prefix_stand_in_it(open_client) -> None:
    document = open_client(prefix="/photos", limits=Limits(k=77)).get("/photos/openapi.json").json()

    assert document["components"]["schemas"]["SearchRequest"]["properties"]["k"]["maximum"] == 77
    assert document["servers"] == [{"url": "/photos"}]


def test_fields_are_described_as_they_are_refused(client) -> None:
    fields = client.get("/openapi.json").json()["components"]["schemas"]["SearchRequest"]["properties"]
    refused = client.post("/v1/search", json={"nothing": 1}).json()["detail"]

    assert refused.partition("there are: ")[2].split(", ") == sorted(fields)
    assert all(
        "description" in one or any("description" in other for other in one.get("anyOf", ()))
        for one in fields.values()
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "no JSON"),
        (b"[]", "object"),
        (b'{"txt": "red"}', "did you mean 'text'?"),
        (b'{"text": 1}', "$.text"),
        (b'{"text": "red", "k": "5"}', "$.k"),
        (b'{"text": "red", "k": 1.5}', "$.k"),
        (b'{"queries": [{"words": "red"}]}', "id, image, region, text, url, vector, weight"),
        (b'{"searches": [{"txt": "red"}]}', "did you mean 'text'?"),
        (b'{"searches": [{"text": "red"}], "k": 3}', "beside searches"),
        (b'{"queries": [{"text": "red", "id": 1}]}', "text and id"),
        (b'{"queries": [{}]}', "nothing"),
        (b"{}", "empty"),
        (b'{"text": "  "}', "empty"),
        (b'{"text": "red", "region": [0, 0, 1, 1]}', "none is given beside it"),
        (b'{"id": 1, "region": [0, 0, 0, 1]}', "empty"),
        (b'{"id": 1, "region": [0, 0, 1]}', "$.region"),
        (b'{"image": "%%%"}', "base64"),
        (b'{"text": "red", "min_score": 2}', "$.min_score"),
        (b'{"vector": [1, 2]}', "64"),
        (b'{"vector": [' + b"0," * 63 + b"0]}", "zero"),
        (b'{"id": -1}', "$.id"),
        (b'{"text": "red", "glob": 5}', "$.glob"),
        (b"\xff\xfe", "JSON"),
        (b'{"text": "\xff"}', "JSON"),
        (b"[" * 100_000, ""),
    ],
)
def test_requests_that_are_none_say_what_is_wrong(client, body: bytes, words: str) -> None:
    answer = client.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
    problem = answer.json()

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert set(problem) >= {"type", "title", "status", "detail"}
    assert words in problem["detail"]
    assert "\n" not in problem["detail"]


def test_other_types_and_methods(client) -> None:
    assert client.post("/v1/search", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.get("/v1/search").status_code == 405
    assert client.get("/v1/nothing").json()["status"] == 404
    assert client.post("/v1/search", files={"file": b"x"}).status_code == 400
    assert client.post("/v1/search", data={"text": "red"}, files={"image": b""}).status_code == 422
    assert (
        client.post("/v1/search", content=b"x", headers={"Content-Type": "multipart/form-data"}).status_code
        == 400
    )


def test_words_that_nobody_knows_are_named(open_client, tmp_path) -> None:
    from retrieval import build_index
    from tests.retrieval.folders import fill

    folder = fill(tmp_path / "nano", ["a.png", "b.png"])
    build_index(folder)  # nano knows which words it has learned
    client = open_client(folder)
    none = client.post("/v1/search", json={"text": "qwxzkv"})
    some = client.post("/v1/search", json={"text": "red qwxzkv"}).json()

    assert (none.status_code, none.json()["unknown_words"]) == (422, ["qwxzkv"])
    assert some["unknown_words"] == ["qwxzkv"]


class TestPrefix:
    def test_both_with_a_proxy_that_cuts_it_off_and_with_one_that_does_not(self, open_client) -> None:
        client = open_client(prefix="/photos/")
        for path in ("/photos/v1/search", "/v1/search"):
            hit = client.post(path, json={"text": "red", "k": 1}).json()["hits"][0]
            assert hit["thumbnail"].startswith("/photos/v1/collections/photos/images/")
            assert client.get(hit["thumbnail"]).status_code == 200
        assert client.get("/photos").status_code == client.get("/photos/").status_code == 200
        assert client.get("/photosx").status_code == 404

    def test_the_cookie_is_for_it_alone(self, open_client) -> None:
        client = open_client(prefix="/photos", token=TOKEN)
        answer = client.post("/photos/session", json={"token": TOKEN})

        assert "Path=/photos;" in answer.headers["set-cookie"]
        assert client.get("/photos/").status_code == 200
