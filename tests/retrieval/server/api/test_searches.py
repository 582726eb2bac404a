"""Searches over HTTP answer what the library answers."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

import retrieval
from retrieval.server import Batching


def paths(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["path"] for hit in answer.json()["hits"]]


def _bitmap(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(stream, "BMP")
    return stream.getvalue()


@pytest.fixture
def library(photos: Path):
    with retrieval.open(photos) as collection:
        yield collection


class TestQueries:
    def test_words(self, client, library) -> None:
        found = client.post("/v1/search", json={"text": "red", "k": 4}).json()
        expected = library.search("red", k=4)

        assert [hit["path"] for hit in found["hits"]] == [hit.path for hit in expected]
        assert [hit["score"] for hit in found["hits"]] == pytest.approx([hit.score for hit in expected])
        assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3, 4]
        assert (found["collection"], found["generation"]) == ("photos", library.manifest.generation)
        assert found["searched"] == 6

    def test_the_probability_of_a_match_is_that_of_the_library(self, client, library) -> None:
        found = client.post("/v1/search", json={"text": "red", "k": 4}).json()
        expected = library.search("red", k=4)
        sure = client.post("/v1/search", json={"text": "red", "k": 4, "sure": True})

        assert [hit["match"] for hit in found["hits"]] == [hit.match for hit in expected]
        assert found["likely"] == expected.likely
        assert (sure.status_code == 400) == (expected.likely is None)

    def test_an_image_as_base64_as_data_url_and_as_a_file(self, client, photos: Path) -> None:
        data = (photos / "red/c.png").read_bytes()
        text = base64.b64encode(data).decode()

        for answer in (
            client.post("/v1/search", json={"image": text, "k": 1}),
            client.post("/v1/search", json={"image": f"data:image/png;base64,{text}", "k": 1}),
            client.post("/v1/search", files={"image": ("strange name<.png", data)}, data={"k": "1"}),
        ):
            assert paths(answer) == ["red/c.png"]

    def test_an_id_leaves_itself_out_unless_it_is_asked_for(self, client, library) -> None:
        number = library.id_of("a.png")

        assert "a.png" not in paths(client.post("/v1/search", json={"id": number}))
        assert paths(client.post("/v1/search", json={"id": number, "include_self": True}))[0] == "a.png"
        assert paths(client.get(f"/v1/images/{number}/similar?k=3")) == paths(
            client.post("/v1/search", json={"id": number, "k": 3})
        )

    def test_a_vector(self, client, library) -> None:
        vector = library["blue/e.png"].vector.tolist()

        assert paths(client.post("/v1/search", json={"vector": vector, "k": 1})) == ["blue/e.png"]

    def test_parts_with_weights_and_minus(self, client, library) -> None:
        asked = {
            "queries": ["red", {"id": 2, "weight": 0.5}],
            "minus": [{"text": "blue", "weight": 0.25}],
            "k": 6,
        }
        query = retrieval.text("red") + 0.5 * retrieval.row(2) - 0.25 * retrieval.text("blue")

        assert paths(client.post("/v1/search", json=asked)) == [
            hit.path for hit in library.search(query, k=6)
        ]

    def test_a_part_of_a_picture(self, client, library) -> None:
        region = [0.5, 0, 0.5, 0.5]
        number = library.id_of("a.png")
        query = retrieval.image(library["a.png"].open(), region=region)
        expected = library.search(query, k=6)
        found = client.post("/v1/search", json={"id": number, "region": region, "k": 6}).json()["hits"]

        assert [hit["path"] for hit in found] == [hit.path for hit in expected]
        assert [hit["score"] for hit in found] == pytest.approx([hit.score for hit in expected])
        assert found[0]["score"] < 0.999  # the whole picture would find itself

    def test_several_at_once_and_as_lines(self, client) -> None:
        searches = [{"text": "red", "k": 2}, {"text": "blue", "k": 3}, {"id": 99}]
        answers = client.post("/v1/search", json={"searches": searches}).json()["answers"]
        lines = client.post(
            "/v1/search", json={"searches": searches}, headers={"Accept": "application/x-ndjson"}
        )

        assert [len(one.get("hits", ())) for one in answers] == [2, 3, 0]
        assert answers[2]["status"] == 404
        assert [one.get("hits") for one in map(json.loads, lines.text.splitlines())] == [
            one.get("hits") for one in answers
        ]

    def test_as_many_as_may_be_asked_do_not_fill_the_queues(self, open_client) -> None:
        client = open_client(batching=Batching(batch=4, queue=8))
        searches = [{"text": f"red {number}", "k": 1} for number in range(256)]
        answers = client.post("/v1/search", json={"searches": searches}).json()["answers"]
        clip = client.post("/knn-service", json={"text": "red", "num_images": 100, "indice_name": "photos"})

        assert [len(one["hits"]) for one in answers] == [1] * 256
        assert len(clip.json()) == 6

    def test_filters(self, client, library) -> None:
        asked = {"text": "red", "k": 6}

        assert set(paths(client.post("/v1/search", json=asked | {"under": "blue"}))) == {
            "blue/e.png",
            "blue/deep/f.png",
        }
        assert set(paths(client.post("/v1/search", json=asked | {"glob": "red/*"}))) == {
            "red/c.png",
            "red/d.png",
        }
        assert paths(client.post("/v1/search", json=asked | {"ids": [library.id_of("b.png")]})) == ["b.png"]
        assert paths(client.post("/v1/search", json={"id": 0, "min_score": 1.0})) == []

    def test_conditions_over_columns(self, client) -> None:
        pytest.importorskip("duckdb")

        assert len(paths(client.post("/v1/search", json={"text": "red", "where": "width = 48"}))) == 6
        assert paths(client.post("/v1/search", json={"text": "red", "where": "width > 48"})) == []


class TestPages:
    def test_they_join_to_the_whole_answer(self, client) -> None:
        whole = paths(client.post("/v1/search", json={"text": "red", "k": 6}))
        found, cursor, asked = [], None, {"text": "red", "k": 2}
        while True:
            answer = client.post("/v1/search", json=asked | ({"cursor": cursor} if cursor else {})).json()
            found += answer["hits"]
            cursor = answer["next"]
            if cursor is None:
                break

        assert [hit["path"] for hit in found] == whole
        assert [hit["rank"] for hit in found] == [1, 2, 3, 4, 5, 6]

    def test_a_cursor_belongs_to_its_picture(self, client) -> None:
        one, other = (_bitmap(colour) for colour in ("red", "blue"))
        assert len(one) == len(other)
        cursor = client.post("/v1/search", files={"image": one}, data={"k": "2"}).json()["next"]

        same, wrong = (
            client.post("/v1/search", files={"image": data}, data={"k": "2", "cursor": cursor})
            for data in (one, other)
        )

        assert (same.status_code, wrong.status_code) == (200, 400)

    def test_a_cursor_belongs_to_its_query(self, client) -> None:
        cursor = client.post("/v1/search", json={"text": "red", "k": 2}).json()["next"]
        other = client.post("/v1/search", json={"text": "blue", "k": 2, "cursor": cursor})

        assert (other.status_code, "another query" in other.json()["detail"]) == (400, True)
        for text in ("", "x", "AAAA", cursor[:-4], "[" * 5000):
            assert client.post("/v1/search", json={"text": "red", "cursor": text}).status_code == 400


class TestVerify:
    @pytest.fixture
    def client(self, open_client, photos: Path):
        pytest.importorskip("cv2", reason="the extra verify is not installed")
        data = pytest.importorskip("skimage.data", reason="scikit-image carries the photographs")
        for name in ("astronaut", "coffee", "chelsea"):
            picture = Image.fromarray(getattr(data, name)()).convert("RGB")
            picture.thumbnail((300, 300))
            picture.save(photos / f"{name}.png")
            if name == "astronaut":
                picture.crop((60, 0, 240, 200)).save(photos / "part.png")
        retrieval.build_index(photos, encoder="fake")
        return open_client(photos)

    def test_the_same_picture_comes_first_with_its_outline(self, client, photos: Path) -> None:
        asked = {"image": base64.b64encode((photos / "part.png").read_bytes()).decode(), "verify": True}
        found = client.post("/v1/search", json={**asked, "k": 10}).json()
        first, second, *others = found["hits"]

        assert found["checked"] == 10
        assert {first["path"], second["path"]} == {"part.png", "astronaut.png"}
        assert [one["verified"] for one in found["hits"]] == [True, True] + [False] * 8
        assert {one["relation"] for one in others} == {"none"}
        whole = next(one for one in (first, second) if one["path"] == "astronaut.png")
        assert whole["outline"][0] == pytest.approx([0.2, 0.0], abs=0.02)
        assert whole["verified_probability"] > 0.9

    def test_pages_have_the_order_of_one_answer(self, client, library) -> None:
        asked = {"id": library.id_of("part.png"), "verify": 3, "include_self": True}
        whole = client.post("/v1/search", json={**asked, "k": 10}).json()
        first = client.post("/v1/search", json={**asked, "k": 2}).json()
        second = client.post("/v1/search", json={**asked, "k": 8, "cursor": first["next"]}).json()

        assert [hit["id"] for hit in first["hits"] + second["hits"]] == [hit["id"] for hit in whole["hits"]]

    def test_what_has_no_picture_is_refused(self, client) -> None:
        answer = client.post("/v1/search", json={"text": "red", "verify": True})

        assert (answer.status_code, "one picture" in answer.json()["detail"]) == (400, True)

    def test_the_number_has_a_limit(self, client) -> None:
        answer = client.post("/v1/search", json={"id": 0, "verify": 10_000})

        assert (answer.status_code, "at most 200 hits" in answer.json()["detail"]) == (400, True)
